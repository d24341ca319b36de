"""A connection that floods the gateway holds up no other client.

Counted, and not timed, so that a busy machine changes nothing: between another
client's request and its answer the flood gets only so many answers, or turns.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.proxy.frames import FrameTracker
from tests.proxy.test_tunnel import KEY
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Client,
    Gateway,
    Line,
    RecordingUpstream,
    ask,
    base_config,
    connected,
    running_gateway,
    stage,
    until,
)

pytestmark = pytest.mark.walk

AT_MOST = 100
"""Answers of a flood while one other client waits for its own: a turn each."""

FLOODS = {
    "401": "GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    "302 for a browser": "GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
    "Accept: text/html\r\n\r\n",
    "404": "GET /.gateway/nothing HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    "405": "POST /.gateway/session.js HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    "421": "GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n",
    "200 of our own": "GET /.gateway/session.js HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    "HEAD": "HEAD /dashboard HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    "preflight": "OPTIONS /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
    "Origin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    "unreadable cookie": "GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
    "Cookie: gateway_session=?\r\n\r\n",
    "unknown session": "GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
    "Cookie: gateway_session=" + "A" * 43 + "\r\n\r\n",
    "handshake without a session": "GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {KEY.decode()}\r\n\r\n",
    "to the upstream": "GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n",
}


def answered(gateway: Gateway) -> int:
    series = gateway.app._reporter.metrics._series
    return sum(one.count for one in series.values())


@asynccontextmanager
async def flooding(client: Client, raw: bytes) -> AsyncIterator[None]:
    """Send `raw` without a pause, and take whatever comes, until the block ends."""

    async def send() -> None:
        while True:
            await client.send(raw)

    async def take() -> None:
        while await client.reader.read(1 << 18):
            continue

    tasks = [asyncio.create_task(send()), asyncio.create_task(take())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


@asynccontextmanager
async def hosted(port: int, folder: Path, redis: Server) -> AsyncIterator[Gateway]:
    """Open a gateway whose routes name their host."""
    config = base_config(port)
    for route in config["routes"]:
        route["match"] = {"path": route["match"], "host": "gw.test"}
    async with running_gateway(config, folder, redis.url) as gateway:
        yield gateway


@pytest.mark.parametrize("flood", FLOODS)
async def test_pipelined_requests_keep_no_other_client_waiting(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, flood: str
) -> None:
    raw = FLOODS[flood].encode() * 4000

    async with (
        hosted(upstream.port, tmp_path, redis) as gateway,
        connected(gateway.port) as client,
        flooding(client, raw),
    ):
        await until(lambda: answered(gateway) > 50)
        before = answered(gateway)
        reply = await ask(gateway.port, target="/static/x")
        meanwhile = answered(gateway) - before
        await until(lambda: answered(gateway) > before + AT_MOST)  # it still floods

    assert reply.status == 200
    assert meanwhile < AT_MOST


async def test_many_pipelined_requests_are_answered_in_their_order(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """More than are read ahead, so reading pauses and goes on between them."""
    wanted = [(404, 405, 421)[number * number % 7 % 3] for number in range(300)]

    async with (
        hosted(upstream.port, tmp_path, redis) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send("".join(FLOODS[str(status)] for status in wanted).encode())
        found = [(await client.reply()).status for _ in wanted]

    assert found == wanted


async def test_pipelined_requests_over_tls_keep_no_other_client_waiting(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    certificate: tuple[Path, Path],
) -> None:
    public, private = certificate
    config = base_config(upstream.port)
    config["server"]["public_url"] = "https://gw.test"
    config["server"]["tls"] = {"certificate": str(public), "key": str(private)}
    how: dict[str, Any] = {
        "ssl": ssl.create_default_context(cafile=str(public)),
        "server_hostname": "gw.test",
    }

    async with (
        running_gateway(config, tmp_path, redis.url) as gateway,
        connected(gateway.port, **how) as client,
        connected(gateway.port, **how) as other,
        flooding(client, FLOODS["401"].encode() * 4000),
    ):
        await until(lambda: answered(gateway) > 50)
        before = answered(gateway)
        await other.send(b"GET /static/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        reply = await other.reply()
        meanwhile = answered(gateway) - before

    assert reply.status == 200
    assert meanwhile < AT_MOST


async def test_refused_handshakes_are_not_buffered_without_end(
    gateway: Gateway,
) -> None:
    raw = FLOODS["handshake without a session"].encode() * 4000
    most = 0

    async with connected(gateway.port) as client, flooding(client, raw):
        [connection] = await until(
            lambda: gateway.app._process.client_server.connections
        )
        while answered(gateway) < 200:
            most = max(most, len(connection._upgrade_data))
            await asyncio.sleep(0.01)

    assert most < 512 * 1024


async def test_who_takes_no_answers_is_answered_no_more(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async with connected(gateway.port, limit=1) as client:
        client.stop_reading()
        sending = asyncio.create_task(client.send(FLOODS["404"].encode() * 100_000))
        [connection] = await until(
            lambda: gateway.app._process.client_server.connections
        )
        await until(lambda: connection.writing_paused)
        held = connection._transport.get_write_buffer_size()
        before = answered(gateway)
        reply = await ask(gateway.port)
        meanwhile = answered(gateway) - before
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    assert held < 128 * 1024
    assert (reply.status, meanwhile) == (200, 1)


SMALL_FRAMES = {
    "masked": b"\x82\x80abcd",
    "unmasked": b"\x82\x00",
    "with a longer length": b"\x82\xfe\x00\x00abcd",
    "with the longest length": b"\x82\xff" + bytes(8) + b"abcd",
    "of one byte": b"\x82\x81abcdx",
}


@pytest.mark.parametrize("kind", SMALL_FRAMES)
def test_a_read_full_of_tiny_frames_is_passed_on_in_several_turns(kind: str) -> None:
    frame = SMALL_FRAMES[kind]
    tracker, whole = FrameTracker(), frame * (256_000 // len(frame))
    left, turns = whole, 0

    while left:
        done = tracker.feed(left)
        left, turns = left[done:], turns + 1
        assert done <= 4200 * len(frame) or done <= 34_000

    assert turns > 6
    assert tracker.at_boundary
    assert not tracker.closed


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + KEY
    + b"\r\n\r\n"
)


async def echo_bytes(line: Line) -> None:
    """Shake hands, and send back whatever comes, as it is."""
    from gateway.proxy.handshake import accept_for

    await line.head()
    await line.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept_for(KEY) + b"\r\n\r\n"
    )
    while data := await line.reader.read(1 << 18):
        await line.send(data)


@pytest.mark.parametrize("kind", SMALL_FRAMES)
async def test_tiny_frames_arrive_both_ways_byte_for_byte(
    redis: Server, tmp_path: Path, kind: str
) -> None:
    frames = SMALL_FRAMES[kind] * 100_000 + os.urandom(8)

    async with (
        stage(echo_bytes) as playing,
        running_gateway(base_config(playing.port), tmp_path, redis.url) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(HANDSHAKE)
        assert (await client.head(interim=True)).status == 101
        sending = asyncio.create_task(client.send(frames))
        async with asyncio.timeout(PATIENCE):
            echoed = client._rest + await client.reader.readexactly(
                len(frames) - len(client._rest)
            )
        await sending

    assert echoed == frames


HELD_BODIES = {
    "chunks of one byte": b"1\r\nx\r\n" * 40_000,
    "one large chunk": b"3d090\r\n" + b"x" * 250_000 + b"\r\n",
}


@pytest.mark.parametrize("kind", HELD_BODIES)
async def test_a_body_in_tiny_chunks_keeps_no_other_client_waiting(
    redis: Server, tmp_path: Path, kind: str
) -> None:
    """The loop turns while it comes: the other client's bytes are read in between."""
    taken = 0

    async def take(line: Line) -> None:
        nonlocal taken
        seen = await line.head()
        if seen.method == "GET":
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        with contextlib.suppress(asyncio.IncompleteReadError):
            async for piece in line.pieces(seen):
                taken += len(piece)

    head = b"POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        stage(take) as playing,
        running_gateway(base_config(playing.port), tmp_path, redis.url) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(head)
        async with flooding(client, HELD_BODIES[kind]):
            await until(lambda: taken)
            before = taken
            reply = await ask(gateway.port)
            meanwhile = taken - before
            await until(lambda: taken > before)

    assert reply.status == 200
    assert meanwhile < 16 << 20
