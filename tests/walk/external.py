"""Gateways in front of apps that keep their sessions in Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.server.system import System
from tests.servers import Server, free_port
from tests.sessions.formats.scenarios import Scenario
from tests.walk.harness import (
    Answer,
    Gateway,
    RecordingUpstream,
    base_config,
    running_gateway,
)


class StoppedClock(System):
    """An System on which it is always the moment that a scenario was written at."""

    moment = 0.0

    def now(self) -> float:
        return self.moment


def config_for(scenario: Scenario, upstream: int, **sessions: Any) -> dict[str, Any]:
    """The configuration that a user of this library would write."""
    config = base_config(upstream)
    settings = scenario.settings
    stated: dict[str, Any] = {
        "format": settings.format,
        "cookie": {"name": settings.cookie_name},
        "profile": dict(settings.profile),
    }
    if settings.secrets:
        stated["secrets"] = list(settings.secrets)
    if settings.key_prefix is not None:
        stated["key_prefix"] = settings.key_prefix
    if settings.allow_pickle:
        stated["allow_pickle"] = True
    config["sessions"] = stated | sessions
    for each in config["upstreams"].values():
        each.pop("may_sign_in", None)
        each["session_cookie"] = "forward"
    return config


def put(redis: Server, scenario: Scenario) -> None:
    """Write the records of a scenario as its library left them."""
    redis.command_line("FLUSHALL")
    for key, stored in scenario.redis.keys.items():
        assert stored.value is not None
        life = () if stored.pttl < 0 else ("PX", str(stored.pttl))
        redis.command_line("SET", key, stored.value, *life)


@asynccontextmanager
async def gateway_for(
    scenario: Scenario,
    upstream: RecordingUpstream,
    redis: Server,
    folder: Path,
    **sessions: Any,
) -> AsyncIterator[Gateway]:
    await asyncio.to_thread(put, redis, scenario)
    config = config_for(scenario, upstream.port, **sessions)
    async with running_gateway(config, folder, redis.url) as running:
        running.app.services.system = clock = StoppedClock()
        clock.moment = scenario.now
        yield running


def cookie(raw: bytes) -> dict[str, str]:
    return {"Cookie": raw.decode("latin-1")}


SID = "0123456789abcdef0123456789abcdef"
CUSTOM: dict[str, Any] = {
    "format": "json",
    "cookie": {"name": "sid"},
    "profile": {
        "id": "[0-9a-f]{32}",
        "key": "sess:{id}",
        "max_bytes": 16384,
        "identity": "$.user.id",
        "roles": "$.user.roles",
        "deny": ["$.user.banned"],
    },
}


def custom_config(upstream: int) -> dict[str, Any]:
    """In front of an app whose sessions are `{"user": {…}}` under `sess:<id>`."""
    config = base_config(upstream)
    config["sessions"] = CUSTOM
    config["server"]["admin"] = f"127.0.0.1:{free_port()}"
    for each in config["upstreams"].values():
        each.pop("may_sign_in", None)
        each["session_cookie"] = "forward"
    return config


async def written(redis: Server, value: object, key: str = f"sess:{SID}") -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    await asyncio.to_thread(redis.command_line, "SET", key, raw, "PX", "60000")


MINE = {"Cookie": f"sid={SID}"}


def sets_a_cookie(*lines: str) -> Answer:
    async def answer(_seen: object, writer: asyncio.StreamWriter) -> None:
        fields = "".join(f"Set-Cookie: {line}\r\n" for line in lines)
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()

    return answer


def put_again(redis: Server, scenario: Scenario) -> None:
    """Write the records back, as a library does that was slow."""
    for key, stored in scenario.redis.keys.items():
        assert stored.value is not None
        redis.command_line("SET", key, stored.value, "PX", "60000")


def dump(redis: Server, scenario: Scenario) -> list[object]:
    return [redis.command_line("DUMP", key) for key in scenario.redis.keys]
