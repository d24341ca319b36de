"""A session that ends in one gateway ends what is open in another, by a push.

Two `gateway run` on one Redis. What closes as soon as these tests wait for it was
pushed: the re-check, which catches a push that was lost, comes every 20 seconds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from tests.servers import PATIENCE, SOON, Server
from tests.walk.harness import (
    PROGRAM,
    Client,
    GatewayProcess,
    Line,
    Seen,
    ask,
    base_config,
    connected,
    gateway_process,
    running_gateway,
    sign_in_header,
    stage,
)

PERSON = {"identity": {"id": "u_far"}, "tenants": {"t_acme": {"name": "Acme"}}}
"""Somebody of these tests alone: they end all of the sessions of one."""
EVENTS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
)
SIGNED_IN = (
    "HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n"
    f"X-Gateway-Sign-In: {sign_in_header(PERSON)}\r\n\r\n"
)
SIGNED_OUT = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Gateway-Sign-Out: all\r\n\r\n"


async def app(line: Line) -> None:
    """Sign in and out as asked, and stream events without an end."""
    while True:
        seen: Seen = await line.request()
        match seen.target:
            case "/auth/login":
                await line.send(SIGNED_IN.encode())
            case "/everywhere":
                await line.send(SIGNED_OUT.encode())
            case "/dashboard/events":
                await line.send(EVENTS)
                return await line.gone()
            case _:
                await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@dataclass
class Two:
    """Two processes, and what is open through the far one."""

    near: GatewayProcess
    far: GatewayProcess
    stack: AsyncExitStack
    sockets: list[ClientConnection] = field(default_factory=list)
    streams: list[Client] = field(default_factory=list)

    async def sign_in(self) -> str:
        reply = await ask(self.near.port, "POST", "/auth/login")
        return reply.present("Set-Cookie").partition(";")[0]

    async def open(self, cookie: str) -> None:
        """Open a WebSocket and an event stream through the far process."""
        ws = await self.stack.enter_async_context(
            connect(
                f"ws://127.0.0.1:{self.far.port}/ws/x",
                additional_headers={"Cookie": cookie},
            )
        )
        client = await self.stack.enter_async_context(connected(self.far.port))
        await client.send(
            b"GET /dashboard/events HTTP/1.1\r\nHost: gw.test\r\nCookie: %s\r\n\r\n"
            % cookie.encode()
        )
        await client.head()
        assert await client.piece() == b"data: 1\n\n"
        await ws.send("hello")
        assert await ws.recv() == "hello"
        self.sockets.append(ws)
        self.streams.append(client)

    async def ask(
        self, method: str, target: str, cookie: str, body: bytes = b""
    ) -> Any:
        fields = PROGRAM | {"Cookie": cookie}
        return await ask(self.near.port, method, target, fields, body)


@pytest.fixture
async def two(redis: Server, tmp_path: Path) -> AsyncIterator[Two]:
    async with two_gateways(redis, tmp_path) as running:
        yield running


@asynccontextmanager
async def two_gateways(redis: Server, folder: Path) -> AsyncIterator[Two]:
    async with (
        serve(echo, "127.0.0.1", 0) as sockets,
        stage(app) as playing,
        AsyncExitStack() as stack,
    ):
        config = base_config(playing.port)
        config["upstreams"]["ws"] = {
            "url": f"http://127.0.0.1:{sockets.sockets[0].getsockname()[1]}"
        }
        config["routes"].append(
            {"match": "/ws/**", "rule": "protected", "upstream": "ws"}
        )
        both: list[GatewayProcess] = []
        for name in ("near", "far"):
            place = folder / name
            place.mkdir()
            both.append(
                await stack.enter_async_context(
                    gateway_process(config, place, redis.url)
                )
            )
        # What is open is closed before the processes are told to end.
        async with AsyncExitStack() as opened:
            yield Two(both[0], both[1], opened)


async def is_over(ws: ClientConnection, client: Client) -> None:
    await asyncio.wait_for(ws.wait_closed(), SOON)
    assert (ws.close_code, ws.close_reason) == (1008, "session_revoked")
    with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
        await client.piece()


async def is_open(ws: ClientConnection) -> None:
    await ws.send("still here")
    assert await asyncio.wait_for(ws.recv(), PATIENCE) == "still here"


async def by_the_button(two: Two, mine: str, _other: str) -> None:
    assert (await two.ask("POST", "/.gateway/logout", mine)).status == 303


async def by_the_sdk(two: Two, mine: str, other: str) -> None:
    whoami = await two.ask("GET", "/.gateway/sessions/whoami", mine)
    target = f"/.gateway/sessions/{whoami.json()['id']}"
    assert (await two.ask("DELETE", target, other)).status == 204


async def by_the_account_page(two: Two, mine: str, other: str) -> None:
    whoami = await two.ask("GET", "/.gateway/sessions/whoami", mine)
    body = f"session_id={whoami.json()['id']}".encode()
    reply = await two.ask("POST", "/.gateway/account/end", other, body)
    assert reply.one("Location").endswith("notice=ended")


@pytest.mark.parametrize("way", [by_the_button, by_the_sdk, by_the_account_page])
async def test_one_that_ends_takes_along_what_is_open_elsewhere_and_no_other(
    two: Two, way: Callable[[Two, str, str], Awaitable[None]]
) -> None:
    mine, other = await two.sign_in(), await two.sign_in()
    await two.open(mine)
    await two.open(other)

    await way(two, mine, other)

    await is_over(two.sockets[0], two.streams[0])
    await is_open(two.sockets[1])
    for port in (two.near.port, two.far.port):
        for cookie, status in ((mine, 401), (other, 200)):
            fields = PROGRAM | {"Cookie": cookie}
            assert (await ask(port, "GET", "/dashboard", fields)).status == status


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", "/.gateway/sessions"), ("POST", "/.gateway/account/end-others")],
)
async def test_all_others_end_and_ones_own_goes_on(
    two: Two, method: str, target: str
) -> None:
    cookies = [await two.sign_in() for _ in range(3)]
    for cookie in cookies:
        await two.open(cookie)

    assert (await two.ask(method, target, cookies[0])).status < 400

    for at in (1, 2):
        await is_over(two.sockets[at], two.streams[at])
    await is_open(two.sockets[0])


async def test_all_end_when_the_app_signs_out_everywhere(two: Two) -> None:
    cookies = [await two.sign_in() for _ in range(2)]
    for cookie in cookies:
        await two.open(cookie)

    await two.ask("POST", "/everywhere", cookies[0])

    for ws, stream in zip(two.sockets, two.streams, strict=True):
        await is_over(ws, stream)


async def test_an_end_that_was_never_pushed_is_found_by_asking_again(
    redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program writes `active: false` into the record, and tells nobody."""
    monkeypatch.setattr("gateway.server.reevaluation._CHECK_EVERY", 0.1)
    async with serve(echo, "127.0.0.1", 0) as sockets:
        config = base_config(sockets.sockets[0].getsockname()[1])
        async with running_gateway(config, tmp_path, redis.url) as running:
            cookie, other = await running.sign_in(), await running.sign_in()
            key = f"gateway:session:{running.key_of(cookie)}"
            url = f"ws://127.0.0.1:{running.port}/dashboard"
            async with (
                connect(url, additional_headers={"Cookie": cookie}) as ws,
                connect(url, additional_headers={"Cookie": other}) as untouched,
            ):
                record = json.loads(redis.command_line("GET", key))
                redis.command_line("SET", key, json.dumps(record | {"active": False}))

                await asyncio.wait_for(ws.wait_closed(), PATIENCE)

                assert (ws.close_code, ws.close_reason) == (1008, "session_revoked")
                await is_open(untouched)
