"""WebSockets: a tunnel that changes nothing, and that ends when its session ends."""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h11
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.utils import accept_key

from gateway.proxy.frames import close_frame
from gateway.server.streams import recheck
from gateway.sessions.record import Session
from gateway.sessions.redis.record_keys import ENDED_CHANNEL
from tests.servers import PATIENCE, SOON, Server
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    Gateway,
    Line,
    ask,
    base_config,
    connected,
    running_gateway,
    stage,
    until,
)

MIB = 1 << 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Talk = Callable[[ServerConnection], Awaitable[None]]
Open = Callable[..., Any]


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.fixture
async def open_gateway(tmp_path: Path, redis: Server) -> Open:
    @asynccontextmanager
    async def opened(port: int, **store: str) -> AsyncIterator[Gateway]:
        config = base_config(port)
        config["redis"] |= store
        config["routes"].append(
            {
                "match": "/guarded/**",
                "rule": "protected",
                "cross_site": "refuse",
                "upstream": "web",
            }
        )
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            yield gateway

    return opened


@pytest.fixture
def talking(open_gateway: Open) -> Open:
    """Open a gateway in front of a WebSocket server; gives both ends of a WebSocket."""

    @asynccontextmanager
    async def opened(
        talk: Talk = echo, *, target: str = "/dashboard", **how: Any
    ) -> AsyncIterator[tuple[Gateway, ClientConnection]]:
        speaks, store = how.pop("speaks", None), how.pop("store", {})
        async with (
            serve(talk, "127.0.0.1", 0, subprotocols=speaks, max_size=None) as server,
            open_gateway(server.sockets[0].getsockname()[1], **store) as gateway,
        ):
            cookie = how.pop("cookie", None) or await gateway.sign_in()
            async with dial(gateway, target, cookie, **how) as ws:
                yield gateway, ws

    return opened


def dial(gateway: Gateway, target: str, cookie: str | None, **how: Any) -> connect:
    headers = how.pop("headers", {}) | ({"Cookie": cookie} if cookie else {})
    return connect(
        f"ws://127.0.0.1:{gateway.port}{target}",
        additional_headers=headers,
        **{"compression": None, "max_size": None, "close_timeout": PATIENCE, **how},
    )


def handshake(target: str, *lines: str) -> bytes:
    fields = [
        f"GET {target} HTTP/1.1",
        "Host: gw.test",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    return "\r\n".join([*fields, *lines, "", ""]).encode()


def switching(key: str, *lines: str) -> bytes:
    return "\r\n".join(
        [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            *lines,
            "",
            "",
        ]
    ).encode()


# Who may open one


def kept() -> Counter[str]:
    """Count the objects of this process that only the handshake of a WebSocket needs."""
    gc.collect()
    names = {"Forward", "OutboundRequest", "RawRequestMessage", "HttpRequestParser"}
    found = Counter(type(each).__name__ for each in gc.get_objects())
    return Counter({name: found[name] for name in names if found[name]})


async def test_an_open_websocket_keeps_nothing_of_its_handshake(talking: Open) -> None:
    """It may be open for days, and there may be thousands."""
    async with talking() as (gateway, first):
        await first.send("x")
        assert await first.recv() == "x"
        cookie, before = await gateway.sign_in(), kept()
        async with AsyncExitStack() as stack:
            for number in range(5):
                more = await stack.enter_async_context(
                    dial(gateway, f"/dashboard/{number}", cookie)
                )
                await more.send("y")
                assert await more.recv() == "y"

            assert kept() - before == Counter()


@pytest.mark.parametrize(
    ("target", "cookie", "lines", "status", "reason"),
    [
        ("/dashboard", False, [], 401, "no_session"),
        ("/dashboard", False, [f"{n}: {v}" for n, v in BROWSER.items()], 401, "no_session"),
        ("/api/clock", False, [], 401, "no_session"),
        ("/admin", True, [], 403, "not_admin"),
        ("/guarded", True, ["Origin: https://evil.example"], 403, "cross_site"),
        ("/guarded", True, ["Origin: null"], 403, "cross_site"),
        ("/guarded", True, ["Sec-Fetch-Site: cross-site"], 403, "cross_site"),
        ("/nothing/../x", True, [], 400, "bad_target"),
    ],
)  # fmt: skip
async def test_who_may_not_open_one_does_not_reach_the_upstream(
    open_gateway: Open,
    target: str,
    cookie: bool,
    lines: Sequence[str],
    status: int,
    reason: str,
) -> None:
    async def upstream(line: Line) -> None:
        raise AssertionError("a connection came")

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        held = [f"Cookie: {await gateway.sign_in()}"] if cookie else []
        await client.send(handshake(target, *held, *lines))
        reply = await client.reply()

    assert reply.status == status
    assert reply.json()["reason"] == reason


async def test_the_own_site_may_open_one(talking: Open) -> None:
    async with talking(target="/guarded", origin="http://gw.test") as (_, ws):
        await ws.send("hello")
        assert await ws.recv() == "hello"


REFUSALS = [
    (b"426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", 426),
    (b"403 Forbidden\r\n", 403),
    (b"200 OK\r\n", 200),
    (b"302 Found\r\nLocation: /x\r\n", 302),
]


@pytest.mark.parametrize(("answer", "status"), REFUSALS)
async def test_an_upstream_that_refuses_answers_as_to_any_request(
    open_gateway: Open, answer: bytes, status: int
) -> None:
    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 ", answer, b"Content-Length: 4\r\n\r\nbody")
        seen = await line.request()
        assert seen.target == "/next"
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(handshake("/"))
        reply = await client.reply()
        await client.send(b"GET /next HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        following = await client.reply()

    assert (reply.status, reply.body) == (status, b"body")
    assert following.body == b"next"


WRONG = [
    pytest.param(["Sec-WebSocket-Accept: " + accept_key("b3RoZXI=")], id="accept"),
    pytest.param([], id="no-accept"),
    pytest.param(
        [f"Sec-WebSocket-Accept: {accept_key(KEY)}", "Sec-WebSocket-Protocol: other"],
        id="protocol",
    ),
    pytest.param(
        [f"Sec-WebSocket-Accept: {accept_key(KEY)}", "Upgrade: h2c"], id="upgrade"
    ),
]


@pytest.mark.parametrize("lines", WRONG)
async def test_an_upstream_that_did_not_shake_hands_gets_no_tunnel(
    open_gateway: Open, lines: Sequence[str]
) -> None:
    async def upstream(line: Line) -> None:
        await line.head()
        await line.send(
            "\r\n".join(
                [
                    "HTTP/1.1 101 Switching Protocols",
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    *lines,
                    "",
                    "",
                ]
            ).encode()
        )
        await line.gone()

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(handshake("/", "Sec-WebSocket-Protocol: chat"))
        reply = await client.reply()

    assert reply.status == 502
    assert reply.json()["reason"] == "upstream_bad_answer"


# What passes


@pytest.mark.parametrize(
    "message", ["", "text ✓", b"", bytes(range(256)), os.urandom(4 * MIB)], ids=len
)
async def test_a_message_comes_back_as_it_was(
    talking: Open, message: str | bytes
) -> None:
    async with talking() as (_, ws):
        await ws.send(message)
        assert await ws.recv() == message


async def test_a_message_in_fragments_arrives_whole(talking: Open) -> None:
    async with talking() as (_, ws):
        await ws.send(["one ", "two ", "three"])
        assert await ws.recv() == "one two three"


async def test_a_compressed_message_arrives(talking: Open) -> None:
    async with talking(compression="deflate") as (_, ws):
        await ws.send("again and " * 1000)
        assert await ws.recv() == "again and " * 1000


async def test_many_small_messages_arrive_in_their_order(talking: Open) -> None:
    async with talking() as (_, ws):

        async def send_all() -> None:
            for number in range(2000):
                await ws.send(str(number))

        sending = asyncio.create_task(send_all())
        got = [await ws.recv() for _ in range(2000)]
        await sending

    assert got == [str(number) for number in range(2000)]


async def test_a_subprotocol_is_agreed_between_the_two_ends(talking: Open) -> None:
    async with talking(speaks=["chat", "other"], subprotocols=["none", "other"]) as (
        _,
        ws,
    ):
        assert ws.subprotocol == "other"


async def test_the_upstream_gets_the_identity_of_a_handshake(talking: Open) -> None:
    reported: dict[str, list[str]] = {}

    async def talk(ws: ServerConnection) -> None:
        for name in ("X-Auth-User-Id", "X-Auth-Role", "Cookie", "X-Auth-Assertion"):
            assert ws.request
            reported[name] = ws.request.headers.get_all(name)
        await ws.send("told")

    async with talking(talk, headers={"X-Auth-User-Id": "root"}) as (gateway, ws):
        await ws.recv()
        # Its token was sent, however long the WebSocket stays open.
        counted = dict(gateway.app._reporter.metrics._tokens)

    assert sum(counted.values()) == 1
    assert gateway.app._reporter.metrics._tokens == counted
    assert reported["X-Auth-User-Id"] == ["u_grace"]
    assert reported["X-Auth-Role"] == ["member"]
    assert reported["Cookie"] == []
    assert len(reported["X-Auth-Assertion"]) == 1


def frame(first: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A frame by hand; RFC 6455, section 5.2."""
    size = len(payload)
    bit = 0x80 if mask else 0
    head = (
        bytes((first, bit | size))
        if size < 126
        else bytes((first, bit | 126)) + size.to_bytes(2)
        if size < 65536
        else bytes((first, bit | 127)) + size.to_bytes(8)
    )
    body = bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else payload
    return head + mask + body


def a_bit_of_everything(mask: bytes) -> bytes:
    return b"".join(
        [
            frame(0x89, b"ping payload", mask),
            frame(0x8A, b"a pong nobody asked for", mask),
            frame(0x01, b"frag", mask),
            frame(0x89, b"", mask),
            frame(0x00, b"", mask),
            frame(0x80, b"ments", mask),
            frame(0xC1, bytes(range(200)), mask),  # RSV1: compressed
            frame(0x82, os.urandom(70_000), mask),
            frame(0xF3, b"reserved opcode and bits", mask),
            frame(0x88, (4999).to_bytes(2) + b"goodbye", mask),
        ]
    )


@pytest.mark.parametrize("early", [True, False])
async def test_each_byte_of_each_frame_passes_as_it_is(
    open_gateway: Open, early: bool
) -> None:
    up, down = a_bit_of_everything(b"\1\2\3\4"), a_bit_of_everything(b"")

    async def upstream(line: Line) -> None:
        seen = await line.head()
        answer = switching(seen.one("Sec-WebSocket-Key") or "")
        if early:
            await line.send(answer + down)
        else:
            await line.send(answer)
            await line.send(down)
        assert await line.reader.readexactly(len(up)) == up

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        cookie = f"Cookie: {await gateway.sign_in()}"
        if early:
            await client.send(handshake("/dashboard", cookie) + up)
            head = await client.head()
        else:
            await client.send(handshake("/dashboard", cookie))
            head = await client.head()
            await client.send(up)
        assert head.status == 101
        assert head.one("Sec-WebSocket-Accept") == accept_key(KEY)
        assert await client.silence() == down
        await asyncio.wait_for(asyncio.gather(*playing.played), PATIENCE)


CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999]


@pytest.mark.parametrize("code", CODES)
async def test_the_close_code_of_the_client_reaches_the_upstream(
    talking: Open, code: int
) -> None:
    closed = asyncio.get_running_loop().create_future()

    async def talk(ws: ServerConnection) -> None:
        await ws.wait_closed()
        closed.set_result((ws.close_code, ws.close_reason))

    async with talking(talk) as (_, ws):
        await ws.close(code, "so long")
        assert await asyncio.wait_for(closed, PATIENCE) == (code, "so long")


@pytest.mark.parametrize("code", CODES)
async def test_the_close_code_of_the_upstream_reaches_the_client(
    talking: Open, code: int
) -> None:
    async def talk(ws: ServerConnection) -> None:
        await ws.close(code, "so long")

    async with talking(talk) as (_, ws):
        await asyncio.wait_for(ws.wait_closed(), PATIENCE)
        assert (ws.close_code, ws.close_reason) == (code, "so long")


# How one ends


async def closed_with(ws: ClientConnection) -> tuple[int | None, str | None]:
    await asyncio.wait_for(ws.wait_closed(), SOON)
    return ws.close_code, ws.close_reason


async def hears_of_ends(gateway: Gateway, redis: Server) -> asyncio.Event:
    """Return once the gateway is told of ends; the event is set at the next one."""
    received: set[str] = set()
    reported = asyncio.Event()

    def on_ended(key: str, _reason: str) -> None:
        received.add(key)
        if key != "probe":
            reported.set()

    def probe() -> bool:
        redis.command_line("PUBLISH", ENDED_CHANNEL, '{"key": "probe", "reason": "x"}')
        return bool(received)

    gateway.app.store.watch(on_ended)
    await until(probe)
    return reported


async def session_of(gateway: Gateway, cookie: str) -> tuple[str, Session]:
    key = gateway.key_of(cookie)
    session = await gateway.own_store.load(key)
    assert isinstance(session, Session)
    return key, session


async def test_a_session_that_is_revoked_ends_its_websockets_and_no_others(
    talking: Open,
) -> None:
    async with talking() as (gateway, other):
        cookie = await gateway.sign_in()
        async with (
            dial(gateway, "/dashboard", cookie) as first,
            dial(gateway, "/", cookie) as second,
            dial(gateway, "/", None) as anonymous,
        ):
            await gateway.app.store.end(gateway.key_of(cookie), time.time())

            assert await closed_with(first) == (1008, "session_revoked")
            assert await closed_with(second) == (1008, "session_revoked")
            for ws in (other, anonymous):
                await ws.send("still here")
                assert await ws.recv() == "still here"


async def test_signing_out_ends_the_websockets_of_the_session(talking: Open) -> None:
    upstream_closed = asyncio.get_running_loop().create_future()

    async def talk(ws: ServerConnection) -> None:
        await ws.wait_closed()
        upstream_closed.set_result(ws.close_code)

    async with talking(talk, cookie=None) as (gateway, _):
        cookie = await gateway.sign_in()
        upstream_closed = asyncio.get_running_loop().create_future()
        async with dial(gateway, "/dashboard", cookie) as ws:
            reply = await ask(
                gateway.port, "POST", "/.gateway/logout", {"Cookie": cookie}
            )

            assert reply.status == 303
            assert (await closed_with(ws))[0] == 1008
            assert await asyncio.wait_for(upstream_closed, SOON) == 1008


async def test_a_session_that_is_revoked_ends_its_streams(
    open_gateway: Open,
) -> None:
    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        )
        await line.gone(within=SOON)

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        cookie = await gateway.sign_in()
        await client.send(
            f"GET /dashboard HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        await client.head()
        assert await client.piece() == b"data: 1\n\n"
        await gateway.app.store.end(gateway.key_of(cookie), time.time())
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            await asyncio.wait_for(client.piece(), SOON)
        await asyncio.gather(*playing.played)


async def test_a_session_that_ends_during_the_handshake_ends_the_websocket(
    open_gateway: Open, redis: Server
) -> None:
    arrived, revoked = asyncio.Event(), asyncio.Event()

    async def upstream(line: Line) -> None:
        seen = await line.head()
        arrived.set()
        await revoked.wait()
        await line.send(switching(seen.one("Sec-WebSocket-Key") or ""))
        await line.gone(within=SOON)

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        cookie = await gateway.sign_in()
        reported = await hears_of_ends(gateway, redis)
        await client.send(handshake("/dashboard", f"Cookie: {cookie}"))
        await arrived.wait()
        await gateway.app.store.end(gateway.key_of(cookie), time.time())
        await asyncio.wait_for(reported.wait(), PATIENCE)
        revoked.set()
        assert (await client.head()).status == 101
        rest = await asyncio.wait_for(client.silence(), SOON)

    assert rest == close_frame(1008, "session_revoked", mask=None)


async def test_a_session_that_ends_before_an_answer_begins_ends_the_stream(
    open_gateway: Open, redis: Server
) -> None:
    arrived, revoked = asyncio.Event(), asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.request()
        arrived.set()
        await revoked.wait()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await line.gone(within=SOON)

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        cookie = await gateway.sign_in()
        reported = await hears_of_ends(gateway, redis)
        await client.send(
            f"GET /dashboard HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        await arrived.wait()
        await gateway.app.store.end(gateway.key_of(cookie), time.time())
        await asyncio.wait_for(reported.wait(), PATIENCE)
        revoked.set()
        rest = await asyncio.wait_for(client.silence(), SOON)

    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_session_that_expires_meanwhile_is_noticed(talking: Open) -> None:
    async with talking() as (gateway, other):
        cookie = await gateway.sign_in()
        async with (
            dial(gateway, "/dashboard", cookie) as ws,
            dial(gateway, "/", None) as anonymous,
        ):
            key, session = await session_of(gateway, cookie)
            past = replace(session, expires_at=time.time() - 1)
            assert await gateway.own_store.replace(key, session, past)

            gateway.app._process.checks.check_sessions_soon()

            assert await closed_with(ws) == (1008, "session_expired")
            for open_one in (other, anonymous):
                await open_one.send("still here")
                assert await open_one.recv() == "still here"


async def test_an_outage_of_the_store_ends_no_websocket(
    talking: Open, redis: Server
) -> None:
    async with talking(store=IMPATIENT) as (gateway, ws):
        redis.freeze()
        try:
            app = gateway.app
            streams = app.services.streams
            keys = streams.sessions()
            unknown = await recheck(streams, app._process.checks.why_ended, keys)
            assert unknown == list(keys) != []
        finally:
            redis.thaw()
        await ws.send("still here")
        assert await ws.recv() == "still here"


async def test_a_gateway_that_stops_closes_both_ends(talking: Open) -> None:
    upstream_closed = asyncio.get_running_loop().create_future()

    async def talk(ws: ServerConnection) -> None:
        await ws.send("hello")
        await ws.wait_closed()
        upstream_closed.set_result(ws.close_code)

    async with talking(talk) as (gateway, ws):
        await ws.recv()
        draining = asyncio.create_task(gateway.app.drain())
        assert (await closed_with(ws))[0] == 1001
        assert await asyncio.wait_for(upstream_closed, SOON) == 1001
        await asyncio.wait_for(draining, PATIENCE)


async def test_a_gateway_that_stops_lets_a_download_come_to_its_end(
    open_gateway: Open,
) -> None:
    draining = asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await draining.wait()
        await line.send(b"-last")

    async with (
        stage(upstream) as playing,
        open_gateway(playing.port) as gateway,
        connected(gateway.port) as client,
    ):
        cookie = await gateway.sign_in()
        await client.send(
            f"GET /dashboard HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        await client.head()
        assert await client.piece() == b"first"
        stopping = asyncio.create_task(gateway.app.drain())
        await asyncio.sleep(0)
        draining.set()
        assert await client.piece() == b"-last"
        assert await client.piece() == b""
        await asyncio.wait_for(stopping, PATIENCE)


async def test_a_client_that_vanishes_takes_the_upstreams_end_along(
    talking: Open,
) -> None:
    closed = asyncio.get_running_loop().create_future()

    async def talk(ws: ServerConnection) -> None:
        await ws.send("hello")
        await ws.wait_closed()
        closed.set_result(ws.close_code)

    async with talking(talk) as (_, ws):
        await ws.recv()
        ws.transport.abort()
        assert await asyncio.wait_for(closed, PATIENCE) == 1006


async def test_an_upstream_that_vanishes_takes_the_clients_end_along(
    talking: Open,
) -> None:
    async def talk(ws: ServerConnection) -> None:
        await ws.recv()
        ws.transport.abort()

    async with talking(talk) as (_, ws):
        await ws.send("die")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(ws.recv(), PATIENCE)
        assert ws.close_code == 1006


async def test_a_reader_that_stops_stops_the_writer(talking: Open) -> None:
    message = os.urandom(MIB)
    stalled = asyncio.get_running_loop().create_future()

    async def talk(ws: ServerConnection) -> None:
        for number in range(256):
            try:
                async with asyncio.timeout(0.5):
                    await ws.send(message)
            except TimeoutError:
                stalled.set_result(number)
                break
        await ws.wait_closed()

    async with talking(talk, max_queue=1, close_timeout=1) as (_, ws):
        assert await asyncio.wait_for(stalled, PATIENCE) < 64
        assert await ws.recv() == message


async def test_a_reader_upstream_that_stops_stops_the_client(talking: Open) -> None:
    message = os.urandom(MIB)
    go_on = asyncio.Event()

    async def talk(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await go_on.wait()
        ws.transport.resume_reading()
        await ws.send(await ws.recv())

    async with talking(talk) as (_, ws):
        sent = 0
        with pytest.raises(TimeoutError):
            for _ in range(256):
                async with asyncio.timeout(0.5):
                    await ws.send(message)
                sent += 1
        go_on.set()
        assert sent < 64
        assert await ws.recv() == message
        ws.transport.abort()


async def test_the_log_has_one_line_for_one_websocket(talking: Open) -> None:
    async with talking() as (gateway, ws):
        await ws.send("hello")
        await ws.recv()
        await ws.close(1000)

    lines = [
        line for line in gateway.lines() if line["event.dataset"] == "gateway.access"
    ]
    assert [line["http.response.status_code"] for line in lines] == [101]
