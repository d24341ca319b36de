"""A reload that closes a way ends what is open on it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.utils import accept_key

from tests.servers import PATIENCE, Server
from tests.walk.harness import Gateway, Line, base_config, running_gateway, stage, until

OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"9\r\ndata: 1\n\n\r\n"
KINDS = {"events": b"text/event-stream; charset=utf-8", "download": b"text/csv"}


async def app(line: Line) -> None:
    """Accept WebSockets, and begin answers without an end."""
    seen = await line.request()
    key = seen.one("Sec-WebSocket-Key")
    if key is not None:
        await line.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept_key(key).encode()
            + b"\r\n\r\n"
        )
    else:
        await line.send(OPEN % KINDS[seen.target.rpartition("/")[2]], PIECE)
    await asyncio.Event().wait()


class Open:
    """What is open through one gateway: WebSockets and answers, by their path."""

    def __init__(self, gateway: Gateway, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self._stack = stack

    async def websocket(self, path: str, cookie: str | None = None) -> ClientConnection:
        headers = {} if cookie is None else {"Cookie": cookie}
        url = f"ws://127.0.0.1:{self.gateway.port}{path}"
        return await self._stack.enter_async_context(
            connect(url, additional_headers=headers, close_timeout=0.1)
        )

    async def answer(
        self, path: str, cookie: str | None = None
    ) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        self._stack.callback(writer.close)
        stated = "" if cookie is None else f"Cookie: {cookie}\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: gw.test\r\n{stated}\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"data: 1\n\n\r\n")
        return reader

    async def reload(self, config: Mapping[str, Any]) -> None:
        self.gateway.path.write_text(yaml.safe_dump(dict(config)))
        assert await self.gateway.app.reload()


@asynccontextmanager
async def opened(
    config: Mapping[str, Any], folder: Path, url: str
) -> AsyncIterator[Open]:
    async with (
        running_gateway(config, folder, url) as gateway,
        AsyncExitStack() as stack,
    ):
        yield Open(gateway, stack)


async def closed(ws: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(PATIENCE):
        await ws.wait_closed()
    return ws.close_code, ws.close_reason


async def broken_off(reader: asyncio.StreamReader) -> bool:
    """Tell that the answer ended, and not by its last chunk."""
    async with asyncio.timeout(PATIENCE):
        try:
            return not (await reader.read()).endswith(b"0\r\n\r\n")
        except ConnectionError:
            return True


def config_for(
    port: int, path: str = "", change: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give the configuration; `change` is for the route of `path`."""
    config = base_config(port)
    config["upstreams"]["still"] = {"url": f"http://127.0.0.1:{port}"}
    config["routes"] += [
        {"match": "/live/**", "rule": "protected", "upstream": "web"},
        {"match": "/open/**", "rule": "public", "upstream": "still"},
        {"match": "/stays/**", "rule": "protected", "upstream": "still"},
    ]
    for route in config["routes"]:
        if route["match"] == path:
            route.update(change or {})
    return config


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"require": {"roles": ["editor"]}}, 1008, "role_missing"),
        ({"rule": "admin-only"}, 1008, "not_admin"),
        ({"rule": "auth-redirect"}, 1008, "already_signed_in"),
        (
            {"match": {"path": "/live/**", "methods": ["POST"]}},
            1008,
            "method_not_allowed",
        ),
    ],
)
async def test_a_route_that_became_stricter_ends_what_it_let_in(
    tmp_path: Path, redis: Server, change: dict[str, Any], code: int, reason: str
) -> None:
    async with (
        stage(app) as web,
        opened(config_for(web.port), tmp_path, redis.url) as opens,
    ):
        cookie = await opens.gateway.sign_in()
        ws = await opens.websocket("/live/ws", cookie)
        events = await opens.answer("/live/events", cookie)
        download = await opens.answer("/live/download", cookie)
        stays = await opens.websocket("/stays/ws", cookie)

        await opens.reload(config_for(web.port, "/live/**", change))

        assert await closed(ws) == (code, reason)
        assert await broken_off(events)
        assert await broken_off(download)
        assert stays.close_code is None
        assert len(opens.gateway.app.services.streams.all()) == 1


async def test_a_route_that_is_closed_ends_what_strangers_hold_open(
    tmp_path: Path, redis: Server
) -> None:
    async with (
        stage(app) as web,
        opened(config_for(web.port), tmp_path, redis.url) as opens,
    ):
        ws = await opens.websocket("/open/ws")
        events = await opens.answer("/open/events")

        closing = {"rule": "protected"}
        await opens.reload(config_for(web.port, "/open/**", closing))

        assert await closed(ws) == (1008, "no_session")
        assert await broken_off(events)


async def test_a_route_that_is_gone_ends_what_it_let_in(
    tmp_path: Path, redis: Server
) -> None:
    async with (
        stage(app) as web,
        opened(config_for(web.port), tmp_path, redis.url) as opens,
    ):
        cookie = await opens.gateway.sign_in()
        ws = await opens.websocket("/live/ws", cookie)
        config = config_for(web.port)
        # Without the one that takes everything.
        config["routes"] = [
            route
            for route in config["routes"]
            if route["match"] not in ("/live/**", "/**")
        ]

        await opens.reload(config)

        assert await closed(ws) == (1008, "no_route")


async def test_an_upstream_that_moved_ends_what_connects_again(
    tmp_path: Path, redis: Server
) -> None:
    async with (
        stage(app) as web,
        stage(app) as other,
        opened(config_for(web.port), tmp_path, redis.url) as opens,
    ):
        cookie = await opens.gateway.sign_in()
        ws = await opens.websocket("/live/ws", cookie)
        events = await opens.answer("/live/events", cookie)
        download = await opens.answer("/live/download", cookie)
        stays = await opens.websocket("/stays/ws", cookie)
        config = config_for(web.port)
        config["upstreams"]["web"]["url"] = f"http://127.0.0.1:{other.port}"

        await opens.reload(config)

        assert await closed(ws) == (1012, "upstream_changed")
        assert await broken_off(events)
        streams = opens.gateway.app.services.streams
        await until(lambda: len(streams.all()) == 2)
        assert stays.close_code is None
        assert not download.at_eof()


async def test_a_reload_that_changes_nothing_ends_nothing(
    tmp_path: Path, redis: Server
) -> None:
    async with (
        stage(app) as web,
        opened(config_for(web.port), tmp_path, redis.url) as opens,
    ):
        cookie = await opens.gateway.sign_in()
        sockets = [
            await opens.websocket("/live/ws", cookie),
            await opens.websocket("/open/ws"),
        ]
        streams = opens.gateway.app.services.streams

        await opens.reload(config_for(web.port))

        serving = opens.gateway.app.runtime
        await until(lambda: all(each.evaluated_by is serving for each in streams.all()))
        assert [ws.close_code for ws in sockets] == [None, None]
