"""Any bytes, in any chopping, against one connection without a socket."""

import asyncio
import os
import socket
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import InvalidUpstreamResponse, UpstreamError
from gateway.proxy.head import MAX_FIELDS, MAX_HEAD_BYTES, MAX_INTERIM
from gateway.proxy.health import Health
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.upstream_connection import Connection
from tests.proxy.support import Pieces
from tests.proxy.wire import Keeper, Wire

REQUEST = b"GET / HTTP/1.1\r\nHost: app\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


@pytest.fixture(scope="module")
def wire_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def body_of(
    response: UpstreamResponse,
) -> tuple[bytes, type[UpstreamError] | None]:
    parts = []
    try:
        while data := await response.read():
            parts.append(data)
    except UpstreamError as error:
        return b"".join(parts), type(error)
    return b"".join(parts), None


def outcome(
    loop: asyncio.AbstractEventLoop,
    pieces: list[bytes],
    method: str = "GET",
    *,
    eof: bool = True,
) -> tuple[Any, ...]:
    """What comes of an answer in these pieces, then closed in order."""
    keeper = Keeper(loop)
    connection = Connection(keeper, Health())
    connection.connection_made(Wire())
    result_future = connection.exchange(
        REQUEST, method=method, body=None, handshake=None
    )
    for piece in pieces:
        connection.data_received(piece)
    kept = keeper.kept
    if eof:
        connection.eof_received()
        connection.connection_lost(None)
    if not result_future.done():
        return ("waiting", connection)
    if result_future.exception() is not None:
        return ("refused", type(result_future.exception()), kept)
    response = result_future.result()
    assert isinstance(response, UpstreamResponse)
    if not (eof or response._error or response._source is None):
        return ("reading", connection)
    body, error = loop.run_until_complete(body_of(response))
    return (response.status, response.headers, body, error, kept)


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *lines, b"", b""))


REFUSED = {
    "nothing": b"",
    "an empty line first": b"\r\n" + PLAIN,
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"hello",
    "RTSP": head(b"Content-Length: 0", status=b"RTSP/1.1 200 OK"),
    "status 099": head(b"Content-Length: 0", status=b"HTTP/1.1 099 OK"),
    "status 2000": head(b"Content-Length: 0", status=b"HTTP/1.1 2000 OK"),
    "a CR in the reason": head(b"Content-Length: 0", status=b"HTTP/1.1 200 O\rK"),
    "no empty line": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    "NUL in a value": head(b"X: a\0b", b"Content-Length: 0"),
    "CR in a value": head(b"X: a\rb", b"Content-Length: 0"),
    "a name with a space": head(b"X Y: a", b"Content-Length: 0"),
    "an empty name": head(b": a", b"Content-Length: 0"),
    "no colon": head(b"X", b"Content-Length: 0"),
    "CL differing": head(b"Content-Length: 3", b"Content-Length: 4") + b"abc",
    "CL +3": head(b"Content-Length: +3") + b"abc",
    "CL -3": head(b"Content-Length: -3") + b"abc",
    "CL 0x3": head(b"Content-Length: 0x3") + b"abc",
    "CL 3, 3": head(b"Content-Length: 3, 3") + b"abc",
    "CL empty": head(b"Content-Length:") + b"abc",
    "CL huge": head(b"Content-Length: " + b"9" * 30) + b"abc",
    "TE gzip": head(b"Transfer-Encoding: gzip") + b"abc",
    "TE gzip, chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "TE chunked, gzip": head(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "TE twice": head(*[b"Transfer-Encoding: chunked"] * 2) + b"0\r\n\r\n",
    "TE in HTTP/1.0": head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK")
    + b"0\r\n\r\n",
    "too many fields": head(*[b"X: y"] * (MAX_FIELDS + 1), b"Content-Length: 0"),
    "a huge field": head(b"X: " + b"y" * MAX_HEAD_BYTES, b"Content-Length: 0"),
    "a huge reason": head(
        b"Content-Length: 0", status=b"HTTP/1.1 200 " + b"y" * MAX_HEAD_BYTES
    ),
    "1xx without end": head(status=b"HTTP/1.1 103 Hints") * (MAX_INTERIM + 1) + PLAIN,
    "1xx and nothing": head(status=b"HTTP/1.1 100 Continue"),
    "an unsolicited 101": head(
        b"Upgrade: websocket",
        b"Connection: upgrade",
        status=b"HTTP/1.1 101 Switching Protocols",
    ),
    "a bare 101": head(status=b"HTTP/1.1 101 Switching Protocols") + PLAIN,
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_cannot_be_passed_on_is_a_bad_answer(
    wire_loop: asyncio.AbstractEventLoop, name: str
) -> None:
    result = outcome(wire_loop, [REFUSED[name]])

    assert result[0] == "refused"
    assert issubclass(result[1], InvalidUpstreamResponse)
    assert result[2] is False


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_the_same_way_byte_by_byte(
    wire_loop: asyncio.AbstractEventLoop, name: str
) -> None:
    data = REFUSED[name]

    result = outcome(wire_loop, [data[at : at + 1] for at in range(len(data))])

    if result[0] != "refused":  # the head was fine, and gone, before its body failed
        assert result[3] is InvalidUpstreamResponse
    assert result[-1] is False


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\r",
        b"RTSP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nX",
        b"HTTP/1.1 200 OK\r\nX: a\0",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD_BYTES,
    ],
)
def test_a_bad_head_is_refused_before_it_ends(
    wire_loop: asyncio.AbstractEventLoop, data: bytes
) -> None:
    result = outcome(wire_loop, [data, b"\r\n\r\n"], eof=False)

    assert result[0] == "refused"


BROKEN_BODIES = {
    "a length cut short": head(b"Content-Length: 3") + b"ab",
    "chunks cut in the data": CHUNKED + b"3\r\nab",
    "chunks cut after the data": CHUNKED + b"3\r\nabc\r\n",
    "chunks cut in the last chunk": CHUNKED + b"3\r\nabc\r\n0\r\n",
    "a chunk size with 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a minus": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED + b"f" * 17 + b"\r\nabc",
    "a chunk size line ended by LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "LF in a chunk extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "CR in a chunk extension": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "more data than the chunk": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a bad trailer": CHUNKED + b"0\r\nX Y: a\r\n\r\n",
    "an endless trailer": CHUNKED + b"0\r\nX: " + b"y" * 200_000,
    "an endless extension": CHUNKED + b"3;" + b"y" * 200_000,
}


@pytest.mark.parametrize("size", [1, 7, 16_384, 1_000_000])
@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_never_has_a_clean_end(
    wire_loop: asyncio.AbstractEventLoop, name: str, size: int
) -> None:
    data = BROKEN_BODIES[name]
    if size == 1:
        data = data[:70_000]

    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    result = outcome(wire_loop, pieces)

    error = result[1] if result[0] == "refused" else result[3]
    assert error is InvalidUpstreamResponse
    assert result[-1] is False


@pytest.mark.parametrize("start", [b"3;", b"0\r\nX: ", b"0\r\nX", b"3;x="])
@pytest.mark.parametrize("size", [1000, 100_000])
def test_what_is_no_content_is_not_taken_without_end(
    wire_loop: asyncio.AbstractEventLoop, start: bytes, size: int
) -> None:
    piece = b"y" * size

    result = outcome(wire_loop, [CHUNKED + start, *[piece] * 200], eof=False)

    assert result[3:] == (InvalidUpstreamResponse, False)


@pytest.mark.parametrize(
    "extra",
    [b"x", b"\n", b"\r\n", b"\r\n\r\n", b"H", PLAIN],
    ids=["junk", "LF", "CRLF", "CRLFCRLF", "a first byte", "an answer"],
)
@pytest.mark.parametrize(
    ("method", "result_future", "body"),
    [
        ("GET", PLAIN, b"abc"),
        ("GET", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        ("GET", CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", b"abc"),
        ("GET", head(b"Content-Length: 0"), b""),
        ("GET", head(status=b"HTTP/1.1 204 No Content"), b""),
        (
            "GET",
            head(b"Content-Length: 3", status=b"HTTP/1.1 304 Not Modified"),
            b"",
        ),
        ("HEAD", head(b"Content-Length: 3"), b""),
        ("HEAD", head(b"Transfer-Encoding: chunked"), b""),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_the_end_never_reach_anyone(
    wire_loop: asyncio.AbstractEventLoop,
    method: str,
    result_future: bytes,
    body: bytes,
    extra: bytes,
    together: bool,
) -> None:
    clean = outcome(wire_loop, [result_future], method, eof=False)
    pieces = [result_future + extra] if together else [result_future, extra]

    soiled = outcome(wire_loop, pieces, method, eof=False)

    assert clean[2:] == (body, None, True)
    assert soiled[2:] == (body, None, False)


VALID = {
    "length": (PLAIN, b"abc"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
    "until close, HTTP/1.0": (b"HTTP/1.0 200\r\n\r\nabc", b"abc"),
    "after 100": (head(status=b"HTTP/1.1 100 Continue") + PLAIN, b"abc"),
    "after 103s": (
        head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints") * MAX_INTERIM + PLAIN,
        b"abc",
    ),
    "chunks": (CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", b"abc"),
    "a chunk of CRLFs": (CHUNKED + b"6\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n" * 3),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"abc"),
    "fields": (
        head(
            b"X-Empty:",
            b"X-Space: \t a b \t",
            b"X-High: \xe4\xff",
            b"Connection: close",
        )
        + b"abc",
        b"abc",
    ),
    "upgrade advertised": (
        head(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 3") + b"abc",
        b"abc",
    ),
}


@given(data=st.data(), name=st.sampled_from(sorted(VALID)))
def test_however_it_is_chopped_an_answer_is_the_same(
    data: st.DataObject, name: str
) -> None:
    wire, body = VALID[name]
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=12))
    edges = [0, *sorted(cuts), len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(edges) if a < b]
    loop = asyncio.new_event_loop()
    try:
        chopped = outcome(loop, pieces)
        whole = outcome(loop, [wire])
        single = outcome(loop, [wire[at : at + 1] for at in range(len(wire))])
    finally:
        loop.close()

    assert whole[0] == 200
    assert whole[2:4] == (body, None)
    assert chopped == whole
    assert single == whole


def test_fields_arrive_as_they_were_sent(wire_loop: asyncio.AbstractEventLoop) -> None:
    _, headers, *_ = outcome(wire_loop, [VALID["fields"][0]])

    assert headers == [
        (b"X-Empty", b""),
        (b"X-Space", b"a b"),
        (b"X-High", b"\xe4\xff"),
        (b"Connection", b"close"),
    ]


def test_a_connection_is_kept_ready_to_read(
    wire_loop: asyncio.AbstractEventLoop,
) -> None:
    """Even when its last answer was large, came at once, and is not read yet."""
    keeper, wire = Keeper(wire_loop), Wire()
    connection = Connection(keeper, Health())
    connection.connection_made(wire)
    answered = connection.exchange(REQUEST, method="GET", body=None, handshake=None)

    connection.data_received(head(b"Content-Length: 400000"))
    connection.data_received(bytes(300_000))
    paused = not wire.reading
    connection.data_received(bytes(100_000))

    assert paused
    assert answered.done()
    assert wire.reading
    assert keeper.kept


class RecordingPool(Keeper):
    """Records which callbacks a connection calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.callbacks: list[str] = []

    def connection_reusable(self, connection: Connection) -> None:
        self.callbacks.append("connection_reusable")

    def response_completed(self, connection: Connection) -> None:
        self.callbacks.append("response_completed")


def test_an_ordinary_response_reports_a_success_after_failures(
    wire_loop: asyncio.AbstractEventLoop,
) -> None:
    """Else failures that are not in a row would eject a target."""
    keeper, health = RecordingPool(wire_loop), Health()
    health.strikes = 1
    connection = Connection(keeper, health)
    connection.connection_made(Wire())
    answered = connection.exchange(REQUEST, method="GET", body=None, handshake=None)

    connection.data_received(PLAIN)

    assert answered.done()
    assert keeper.callbacks == ["response_completed", "connection_reusable"]


def test_an_idle_timeout_that_is_no_longer_announced_has_no_effect(
    wire_loop: asyncio.AbstractEventLoop,
) -> None:
    connection = Connection(Keeper(wire_loop), Health())
    connection.connection_made(Wire())
    expiries = []
    for answer in (head(b"Keep-Alive: timeout=5", b"Content-Length: 0"), PLAIN):
        answered = connection.exchange(REQUEST, method="GET", body=None, handshake=None)
        connection.data_received(answer)
        assert answered.done()
        expiries.append(connection.expires)

    assert expiries == [4.0, inf]


def test_a_lost_connection_is_not_used_again_after_its_last_response(
    wire_loop: asyncio.AbstractEventLoop,
) -> None:
    keeper = RecordingPool(wire_loop)
    connection = Connection(keeper, Health())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection.connection_made(Wire(socket=ours))
        answered = connection.exchange(REQUEST, method="GET", body=None, handshake=None)
        theirs.sendall(PLAIN)
        connection.connection_lost(BrokenPipeError())

    assert isinstance(answered.result(), UpstreamResponse)
    assert keeper.callbacks == []


def test_a_response_to_an_upload_over_tls_releases_what_could_be_read_after_a_loss(
    wire_loop: asyncio.AbstractEventLoop,
) -> None:
    connection = Connection(Keeper(wire_loop), Health())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection.connection_made(Wire(socket=ours, ssl_object=object()))
        answered = connection.exchange(
            b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1\r\n\r\n",
            method="POST",
            body=Pieces(b"x"),
            handshake=None,
        )
        assert connection._upload is not None
        wire_loop.run_until_complete(connection._upload._task)
        assert connection._unread is not None
        duplicate = connection._unread._descriptor

        connection.data_received(PLAIN)

    assert answered.done()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(duplicate)


def test_trailers_are_dropped(wire_loop: asyncio.AbstractEventLoop) -> None:
    _, headers, *_ = outcome(wire_loop, [VALID["trailers"][0]])

    assert headers == [(b"Transfer-Encoding", b"chunked")]


TOKENS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204 X\r\n",
        b"HTTP/1.1 101 S\r\n",
        b"HTTP/1.1 100 C\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"Keep-Alive: timeout=",
        b"\r\n",
        b"\r\n\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
        b" ",
        b"\0",
        b"\n",
        b"\xff",
        b"99999999999999999999",
    ]
)


@given(
    pieces=st.lists(st.one_of(st.binary(max_size=40), TOKENS), max_size=20),
    joined=st.booleans(),
    start=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, PLAIN[:-3]]),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
@example(pieces=[b"\r\n\r\n"], joined=True, start=b"", method="GET")
def test_any_bytes_give_an_answer_or_an_upstream_error(
    pieces: list[bytes], joined: bool, start: bytes, method: str
) -> None:
    pieces = [piece for piece in (start, *pieces) if piece]
    loop = asyncio.new_event_loop()
    try:
        result = outcome(loop, [b"".join(pieces)] if joined else pieces, method)
    finally:
        loop.close()

    if result[0] == "refused":
        assert issubclass(result[1], UpstreamError)
    else:
        assert 200 <= result[0] <= 599
        assert result[3] in {None, InvalidUpstreamResponse}
