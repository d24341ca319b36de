"""What a client sends, made into requests; the hostile rows first."""

import asyncio
from typing import Any

import pytest
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web import RequestPayloadError

from gateway.http.refusal import BadRequest
from gateway.server.exchange import Exchange
from gateway.server.request_reader import READ_AHEAD, RequestReader


class Reading:
    """A connection that is read from, as aiohttp's reader of bodies asks for it."""

    connected = True

    def __init__(self) -> None:
        self.reader: RequestReader

    def pause_reading(self) -> None:
        self.reader.pause()

    def resume_reading(self, resume_parser: bool = True) -> None:
        pass


def a_reader(header_bytes: int = 32_768) -> RequestReader:
    client: Any = Reading()
    loop = asyncio.get_running_loop()
    reader = RequestReader(client, header_bytes=header_bytes, loop=loop)
    client.reader = reader
    return reader


def read(reader: RequestReader, *pieces: bytes) -> list[Exchange]:
    found: list[Exchange] = []
    for piece in pieces:
        found += reader.read(piece)[0]
        if reader.broken:
            break
    return found


def told(found: list[Exchange]) -> list[object]:
    return [
        (each.message.status, each.message.reason.value)
        if isinstance(each.message, BadRequest)
        else each.message.path
        for each in found
    ]


def get(target: str = "/", *lines: str, version: str = "HTTP/1.1") -> bytes:
    fields = "".join(f"{line}\r\n" for line in ("Host: a", *lines))
    return f"GET {target} {version}\r\n{fields}\r\n".encode()


CHUNKED = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FOREIGN = [
    b"DESCRIBE /x RTSP/1.0\r\nHost: a\r\n\r\n",
    b"GET /x RTSP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS /x RTSP/1.0\nHost: a\r\n\r\n",
    b"POST  /x  RTSP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"SOURCE /x ICE/1.0\r\nHost: a\r\n\r\n",
]


@pytest.mark.parametrize("raw", FOREIGN, ids=lambda raw: raw[:20].decode())
async def test_another_protocol_is_not_taken_for_http(raw: bytes) -> None:
    for at in range(1, len(raw) + 1):
        reader = a_reader()

        found = read(reader, raw[:at], raw[at:])

        assert reader.broken
        [refused] = told(found)
        assert isinstance(refused, tuple)
        assert refused[0] in {400, 505}


@pytest.mark.parametrize("raw", FOREIGN, ids=lambda raw: raw[:20].decode())
async def test_another_protocol_is_not_taken_for_http_after_a_request(
    raw: bytes,
) -> None:
    one_by_one = [raw[n : n + 1] for n in range(len(raw))]
    for before in (get("/one"), CHUNKED + b"1\r\na\r\n0\r\n\r\n"):
        for pieces in ([before + raw], [before, raw], [before, *one_by_one]):
            reader = a_reader()

            found = read(reader, *pieces)

            assert reader.broken
            assert "/x" not in told(found)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get("/RTSP/1.0"), id="in a path"),
        pytest.param(get("/", "X-Spoken: RTSP/1.0, HTTP/1.1"), id="in a field"),
        pytest.param(get("/", "User-Agent: SERVICE/1.0"), id="in a word"),
    ],
)
async def test_the_name_of_another_protocol_may_be_said(raw: bytes) -> None:
    reader = a_reader()

    found = read(reader, raw)

    assert not reader.broken
    assert isinstance(found[0].message, RawRequestMessage)


async def test_a_body_may_hold_a_request_of_another_protocol() -> None:
    reader = a_reader()
    head = b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n"

    found = read(reader, head, b"GET / RTSP/1.0\r\n\r\n", b"last", get("/next"))

    assert told(found) == ["/up", "/next"]


async def test_a_body_that_breaks_its_framing_is_told_to_who_reads_it() -> None:
    reader = a_reader()
    [upload] = read(reader, CHUNKED + b"2\r\nab\r\n")
    assert await upload.payload.readany() == b"ab"

    found = read(reader, b"zz\r\n")

    assert found == []
    assert reader.broken
    with pytest.raises(RequestPayloadError):
        await upload.payload.readany()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00", (400, "bad_request"), id="TLS"),
        pytest.param(get("/" + "a" * 17_000), (414, "target_too_long"), id="target"),
        pytest.param(
            get("/", "X: " + "a" * 33_000), (431, "headers_too_large"), id="field"
        ),
        pytest.param(
            get("/", *["X: 1"] * 101), (431, "headers_too_large"), id="fields"
        ),
    ],
)
async def test_what_is_no_request_says_why(raw: bytes, why: tuple[int, str]) -> None:
    reader = a_reader()

    assert told(read(reader, raw)) == [why]
    assert reader.broken


async def test_a_head_is_counted_while_it_comes() -> None:
    reader = a_reader(header_bytes=1000)
    part = b"X: " + b"a" * 500 + b"\r\n"

    read(reader, b"GET / HTTP/1.1\r\nHost: a\r\n", *[part] * 30)

    assert not reader.head_too_large
    assert reader.head_bytes == 25 + 30 * len(part)
    read(reader, *[part] * 10)
    assert reader.head_too_large


@pytest.mark.parametrize(
    ("pieces", "maybe_oversized"),
    [
        pytest.param([get("/x")], [False], id="small"),
        pytest.param([get("/x", "X: " + "a" * 1000)], [True], id="large"),
        pytest.param(
            [get("/x", "X: " + "a" * 990)[:900], b"a" * 100 + b"\r\n\r\n"],
            [True],
            id="in two",
        ),
        pytest.param([get("/x") + get("/y", "X: " + "a" * 1000)], [True] * 2, id="two"),
        # The first ends in the middle of a read: what followed was not counted.
        pytest.param(
            [get("/x") + b"GET /y HT", b"TP/1.1\r\nHost: a\r\n\r\n"],
            [False, True],
            id="uncounted",
        ),
    ],
)
async def test_a_head_that_may_be_too_large_is_marked(
    pieces: list[bytes], maybe_oversized: list[bool]
) -> None:
    reader = a_reader(header_bytes=1000)

    assert [each.maybe_oversized for each in read(reader, *pieces)] == maybe_oversized


async def test_no_more_is_read_than_can_wait() -> None:
    reader = a_reader()

    found = read(reader, get("/x") * 3 * READ_AHEAD)
    assert len(found) == READ_AHEAD
    for _ in found:
        reader.mark_dequeued()
    more = read(reader, b"")

    assert len(more) == READ_AHEAD
    assert all(each.maybe_oversized for each in more)  # nothing of these was counted


async def test_what_follows_an_upgrade_is_left_as_it_is() -> None:
    reader = a_reader()
    asks = get("/ws", "Connection: Upgrade", "Upgrade: websocket")

    found, rest = reader.read(asks + b"\x81\x00")

    assert told(list(found)) == ["/ws"]
    assert reader.upgraded
    assert rest == b"\x81\x00"
    reader.decline_upgrade()
    assert told(read(reader, get("/next"))) == ["/next"]


@pytest.mark.parametrize(
    ("end", "plain"),
    [
        pytest.param([b"0\r\n\r\n"], True, id="at once"),
        pytest.param([b"0", b"\r", b"\n\r", b"\n"], True, id="in pieces"),
        pytest.param([b"0\r\nX-Sum: 1\r\n\r\n"], False, id="a trailer"),
        pytest.param([b"0\r\nX-Sum: 0\r\n", b"\r\n"], False, id="a trailer in pieces"),
    ],
)
async def test_a_body_with_trailers_is_told_from_one_without(
    end: list[bytes], plain: bool
) -> None:
    reader = a_reader()

    read(reader, CHUNKED, b"2\r\nab\r\n", *end)

    assert reader.after_plain_chunks is plain
