"""WebSockets through a tunnel, between a real client and a real server."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.errors import InvalidUpstreamResponse, UpstreamTimeout
from gateway.proxy.frames import close_frame
from gateway.proxy.handshake import accept_for
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.target import TargetAddress
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import Upstream
from tests.proxy.support import (
    OK,
    Peer,
    Script,
    ScriptedUpstream,
    client_of,
    get,
    scripted,
    whole,
)
from tests.servers import PATIENCE

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"X-App: 1\r\nSec-WebSocket-Accept: " + accept_for(KEY) + b"\r\n\r\n"
)


class Gate(asyncio.Protocol):
    """The smallest server that plugs a client into a tunnel."""

    def __init__(self, upstream: Upstream, gates: list["Gate"]) -> None:
        self.upstream = upstream
        self.head = b""
        self.opened: Tunnel | None = None
        self.on_closed = asyncio.Event()
        self.gone = asyncio.Event()
        gates.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @property
    def tunnel(self) -> Tunnel:
        assert self.opened is not None
        return self.opened

    def data_received(self, data: bytes) -> None:
        if self.opened is not None:
            self.opened.feed(data)
            return
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            self.task = asyncio.get_running_loop().create_task(self.open())

    async def open(self) -> None:
        fields = dict(
            line.split(b": ", 1) for line in self.head.split(b"\r\n")[1:] if line
        )
        offered = fields.get(b"Sec-WebSocket-Protocol", b"").split(b", ")
        opened = await self.upstream.open_tunnel(
            self.head, key=fields[b"Sec-WebSocket-Key"], offered_protocols=offered
        )
        assert isinstance(opened, Tunnel)
        self.opened = opened
        lines = [b"HTTP/1.1 101 S", b"Upgrade: websocket", b"Connection: Upgrade"]
        lines += [
            b"%b: %b" % field for field in self.tunnel.take_response_head().pairs()
        ]
        self.transport.write(b"\r\n".join([*lines, b"", b""]))
        self.tunnel.attach(self.transport, self.on_closed.set)

    def pause_writing(self) -> None:
        self.tunnel.pause_upstream_reading()

    def resume_writing(self) -> None:
        self.tunnel.resume_upstream_reading()

    def eof_received(self) -> None:
        self.tunnel.feed_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        if self.opened is not None:
            self.opened.feed_eof()


@asynccontextmanager
async def gate_to(port: int) -> AsyncIterator[tuple[int, list[Gate], Upstream]]:
    """A gateway in front of `port`: its address, its gates, the client behind."""
    gates: list[Gate] = []
    address = TargetAddress(scheme="http", host="127.0.0.1", port=port)
    async with client_of(address) as upstream:
        server = await asyncio.get_running_loop().create_server(
            lambda: Gate(upstream, gates), "127.0.0.1", 0
        )
        try:
            yield server.sockets[0].getsockname()[1], gates, upstream
        finally:
            server.close()


@asynccontextmanager
async def walk(
    handler: Callable[[ServerConnection], Awaitable[None]], **options: Any
) -> AsyncIterator[tuple[str, list[Gate], Upstream]]:
    """A gateway in front of a websockets server that runs `handler`."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with gate_to(port) as (gate_port, gates, upstream):
            yield f"ws://127.0.0.1:{gate_port}/ws", gates, upstream


async def until_closed(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        async for message in socket:
            yield message


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


# The handshake


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(accept_for(KEY), accept_for(b"another")),
        SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
        SWITCH.replace(b"X-App: 1", b"Sec-WebSocket-Protocol: chat"),
        b"HTTP/1.1 101 S\r\n\r\n",
        b"",
    ],
)
async def test_a_101_that_does_not_fit_opens_no_tunnel(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(answer + b"\x81\x01x")

    async with scripted(script) as upstream, client_of(upstream) as client:
        with pytest.raises(InvalidUpstreamResponse):
            await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=["v2"])

        assert client.stats()[0].open == 0


@pytest.mark.parametrize("status", [b"200 OK", b"403 No", b"426 Upgrade Required"])
async def test_any_other_answer_is_an_ordinary_one(status: bytes) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(
                b"HTTP/1.1 %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Content-Length: 3\r\n\r\nabc" % status
            )

    async with scripted(script) as upstream, client_of(upstream) as client:
        for _ in range(2):
            answer = await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())

            assert isinstance(answer, UpstreamResponse)
            assert b"%d" % answer.status == status[:3]
            assert await whole(answer) == b"abc"

        assert len(upstream.peers) == 1


async def test_no_answer_to_a_handshake_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    async with (
        scripted(script) as upstream,
        client_of(upstream, response_timeout=0.1) as client,
    ):
        with pytest.raises(UpstreamTimeout):
            await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())


async def test_a_tunnel_counts_until_it_is_closed() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        tunnel = await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())
        assert isinstance(tunnel, Tunnel)
        assert isinstance(tunnel, Tunnel)
        assert (b"X-App", b"1") in tunnel.take_response_head().pairs()
        assert client.stats()[0].in_use == 1

        tunnel.abort()
        await tunnel.closed()

        assert client.stats()[0].open == 0


async def test_a_tunnel_that_is_not_waited_for_any_more_is_closed() -> None:
    """Its 101 arrived, and who waited for it leaves in the same turn."""

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        opening = asyncio.create_task(
            client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())
        )
        async with asyncio.timeout(PATIENCE):
            while not client._pool._tunnels:
                await asyncio.sleep(0)
            assert not opening.done()

            opening.cancel()

            while client.stats()[0].open:
                await asyncio.sleep(0.01)
        assert opening.cancelled()


async def test_a_kept_connection_may_become_a_tunnel() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(SWITCH)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        await get(client)
        tunnel = await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())
        assert isinstance(tunnel, Tunnel)

        assert isinstance(tunnel, Tunnel)
        assert len(upstream.peers) == 1


# Messages


async def test_messages_pass_both_ways() -> None:
    messages: list[str | bytes] = [
        "hello",
        "äöü",
        b"\0\xff" * 100,
        b"",
        "x" * 200_000,
        os.urandom(3_000_000),
    ]
    async with (
        walk(echo, max_size=None) as (url, gates, _),
        connect(url, max_size=None) as socket,
    ):
        for message in messages:
            await socket.send(message)
            assert await socket.recv() == message

        assert gates[0].tunnel.bytes_down > 3_000_000


async def test_many_small_messages_pass_in_order() -> None:
    async with walk(echo) as (url, _, _), connect(url) as socket:

        async def send() -> None:
            for number in range(5000):
                await socket.send(str(number))

        sending = asyncio.create_task(send())
        received = [await socket.recv() for _ in range(5000)]
        await sending

        assert received == [str(number) for number in range(5000)]


async def test_fragments_stay_fragments() -> None:
    async def handler(socket: ServerConnection) -> None:
        pieces = [piece async for piece in socket.recv_streaming()]
        await socket.send([piece.upper() for piece in pieces])

    async with (
        walk(handler, compression=None) as (url, _, _),
        connect(url, compression=None) as socket,
    ):
        await socket.send(["one", "two", "three"])

        pieces = [piece async for piece in socket.recv_streaming()]
        assert pieces[:3] == ["ONE", "TWO", "THREE"]


async def test_pings_reach_the_other_end() -> None:
    async with (
        walk(echo, ping_interval=None) as (url, _, _),
        connect(url, ping_interval=None) as socket,
    ):
        await (await socket.ping(b"are you there"))


async def test_the_subprotocol_is_the_upstreams_choice() -> None:
    async with (
        walk(echo, subprotocols=["v2", "v1"]) as (url, _, _),
        connect(url, subprotocols=[Subprotocol("v1"), Subprotocol("v2")]) as socket,
    ):
        assert socket.subprotocol == "v2"


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "bye"), (1001, ""), (3000, "ä"), (4999, "x")]
)
async def test_the_upstreams_close_code_passes(code: int, reason: str) -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    async with walk(handler) as (url, gates, upstream), connect(url) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()

        assert (socket.close_code, socket.close_reason) == (code, reason)
        await gates[0].tunnel.closed()
        assert upstream.stats()[0].open == 0


@pytest.mark.parametrize("code", [1000, 1011, 4000])
async def test_the_clients_close_code_passes(code: int) -> None:
    codes: asyncio.Queue[int | None] = asyncio.Queue()

    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()
        codes.put_nowait(socket.close_code)

    async with walk(handler) as (url, gates, _):
        async with connect(url) as socket:
            await socket.close(code)

        assert await codes.get() == code
        await gates[0].on_closed.wait()


# Ends


async def test_the_upstreams_death_ends_the_client() -> None:
    async def handler(socket: ServerConnection) -> None:
        socket.transport.abort()

    async with walk(handler) as (url, gates, _), connect(url) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()

        assert socket.close_code == 1006
        await gates[0].on_closed.wait()


async def test_the_clients_death_ends_the_upstream() -> None:
    ended = asyncio.Event()

    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()
        ended.set()

    async with walk(handler) as (url, gates, upstream):
        async with connect(url) as socket:
            socket.transport.abort()

        await ended.wait()
        await gates[0].tunnel.closed()
        assert upstream.stats()[0].open == 0


@pytest.mark.parametrize(
    ("code", "reason"), [(1001, "restart"), (1008, "session ended")]
)
async def test_a_close_of_ours_reaches_both_ends(code: int, reason: str) -> None:
    seen: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    async def handler(socket: ServerConnection) -> None:
        await socket.wait_closed()
        seen.put_nowait((socket.close_code, socket.close_reason))

    async with walk(handler) as (url, gates, _), connect(url) as socket:
        gates[0].tunnel.close(code, reason)
        with pytest.raises(ConnectionClosed):
            await socket.recv()

        assert (socket.close_code, socket.close_reason) == (code, reason)
        assert await seen.get() == (code, reason)
        await gates[0].on_closed.wait()
        await gates[0].gone.wait()


async def test_a_close_of_ours_in_the_middle_of_traffic_breaks_no_frame() -> None:
    async def handler(socket: ServerConnection) -> None:
        while True:
            await socket.send(b"x" * 100_000)

    async with (
        walk(handler, compression=None) as (url, gates, _),
        connect(url, compression=None) as socket,
    ):
        for _ in range(3):
            await socket.recv()
        gates[0].tunnel.close(1008, "session ended")

        async for message in until_closed(socket):
            assert message == b"x" * 100_000

        assert socket.close_code == 1008


class Outside:
    """A raw client of a Gate: reads and writes bytes."""

    @asynccontextmanager
    @staticmethod
    async def of(
        script: Script,
    ) -> AsyncIterator[
        tuple[asyncio.StreamReader, asyncio.StreamWriter, Gate, ScriptedUpstream]
    ]:
        async with (
            scripted(script) as upstream,
            gate_to(upstream.address.port) as (port, gates, _),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(HANDSHAKE)
                await reader.readuntil(b"\r\n\r\n")
                yield reader, writer, gates[0], upstream
            finally:
                writer.close()


async def test_bytes_that_came_with_the_101_come_first() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH + b"\x81\x03one")
        peer.write(b"\x81\x03two")
        await peer.rest()

    async with Outside.of(script) as (reader, _, _, _):
        assert await reader.readexactly(10) == b"\x81\x03one\x81\x03two"


async def test_a_close_of_ours_waits_for_the_end_of_a_frame() -> None:
    half, rest = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH + b"\x81\x06abc")
        half.set()
        await rest.wait()
        peer.write(b"def\x81\x05after")
        await peer.rest()

    async with Outside.of(script) as (reader, _, gate, _):
        assert await reader.readexactly(5) == b"\x81\x06abc"
        gate.tunnel.close(1001, "over")
        rest.set()

        ours = close_frame(1001, "over", mask=None)
        assert await reader.readexactly(3 + len(ours)) == b"def" + ours


async def test_who_never_ends_his_frame_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH + b"\x81\x06abc")
        await peer.rest()

    async with Outside.of(script) as (reader, _, gate, _):
        assert await reader.readexactly(5) == b"\x81\x06abc"
        gate.tunnel.close(1001, "over")

        assert await reader.read() == b""
        await gate.tunnel.closed()


async def test_who_never_answers_our_close_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        await peer.rest()

    async with Outside.of(script) as (reader, _, gate, upstream):
        gate.tunnel.close(1001, "over")

        assert await reader.read() == close_frame(1001, "over", mask=None)
        await gate.tunnel.closed()
        received = upstream.received[0]
        assert received[len(HANDSHAKE) :][:2] == b"\x88\x86"


async def test_nothing_is_sent_after_a_close_that_passed() -> None:
    theirs = close_frame(1000, "bye", mask=None)

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH + theirs)
        await peer.rest()

    async with Outside.of(script) as (reader, writer, gate, _):
        assert await reader.readexactly(len(theirs)) == theirs
        gate.tunnel.close(1008, "session ended")
        writer.write(close_frame(1000, "bye", mask=b"mask"))

        assert await reader.read() == b""


async def test_a_close_of_ours_before_there_is_a_client() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        tunnel = await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())
        assert isinstance(tunnel, Tunnel)
        tunnel.close(1001, "over")
        await tunnel.closed()

        assert client.stats()[0].open == 0


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_a_half_close_ends_both(side: str) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        if side == "upstream":
            peer.writer.write_eof()
        await peer.rest()
        closed.set()

    async with Outside.of(script) as (reader, writer, gate, _):
        if side == "client":
            writer.write_eof()

        assert await reader.read() == b""
        await closed.wait()
        await gate.on_closed.wait()


async def test_much_that_comes_before_the_client_waits_for_him() -> None:
    total = 4 * 1024 * 1024

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH + b"\x82\x7f" + total.to_bytes(8))
        peer.write(bytes(total))
        await peer.rest()

    received = bytearray()

    class Client(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            received.extend(data)

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            pass

        abort = close

    async with scripted(script) as upstream, client_of(upstream) as client:
        tunnel = await client.open_tunnel(HANDSHAKE, key=KEY, offered_protocols=())
        assert isinstance(tunnel, Tunnel)
        while len(tunnel._early) < 3 and sum(map(len, tunnel._early)) < 262_144:
            await asyncio.sleep(0)
        tunnel.attach(Client())
        while len(received) < total + 10:
            await asyncio.sleep(0)

        assert tunnel.bytes_down == total + 10


async def test_a_reader_that_stops_stops_the_upstream() -> None:
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.answer(SWITCH)
        for _ in range(1000):
            peer.write(b"\x82\x7f" + (65536).to_bytes(8) + bytes(65536))
            await peer.writer.drain()
            written += 65536

    async with Outside.of(script) as (reader, _, gate, _):
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.05)

        assert written < 32 * 1024 * 1024
        assert gate.transport.get_write_buffer_size() < 1024 * 1024
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        assert total == 1000 * (65536 + 10)


async def test_an_upstream_that_stops_stops_the_client() -> None:
    read_on = asyncio.Event()
    total = 1000 * 65536

    async def script(peer: Peer) -> None:
        await peer.answer(SWITCH)
        await read_on.wait()
        left = total + 14
        while left:
            left -= len(await peer.reader.read(1 << 20))
        peer.write(b"\x88\x00")

    async with Outside.of(script) as (reader, writer, _, _):
        written = 0
        blocked = False
        writer.write(b"\x82\xff" + total.to_bytes(8) + b"mask")
        for _ in range(1000):
            writer.write(bytes(65536))
            written += 65536
            if not blocked:
                try:
                    async with asyncio.timeout(0.5):
                        await writer.drain()
                except TimeoutError:
                    blocked = True
                    assert written < 32 * 1024 * 1024
                    read_on.set()
            else:
                await writer.drain()

        assert blocked
        assert await reader.readexactly(2) == b"\x88\x00"
