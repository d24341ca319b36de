"""Bodies and framing, both ways: every byte, in time, and an end that can be told."""

import asyncio
import contextlib
import gc
import gzip
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import pytest

from gateway.server.request_reader import RequestReader
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    PROGRAM,
    Gateway,
    Line,
    RecordingUpstream,
    Stage,
    ask,
    base_config,
    connected,
    gateway_process,
    running_gateway,
    stage,
    until,
)

MIB = 1 << 20
STALLED = 0.5  # seconds without a byte moving, where bytes would move in micros

Play = Callable[..., Any]


@pytest.fixture
async def play(tmp_path: Path, redis: Server) -> Play:
    """Open a gateway in front of a script."""

    @asynccontextmanager
    async def open_both(script: Play) -> AsyncIterator[tuple[Gateway, Stage]]:
        async with (
            stage(script) as playing,
            running_gateway(base_config(playing.port), tmp_path, redis.url) as gateway,
        ):
            yield gateway, playing

    return open_both


def blocks(total: int, size: int = 1 << 16) -> Iterator[bytes]:
    """Bytes of which no two blocks are alike."""
    for at in range(0, total, size):
        yield (at.to_bytes(8) * (size // 8))[: total - at]


async def test_an_open_stream_keeps_no_message_of_the_parser(play: Play) -> None:
    """The parser reads a head that arrives in pieces; a stream may be open for days."""
    released = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await released.wait()
        await line.send(b"cd")

    def messages() -> int:
        gc.collect()
        kinds = [type(each).__name__ for each in gc.get_objects()]
        return kinds.count("RawRequestMessage")

    async with play(script) as (gateway, _):
        before = messages()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: gw.test\r\n")
        await until(lambda: any(each.head_bytes for each in readers()))
        async with asyncio.timeout(PATIENCE):
            writer.write(b"X-More: 1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\nab")

            assert messages() == before

            released.set()
            assert await reader.readexactly(2) == b"cd"
        writer.close()


def readers() -> list[RequestReader]:
    """Return the readers of this process."""
    return [each for each in gc.get_objects() if isinstance(each, RequestReader)]


def digest_of(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head_of(target: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join(
        [f"{method} {target} HTTP/1.1", "Host: gw.test", *lines, "", ""]
    ).encode()


# Large bodies


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_an_upload_arrives_byte_for_byte(play: Play, framing: str) -> None:
    total = 64 * MIB
    arrived = hashlib.sha256()

    async def upstream(line: Line) -> None:
        seen = await line.head()
        chunked = seen.one("Transfer-Encoding") == "chunked"
        assert (seen.one("Content-Length") is None) is chunked is (framing == "chunked")
        async for piece in line.pieces(seen):
            arrived.update(piece)
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        if framing == "chunked":
            await client.send(head_of("/", "Transfer-Encoding: chunked"))
            await client.send(*map(chunk, blocks(total)), b"0\r\n\r\n")
        else:
            await client.send(head_of("/", f"Content-Length: {total}"), *blocks(total))
        reply = await client.reply()

    assert reply.status == 200
    assert arrived.hexdigest() == digest_of(blocks(total))


@pytest.mark.parametrize("framing", ["chunked", "length", "until close"])
async def test_a_download_arrives_byte_for_byte(play: Play, framing: str) -> None:
    total = 64 * MIB
    arrived = hashlib.sha256()

    async def upstream(line: Line) -> None:
        await line.request()
        match framing:
            case "chunked":
                await line.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                await line.send(*map(chunk, blocks(total)), b"0\r\n\r\n")
            case "length":
                await line.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total
                )
                await line.send(*blocks(total))
            case _:
                await line.send(b"HTTP/1.1 200 OK\r\n\r\n", *blocks(total))

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", method="GET"))
        reply = await client.head()
        while piece := await client.piece():
            arrived.update(piece)

    assert arrived.hexdigest() == digest_of(blocks(total))
    # RFC 9112, section 6.2: one framing, never both.
    if framing == "length":
        assert reply.one("Content-Length") == str(total)
        assert reply.one("Transfer-Encoding") is None
    else:
        assert reply.one("Transfer-Encoding") == "chunked"
        assert reply.one("Content-Length") is None


async def test_a_client_that_stops_reading_stops_the_upstream(play: Play) -> None:
    total = 256 * MIB
    sent = 0
    stalled = asyncio.Event()

    async def upstream(line: Line) -> None:
        nonlocal sent
        await line.request()
        line.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for block in blocks(total):
            line.writer.write(block)
            sent += len(block)
            await drained(line.writer, stalled)

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", method="GET"))
        await client.head()
        await asyncio.wait_for(stalled.wait(), PATIENCE)
        held = sent
        arrived = hashlib.sha256()
        while piece := await client.piece():
            arrived.update(piece)

    # What the kernel's four socket buffers take, and a little of ours.
    assert held < 48 * MIB
    assert arrived.hexdigest() == digest_of(blocks(total))


async def test_an_upstream_that_stops_reading_stops_the_client(
    tmp_path: Path, redis: Server
) -> None:
    total = 256 * MIB
    sent = 0
    stalled = asyncio.Event()
    arrived = hashlib.sha256()

    async def upstream(line: Line) -> None:
        seen = await line.head()
        await stalled.wait()
        async for piece in line.pieces(seen):
            arrived.update(piece)
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with stage(upstream) as playing:
        config = base_config(playing.port)
        config["server"]["limits"] = {"body_bytes": 0}
        async with (
            running_gateway(config, tmp_path, redis.url) as gateway,
            connected(gateway.port) as client,
        ):
            client.writer.write(head_of("/", f"Content-Length: {total}"))
            held = 0
            for block in blocks(total):
                client.writer.write(block)
                sent += len(block)
                if await drained(client.writer, stalled):
                    held = held or sent
            reply = await client.reply()

    assert reply.status == 200
    assert 0 < held < 48 * MIB
    assert arrived.hexdigest() == digest_of(blocks(total))


async def test_a_gibibyte_each_way_leaves_no_trace_in_memory(
    tmp_path: Path, redis: Server
) -> None:
    total = 1024 * MIB
    sparse = tmp_path / "sparse"
    sparse.touch()
    os.truncate(sparse, total)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        config = base_config(listener.getsockname()[1])
        config["server"]["limits"] = {"body_bytes": 0}
        async with gateway_process(config, tmp_path, redis.url) as gateway:
            idle = gateway.memory("VmRSS")
            gateway.forget_peak()

            upload = asyncio.to_thread(_swallow, listener, total)
            taken, answer = await asyncio.gather(
                upload, asyncio.to_thread(_upload, gateway.port, sparse)
            )
            peak_of_upload = gateway.memory("VmHWM") - idle

            gateway.forget_peak()
            download = asyncio.to_thread(_serve, listener, sparse)
            _, given = await asyncio.gather(
                download, asyncio.to_thread(_download, gateway.port)
            )
            peak_of_download = gateway.memory("VmHWM") - idle

    assert taken == given == total
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert peak_of_upload < 64 * MIB
    assert peak_of_download < 64 * MIB


def _upload(port: int, sparse: Path) -> bytes:
    total = sparse.stat().st_size
    with sparse.open("rb") as file, _dial(port) as line:
        line.sendall(head_of("/", f"Content-Length: {total}", "Connection: close"))
        line.sendfile(file)
        return line.recv(1 << 16)


def _swallow(listener: socket.socket, total: int) -> int:
    line, _ = listener.accept()
    with line:
        line.settimeout(PATIENCE)
        taken = _after_head(line)
        buffer = bytearray(MIB)
        while taken < total:
            read = line.recv_into(buffer)
            assert read, f"the upload broke off after {taken} bytes"
            taken += read
        line.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    return taken


def _serve(listener: socket.socket, sparse: Path) -> None:
    line, _ = listener.accept()
    with sparse.open("rb") as file, line:
        line.settimeout(PATIENCE)
        assert _after_head(line) == 0
        total = sparse.stat().st_size
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        line.sendfile(file)


def _download(port: int) -> int:
    with _dial(port) as line:
        line.sendall(head_of("/", "Connection: close", method="GET"))
        given = _after_head(line)
        buffer = bytearray(MIB)
        while read := line.recv_into(buffer):
            given += read
    return given


def _dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def _after_head(line: socket.socket) -> int:
    """Read a head; gives how much of the body came along."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += line.recv(1 << 16)
    return len(raw.partition(b"\r\n\r\n")[2])


async def drained(writer: asyncio.StreamWriter, stalled: asyncio.Event) -> bool:
    """Wait until more may be written; tells, once, that nothing moved meanwhile."""
    if not stalled.is_set():
        try:
            async with asyncio.timeout(STALLED):
                await writer.drain()
        except TimeoutError:
            stalled.set()
        else:
            return False
    await writer.drain()
    return True


# Pieces in time


async def test_each_event_is_read_before_the_next_one_is_written(play: Play) -> None:
    received = asyncio.Queue[int]()

    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            await line.send(chunk(b"data: %d\n\n" % number))
            assert await asyncio.wait_for(received.get(), PATIENCE) == number
        await line.send(b"0\r\n\r\n")

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        cookie = await gateway.sign_in()
        await client.send(head_of("/dashboard", f"Cookie: {cookie}", method="GET"))
        reply = await client.head()
        for number in range(5):
            assert await client.piece() == b"data: %d\n\n" % number
            received.put_nowait(number)
        assert await client.piece() == b""

    assert reply.one("Content-Type") == "text/event-stream"


async def test_an_upstream_may_answer_a_body_piece_by_piece_while_it_comes(
    play: Play,
) -> None:
    async def upstream(line: Line) -> None:
        seen = await line.head()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for piece in line.pieces(seen):
            await line.send(chunk(piece.upper()))
        await line.send(b"0\r\n\r\n")

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", "Transfer-Encoding: chunked"))
        reply = await client.head()
        for word in (b"one", b"two", b"three"):
            await client.send(chunk(word))
            assert await client.piece() == word.upper()
        await client.send(b"0\r\n\r\n")
        assert await client.piece() == b""

    assert reply.status == 200


async def test_an_upstream_may_refuse_a_body_before_it_has_come(play: Play) -> None:
    async def upstream(line: Line) -> None:
        await line.head()
        await line.send(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\nno"
        )

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", "Content-Length: 1000000"), b"x" * 1000)
        reply = await client.reply()

    assert (reply.status, reply.body) == (403, b"no")
    assert reply.one("Connection") == "close"


# Framing of answers

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
FRAMED = [
    # method, what the upstream says, what the client is told: length, coding, body
    ("GET", b"200 OK\r\nContent-Length: 0\r\n\r\n", "0", None, b""),
    ("GET", b"204 No Content\r\n\r\n", None, None, b""),
    ("GET", b"204 No Content\r\nContent-Length: 0\r\n\r\n", None, None, b""),
    ("GET", b'304 Not Modified\r\nETag: "x"\r\n\r\n', None, None, b""),
    ("GET", b"304 Not Modified\r\nContent-Length: 7\r\n\r\n", "7", None, b""),
    ("HEAD", b"200 OK\r\nContent-Length: 7\r\n\r\n", "7", None, b""),
    ("HEAD", b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None, None, b""),
    ("HEAD", b"200 OK\r\n\r\n", None, None, b""),
    ("HEAD", b"404 Not Found\r\nContent-Length: 7\r\n\r\n", "7", None, b""),
    ("GET", b"200 OK\r\nContent-Length: 2\r\n\r\nhi", "2", None, b"hi"),
    ("GET", b"103 Early Hints\r\nLink: </x>\r\n\r\n" + HI, "2", None, b"hi"),
    ("GET", b"100 Continue\r\n\r\n" + HI, "2", None, b"hi"),
    ("GET", b"100 Continue\r\n\r\nHTTP/1.1 102 \r\n\r\n" + HI, "2", None, b"hi"),
    ("POST", b"201 Created\r\nContent-Length: 2\r\n\r\nhi", "2", None, b"hi"),
    ("GET", b"299 Whatever\xff \x80\r\nContent-Length: 2\r\n\r\nhi", "2", None, b"hi"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "answer", "length", "coding", "body"), FRAMED)
async def test_the_end_of_a_response_can_be_recognized(
    play: Play,
    method: str,
    answer: bytes,
    length: str | None,
    coding: str | None,
    body: bytes,
) -> None:
    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 ", answer)
        seen = await line.request()
        assert seen.target == "/next"
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    async with play(upstream) as (gateway, playing), connected(gateway.port) as client:
        await client.send(head_of("/", method=method))
        reply = await client.reply(method)
        await client.send(head_of("/next", method="GET"))
        following = await client.reply()

    assert reply.one("Content-Length") == length
    assert reply.one("Transfer-Encoding") == coding
    assert reply.body == body
    assert following.body == b"next"
    assert len(playing.lines) == 1


OLD = b"GET / HTTP/1.0\r\nHost: gw.test\r\nConnection: keep-alive\r\n\r\n"


async def test_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection(
    play: Play,
) -> None:
    begun = asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await line.send(chunk(b"one "))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await line.send(chunk(b"two"), b"0\r\n\r\n")

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(OLD)
        raw = await client.reader.readuntil(b"one ")
        begun.set()
        rest = await client.silence()

    assert rest == b"two"
    assert b"Connection: close" in raw
    assert b"Transfer-Encoding" not in raw
    assert b"Content-Length" not in raw


async def test_a_client_of_http_1_0_gets_connection_close(
    gateway: Gateway,
) -> None:
    async with connected(gateway.port) as client:
        await client.send(OLD)
        reply = await client.reply()
        rest = await client.silence()

    assert reply.one("Connection") == "close"
    assert reply.one("Content-Length") == str(len(reply.body))
    assert rest == b""


CUT_OFF = [
    (b"Content-Length: 100\r\n\r\nonly this", b""),
    (b"Content-Length: 100\r\n\r\nonly this", b", and then no more"),
    (b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", b""),
    (b"Transfer-Encoding: chunked\r\n\r\n64\r\nonly this", b""),
    (b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", b"no size\r\n"),
    (b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", b"0\r\nno field\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(("answer", "last_lines"), CUT_OFF)
async def test_an_answer_that_breaks_off_never_looks_whole(
    play: Play, version: str, answer: bytes, last_lines: bytes
) -> None:
    begun = asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n", answer)
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await line.send(last_lines)

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(b"GET / HTTP/%b\r\nHost: gw.test\r\n\r\n" % version.encode())
        assert (await client.head()).status == 200
        assert await client.piece() == b"only this"
        begun.set()
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            while await client.piece():
                continue


# Expect, trailers, codings, cookies


async def test_an_allowed_request_gets_a_100_once(play: Play) -> None:
    async def upstream(line: Line) -> None:
        seen = await line.request()
        assert seen.one("Expect") is None
        assert seen.body == b"hello"
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", "Content-Length: 5", "Expect: 100-continue"))
        interim = await client.head(interim=True)
        await client.send(b"hello")
        reply = await client.head(interim=True)

    assert (interim.status, interim.headers) == (100, [])
    assert reply.status == 200


async def test_a_refused_request_gets_no_100(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async with connected(gateway.port) as client:
        await client.send(
            head_of("/dashboard", "Content-Length: 5", "Expect: 100-continue")
        )
        reply = await client.head(interim=True)
        while await client.piece():
            continue
        # The body may come or not (RFC 9110, section 10.1.1): no request follows.
        await client.send(b"hello")
        rest = await client.silence()

    assert reply.status == 401
    assert reply.one("Connection") == "close"
    assert rest == b""
    assert upstream.connections == 0


async def test_a_request_that_cannot_be_passed_on_gets_no_100(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    await upstream.stop()

    async with connected(gateway.port) as client:
        await client.send(head_of("/", "Content-Length: 5", "Expect: 100-continue"))
        reply = await client.head(interim=True)

    assert reply.status == 502


TRAILED = b"5\r\nhello\r\n0\r\nCookie: gateway_session=planted\r\nX-Sum: 1\r\n"


@pytest.mark.parametrize("last", [b"X-Last: 1\r\n", b"X-Forwarded-For: 6.6.6.6\r\n"])
async def test_a_trailer_is_a_header_of_no_request(
    gateway: Gateway, upstream: RecordingUpstream, last: bytes
) -> None:
    async with connected(gateway.port) as client:
        await client.send(
            head_of("/", "Transfer-Encoding: chunked"), TRAILED, last, b"\r\n"
        )
        reply = await client.reply()
        # A parser that mixes two messages up would mix up these two.
        with contextlib.suppress(ConnectionError):
            await client.send(head_of("/next", method="GET"))
            await client.silence()

    assert reply.status == 200
    assert upstream.last.body == b"hello"
    for seen in upstream.seen:
        assert not seen.all("X-Sum") + seen.all("X-Last") + seen.all("Cookie")
        assert seen.one("X-Forwarded-For") == "127.0.0.1"


async def test_a_trailer_is_a_header_of_no_pipelined_request(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async with connected(gateway.port) as client:
        await client.send(
            head_of("/", "Transfer-Encoding: chunked")
            + TRAILED
            + b"\r\n"
            + head_of("/next", method="GET")
        )
        await client.reply()
        await client.silence()

    for seen in upstream.seen:
        assert not seen.all("X-Sum") + seen.all("Cookie")


@pytest.mark.parametrize("at", [1, 3, 9, 10, 11, 12, 13, 14])
async def test_a_connection_goes_on_after_a_chunked_body_without_trailers(
    gateway: Gateway, upstream: RecordingUpstream, at: int
) -> None:
    body = b"4\r\nhell\r\n0\r\n\r\n"

    async with connected(gateway.port) as client:
        for target in ("/one", "/two"):
            await client.send(head_of(target, "Transfer-Encoding: chunked"))
            await client.send(body[:at])
            await upstream.arrived.wait()
            await client.send(body[at:])
            reply = await client.reply()
            assert reply.one("Connection") is None

    assert [seen.target for seen in upstream.complete] == ["/one", "/two"]
    assert {seen.body for seen in upstream.complete} == {b"hell"}


async def test_the_trailers_of_an_answer_are_dropped(play: Play) -> None:
    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: gateway_session=planted\r\n\r\n"
        )

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        await client.send(head_of("/", "Connection: close", method="GET"))
        raw = await client.silence()

    assert raw.endswith(b"\r\n\r\nhello")
    assert b"X-Sum" not in raw
    assert b"planted" not in raw


@pytest.mark.parametrize(
    "body", [gzip.compress(b"hello" * 1000, mtime=0), b"no gzip at all"]
)
async def test_a_coded_body_passes_as_it_is(play: Play, body: bytes) -> None:
    async def upstream(line: Line) -> None:
        seen = await line.request()
        assert seen.one("Content-Encoding") == "gzip"
        assert seen.body == body
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    async with play(upstream) as (gateway, _):
        reply = await ask(gateway.port, "POST", "/", {"Content-Encoding": "gzip"}, body)

    assert reply.one("Content-Encoding") == "gzip"
    assert reply.body == body


async def test_an_upstream_sets_its_own_cookies_and_not_ours(play: Play) -> None:
    async def upstream(line: Line) -> None:
        await line.request()
        await line.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
            b"Set-Cookie: gateway_session=planted; Path=/\r\n"
            b"set-cookie: theme=dark; Path=/\r\n"
            b"Set-Cookie: gateway_session =planted\r\n"
            b"Set-Cookie: lang=de; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\n"
        )

    async with play(upstream) as (gateway, _):
        replies = [await ask(gateway.port) for _ in range(3)]
        lines = await gateway.logged()

    for reply in replies:
        assert reply.all("Set-Cookie") == [
            "theme=dark; Path=/",
            "lang=de; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        ]
    # Else an app whose own cookie has that name forgets its users, and none knows why.
    [said] = [line for line in lines if line["message"] == "cookie not forwarded"]
    assert (said["log.level"], said["upstream"]) == ("warning", "web")
    assert said["name"] == "gateway_session"
    assert "planted" not in str(lines)


# Connections


async def test_connections_to_the_upstream_are_used_again(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    for _ in range(5):
        assert (await ask(gateway.port)).status == 200

    assert upstream.connections == 1


async def test_each_pipelined_request_is_authenticated_by_itself(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = f"Cookie: {await gateway.sign_in()}"
    program = f"Accept: {PROGRAM['Accept']}"

    async with connected(gateway.port) as client:
        await client.send(
            head_of("/dashboard/0", program, method="GET")
            + head_of("/dashboard/1", program, cookie, method="GET")
            + head_of("/dashboard/2", program, method="GET")
            + head_of(
                "/dashboard/3", program, cookie, "Connection: close", method="GET"
            )
        )
        replies = [await client.reply() for _ in range(4)]
        rest = await client.silence()

    assert [reply.status for reply in replies] == [401, 200, 401, 200]
    assert [seen.target for seen in upstream.complete] == [
        "/dashboard/1",
        "/dashboard/3",
    ]
    assert rest == b""


@pytest.mark.parametrize("how", ["vanishes", "closes"])
@pytest.mark.parametrize(
    "when", ["waiting", "reading", "sending", "sending and reading"]
)
async def test_a_client_that_leaves_takes_its_upstream_request_along(
    play: Play, how: str, when: str
) -> None:
    here = asyncio.Event()
    over = asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.head()
        if "reading" in when:
            await line.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
            )
        here.set()
        await line.gone()
        over.set()

    async with play(upstream) as (gateway, _), connected(gateway.port) as client:
        if "sending" in when:
            await client.send(head_of("/", "Content-Length: 1000"), b"some of it")
        else:
            await client.send(head_of("/", method="GET"))
        await asyncio.wait_for(here.wait(), PATIENCE)
        if "reading" in when:
            await client.head()
            assert await client.piece() == b"first"
        if how == "vanishes":
            client.vanish()
        else:
            client.writer.close()
        await asyncio.wait_for(over.wait(), PATIENCE)
        lines = await gateway.logged()

    assert not [line for line in lines if line.get("message") == "unexpected error"]
