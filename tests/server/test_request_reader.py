"""What a client sends, made into requests; the hostile rows first."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web import RequestPayloadError
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.head import HeadRules, RequestHead
from gateway.http.lines import PlainHead
from gateway.http.refusal import BadRequest
from gateway.outbound import OutboundRequest, plan_outbound
from gateway.server.exchange import Exchange
from gateway.server.payload import ArrivedBody
from gateway.server.read_request import read_request
from gateway.server.request_reader import READ_AHEAD, RequestReader
from tests.http.heads import REQUEST_ID, TRACEPARENT
from tests.server.parts import the_runtime


class Reading:
    """A connection that is read from, as aiohttp's reader of bodies asks for it."""

    connected = True
    peer = "192.0.2.7"
    tls = False

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


def feed(reader: RequestReader, data: bytes) -> tuple[Sequence[Exchange], bytes]:
    """Read as a connection does."""
    ordinary = reader.read_ordinary(data)
    return reader.parse(data) if ordinary is None else ((ordinary,), b"")


def read(reader: RequestReader, *pieces: bytes) -> list[Exchange]:
    found: list[Exchange] = []
    for piece in pieces:
        found += feed(reader, piece)[0]
        if reader.broken:
            break
    return found


def outlined(found: list[Exchange]) -> list[object]:
    return [
        (each.message.status, each.message.reason.value)
        if isinstance(each.message, BadRequest)
        else each.message.target
        if isinstance(each.message, PlainHead)
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
        [refused] = outlined(found)
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
            assert "/x" not in outlined(found)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get("/RTSP/1.0"), id="in a path"),
        pytest.param(get("/", "X-Spoken: RTSP/1.0, HTTP/1.1"), id="in a field"),
        pytest.param(get("/", "User-Agent: SERVICE/1.0"), id="in a word"),
    ],
)
async def test_the_name_of_another_protocol_is_allowed(raw: bytes) -> None:
    reader = a_reader()

    found = read(reader, raw)

    assert not reader.broken
    assert isinstance(found[0].message, RawRequestMessage | PlainHead)


async def test_a_body_may_hold_a_request_of_another_protocol() -> None:
    reader = a_reader()
    head = b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n"

    found = read(reader, head, b"GET / RTSP/1.0\r\n\r\n", b"last", get("/next"))

    assert outlined(found) == ["/up", "/next"]


async def test_a_body_that_breaks_its_framing_is_an_error_for_its_reader() -> None:
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
async def test_what_is_no_request_states_the_reason(
    raw: bytes, why: tuple[int, str]
) -> None:
    reader = a_reader()

    assert outlined(read(reader, raw)) == [why]
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
    for each in found:
        reader.mark_dequeued(each)
    more = read(reader, b"")

    assert len(more) == READ_AHEAD
    assert all(each.maybe_oversized for each in more)  # nothing of these was counted


async def test_what_follows_an_upgrade_is_left_as_it_is() -> None:
    reader = a_reader()
    asks = get("/ws", "Connection: Upgrade", "Upgrade: websocket")

    found, rest = feed(reader, asks + b"\x81\x00")

    assert outlined(list(found)) == ["/ws"]
    assert reader.upgraded
    assert rest == b"\x81\x00"
    reader.decline_upgrade()
    assert outlined(read(reader, get("/next"))) == ["/next"]


@pytest.mark.parametrize(
    ("end", "plain"),
    [
        pytest.param([b"0\r\n\r\n"], True, id="at once"),
        pytest.param([b"0", b"\r", b"\n\r", b"\n"], True, id="in pieces"),
        pytest.param([b"0\r\nX-Sum: 1\r\n\r\n"], False, id="a trailer"),
        pytest.param([b"0\r\nX-Sum: 0\r\n", b"\r\n"], False, id="a trailer in pieces"),
    ],
)
async def test_a_body_with_trailers_is_distinguished_from_one_without(
    end: list[bytes], plain: bool
) -> None:
    reader = a_reader()

    read(reader, CHUNKED, b"2\r\nab\r\n", *end)

    assert reader.after_plain_chunks is plain


# The two ways to read a request

PROXIES = HeadRules(trusted_proxies=(ip_network("192.0.2.0/24"),))


class Client(Reading):
    """What read_request takes of a client and of a request's context."""

    peer = "192.0.2.1"
    tls = False


def outcome(exchange: Exchange, rules: HeadRules) -> object:
    """The head or the refusal of a request, its body, and what an upstream is sent."""
    runtime: Any = the_runtime()
    context: Any = type("Context", (), {})()
    context.exchange = exchange
    context.runtime = type("Runtime", (), {})()
    context.runtime.limits, context.runtime.head_rules = runtime.limits, rules
    found = read_request(context)
    if not isinstance(found, RequestHead):
        return found
    payload = exchange.payload
    held = (
        payload.read_nowait()
        if isinstance(payload, ArrivedBody)
        else b"".join(getattr(payload, "_buffer", ()))
    )
    body = payload.is_eof(), held
    sent = []
    for application in runtime.applications.values():
        outbound = plan_outbound(head=found, view=application.view)
        sent.append(
            outbound.encode(REQUEST_ID, TRACEPARENT)
            if isinstance(outbound, OutboundRequest)
            else outbound
        )
    return found, body, sent


def by(
    read: Callable[[RequestReader, bytes], tuple[Any, bytes]],
    pieces: list[bytes],
    rules: HeadRules,
) -> list[object]:
    client: Any = Client()
    loop = asyncio.get_running_loop()
    reader = client.reader = RequestReader(client, header_bytes=900, loop=loop)
    stated: list[object] = []
    for piece in pieces:
        if reader.broken or reader.upgraded:
            break
        try:
            found, rest = read(reader, piece)
        except Exception as error:  # noqa: BLE001 - as the connection does
            stated.append(type(error))
            break
        for each in found:
            stated.append(outcome(each, rules))
            if ends_connection(stated[-1], reader):
                return stated
        stated.append((reader.broken, reader.upgraded, rest))
    return stated


def ends_connection(stated: Any, reader: RequestReader) -> bool:
    """Whether the connection handles no request after this one."""
    if isinstance(stated, BadRequest):
        return True
    head: RequestHead = stated[0]
    return not head.keep_alive or (head.chunked and not reader.after_plain_chunks)


def agree(*pieces: bytes) -> None:
    for rules in (HeadRules(), PROXIES):
        quick = by(feed, list(pieces), rules)
        strict = by(RequestReader.parse, list(pieces), rules)

        assert quick == strict


CASES = json.loads(
    (Path(__file__).parents[1] / "vectors" / "http_cases.json").read_text()
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_both_ways_read_the_corpus_alike(case: dict[str, str]) -> None:
    raw = base64.b64decode(case["raw_b64"])

    agree(raw)
    agree(get("/before"), raw, get("/after"))
    for at in range(1, len(raw)):
        agree(raw[:at], raw[at:], get("/after"))


methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "get"])
targets = st.one_of(
    st.sampled_from(
        ["/", "/a/b?c=d", "/a%2fb", "/../a", "//a", "/a;b", "/%41%zz", "*"]
    ),
    st.text('/.%;?#\\ab0AF"{}[]~^|<> \xe9\t', max_size=8).map(lambda text: "/" + text),
)
versions = st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/1.2", "RTSP/1.0"])
names = st.sampled_from(
    ["Host", "host", "Accept", "Cookie", "Connection", "Content-Length", "X-Mine"]
    + ["Content-Type", "ETag", "User-Agent", "Transfer-Encoding", "Expect", "Upgrade"]
    + ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via"]
    + ["X-Request-Id", "traceparent", "tracestate", "Origin", "Sec-Fetch-Site", "TE"]
    + ["X-Auth-User-Id", "x_auth_user_id", "Content_Length", "Sec-WebSocket-Key", ""]
    + ["X-Forwarded-Port", "Access-Control-Request-Method", "Server", "a b"]
)
contents = st.one_of(
    st.sampled_from(
        ["a", "a, b", "0", "2", "02", "close", "keep-alive", "X-Mine", "chunked", "80"]
        + ["203.0.113.9", "for=203.0.113.9;proto=https", "https", "b.example:81", ""]
        + ["100-continue", "websocket", "Upgrade", "PUT", "a=b; gateway_session=x"]
        + ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "cross-site"]
    ),
    st.text("ab ,;=\t\xe9\x00\x7f\r\n:", max_size=6),
)
separators = st.sampled_from([": "] * 5 + [":", ":\t", " : ", ":  "])
ends = st.sampled_from(["\r\n"] * 20 + ["\n", " \r\n", "\r\n ", "\r\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    lines = [
        "".join((draw(names), draw(separators), draw(contents), draw(ends)))
        for _ in range(draw(st.integers(0, 6)))
    ]
    host = draw(st.sampled_from(["Host: a.example\r\n"] * 6 + [""]))
    first = f"{draw(methods)} {draw(targets)} {draw(versions)}\r\n"
    body = draw(
        st.sampled_from([""] * 4 + ["ab", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"])
    )
    charset = draw(st.sampled_from(["utf-8", "latin-1"]))
    return "".join((first, host, *lines, "\r\n", body)).encode(charset)


@given(st.lists(requests(), min_size=1, max_size=3))
async def test_both_ways_read_any_requests_alike(pieces: list[bytes]) -> None:
    agree(*pieces)


PLAIN = get(
    "/a/b?c=d", "Accept: text/html", "Cookie: a=b", "X-Forwarded-For: 192.0.2.9"
)


@given(
    at=st.integers(0, len(PLAIN)),
    removed=st.integers(0, 3),
    added=st.one_of(
        st.binary(max_size=3), st.sampled_from([b"\r\n", b"\n", b" ", b":"])
    ),
    more=requests(),
)
async def test_both_ways_read_a_damaged_request_alike(
    at: int, removed: int, added: bytes, more: bytes
) -> None:
    agree(PLAIN[:at] + added + PLAIN[at + removed :], more, PLAIN)


@given(st.lists(st.one_of(requests(), st.just(PLAIN)), max_size=3), st.data())
async def test_both_ways_read_any_chopping_alike(
    whole: list[bytes], data: st.DataObject
) -> None:
    raw = b"".join(whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=4)))
    edges = [0, *cuts, len(raw)]

    agree(*(raw[one:other] for one, other in pairwise(edges)))


@pytest.mark.parametrize("end", [" ICE/1.0\n", " RTSP/1.0\n", " ICE/1.0\r\n"])
async def test_the_end_of_a_body_names_no_protocol(end: str) -> None:
    """Behind a proxy that shares connections the next request is another user's."""
    reader, body = a_reader(), f"body{end}".encode()
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    later = get("/next")

    found = read(reader, post + body, later[:9], later[9:])

    assert outlined(found) == ["/", "/next"]
    assert not reader.broken


async def test_ordinary_requests_need_no_parser() -> None:
    reader = a_reader()

    found = read(reader, get("/one"), get("/two", "Cookie: a=b"))

    assert all(isinstance(each.message, PlainHead) for each in found)
    assert reader._made is None


async def test_a_small_body_that_arrives_with_its_head_needs_no_parser() -> None:
    reader = a_reader()

    [post] = read(
        reader, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    )

    assert isinstance(post.message, PlainHead)
    assert post.payload.read_nowait() == b"body"
    assert read(reader, b"") == []  # as the reader of a body that resumes
    assert reader._made is None


async def test_after_a_part_of_a_request_nothing_is_read_by_its_lines() -> None:
    """What the parser holds would come after it."""
    smuggled = get("/x")
    reader = a_reader()

    found = read(reader, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
    assert read(reader, smuggled) == []
    assert found[0].payload.total_bytes == len(smuggled)


@pytest.mark.parametrize("at_once", [1, 7, READ_AHEAD])
async def test_no_request_overtakes_those_that_the_parser_still_holds(
    at_once: int,
) -> None:
    """Behind a proxy that shares connections the next one is another user's."""
    reader = a_reader()
    waiting = read(reader, get("/x") * 2 * READ_AHEAD)
    order: list[object] = []
    later = [get("/y"), get("/z")]
    while waiting or later:
        for each in waiting[:at_once]:
            order += outlined([each])
            reader.mark_dequeued(each)
        waiting = waiting[at_once:] + read(reader, later.pop(0) if later else b"")

    assert order == ["/x"] * 2 * READ_AHEAD + ["/y", "/z"]


async def test_reading_by_lines_goes_on_after_the_parser_is_done() -> None:
    reader = a_reader()

    found = read(reader, CHUNKED + b"1\r\na\r\n0\r\n\r\n", get("/y"), get("/z"))

    assert [isinstance(each.message, PlainHead) for each in found] == [
        False,
        True,
        True,
    ]
