"""One gateway and one upstream for all the tests of a module.

Tests share them, so each test names its own paths or forgets what was recorded first.
The log is one, too: what a test did not expect is looked for at the end of its module.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import Server
from tests.walk.harness import (
    ADMIN_TOKEN,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    answer_ok,
    ask,
    base_config,
    connected,
    running_gateway,
)

MARKER = b"GET /marker HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"


@dataclass
class Rig:
    """A gateway and the upstream behind it."""

    gateway: Gateway
    upstream: RecordingUpstream
    past: list[Seen] = field(default_factory=list)
    """What was seen before it was forgotten."""

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def seen(self) -> list[Seen]:
        """What reached the upstream, but for markers."""
        return [seen for seen in self.upstream.seen if seen.target != "/marker"]

    @property
    def targets(self) -> list[str]:
        return [seen.target for seen in self.seen if seen.complete]

    @property
    def last(self) -> Seen:
        return self.upstream.last

    def forget(self) -> None:
        """Forget what the upstream saw, and have it answer as usual."""
        self.upstream.answer = answer_ok
        self.past += self.seen
        self.upstream.seen.clear()
        for wire in self.upstream.wire:  # of a connection that is kept and used again
            wire.clear()
        self.upstream.errors.clear()

    async def get(
        self,
        target: str,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        host: str = "gw.test",
    ) -> Reply:
        """Send one request as a program would."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        return await ask(
            self.port, method, target, [*PROGRAM.items(), *pairs], body, host=host
        )

    async def raw(self, raw: bytes, *, marker: bool = True) -> list[Reply]:
        """Send bytes with a marker behind; give the answers until it is closed."""
        replies: list[Reply] = []
        async with connected(self.port) as client:
            await client.send(raw + MARKER * marker)
            while not replies or replies[-1].one("Connection") != "close":
                replies.append(await client.reply())
            assert await client.silence() == b""
        return replies

    async def administer(
        self, method: str, target: str, token: str = ADMIN_TOKEN, body: bytes = b""
    ) -> Reply:
        """Send a request to the admin listener."""
        listen = str(self.gateway.app._loaded.config.server.admin)
        headers = {"Authorization": f"Bearer {token}"}
        if body:
            headers["Content-Type"] = "application/json"
        port = int(listen.rpartition(":")[2])
        return await ask(port, method, target, headers, body, host=listen)

    async def unexpected(self) -> list[dict[str, Any]]:
        """Read the errors that nobody expected from the log."""
        lines = await self.gateway.logged()
        return [line for line in lines if line["message"] == "unexpected error"]


@asynccontextmanager
async def rig(
    config: Mapping[str, Any],
    upstream: RecordingUpstream,
    folder: Path,
    redis: Server,
) -> AsyncIterator[Rig]:
    """Run a gateway for a module; nothing unexpected may be in its log at the end."""
    async with running_gateway(config, folder, redis.url) as gateway:
        running = Rig(gateway, upstream)
        yield running
        assert not await running.unexpected()
    await upstream.settled()
    running.forget()


@asynccontextmanager
async def recording() -> AsyncIterator[RecordingUpstream]:
    """Run an upstream that records."""
    upstream = RecordingUpstream()
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()


def advisory_config(web: int) -> dict[str, Any]:
    """A configuration with what the advisories need: every rule, narrow routes."""
    config = base_config(web)
    config["routes"] += [
        {"match": "/foo/**", "rule": "protected", "upstream": "web"},
        {"match": "/foo/{one}/bar", "rule": "public", "upstream": "web"},
        {"match": "/mypath", "rule": "protected", "upstream": "web"},
        {"match": "/pki/**", "rule": "protected", "upstream": "web"},
        {"match": "/pki/ca/prod/**", "rule": "public", "upstream": "web"},
        {
            "match": "/second-factor",
            "rule": "protected",
            "require": {"aal": "aal2"},
            "upstream": "web",
        },
        {
            "match": {"host": "secret.test", "path": "/**"},
            "rule": "protected",
            "upstream": "web",
        },
    ]
    return config


@asynccontextmanager
async def advisory_rig(
    redis: Server, folder: Path, **changes: Any
) -> AsyncIterator[Rig]:
    """Run a gateway for the advisories; `changes` replace parts of its configuration."""
    async with recording() as upstream:
        config = advisory_config(upstream.port) | changes
        async with rig(config, upstream, folder, redis) as running:
            yield running


def refused(reply: Reply, *statuses: int) -> bool:
    """Return whether a request was refused, by one of these statuses if any is given."""
    if reply.one("Location") is not None:
        return False
    return reply.status in statuses if statuses else 400 <= reply.status < 500


def body_of(token: str) -> dict[str, Any]:
    """Read the claims of a token, unverified."""
    body = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert isinstance(found, dict)
    return found
