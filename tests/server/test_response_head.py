"""The head of an answer: one framing, one request id, no cookie but ours from us."""

import asyncio

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.response_fields import NOT_END_TO_END, ResponseField
from gateway.pages.reply import Reply
from gateway.proxy.head import ResponseHead
from gateway.proxy.health import Health
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.upstream_connection import Connection
from gateway.server.response_head import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    ResponseHeaderFilter,
    build_response_head,
    encode_local_response,
)
from tests.proxy.wire import Keeper, Wire
from tests.server.strict_response import SENT, is_well_formed, relayed

NOW = 1_800_000_000.9
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
RULES = ResponseHeaderFilter(
    own_cookies=frozenset({b"__Host-gateway_session", b"api_jwt"})
)
ID = "0123456789abcdef0123456789abcdef"
Fields = list[tuple[bytes, bytes]]


def written(
    headers: Fields,
    *,
    status: int = 200,
    length: int = 0,
    keep_alive: bool = True,
    set_cookies: tuple[str, ...] = (),
) -> bytes:
    fields = [ResponseField(name, value) for name, value in headers]
    return build_response_head(
        head=ResponseHead(status, 1, fields),
        rules=RULES,
        length=length,
        keep_alive=keep_alive,
        request_id=ID,
        set_cookies=set_cookies,
        now=NOW,
    )


def parsed(raw: bytes, method: str = "GET") -> h11.Response:
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    machine.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    machine.send(h11.EndOfMessage())
    machine.receive_data(raw)
    event = machine.next_event()
    assert isinstance(event, h11.Response), event
    return event


def values(raw: bytes, name: str) -> list[str]:
    found = parsed(raw).headers
    return [v.decode("latin-1") for n, v in found if n == name.lower().encode()]


# What an upstream may say: tokens, and bytes that end no line

NAMES = st.one_of(
    st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True),
    st.sampled_from(
        [b"Set-Cookie", b"set-cookie", b"X-Request-ID", b"X-Gateway-Sign-In", b"DATE"]
        + [b"x-gateway-anything", b"Server", b"Content-Type", b"Date"]
        + [b"Cache-Control", b"Surrogate-Control"]
    ),
)
# No framing and no hop-by-hop field, such as TE: they end where a response is read.
UPSTREAMS = NAMES.filter(
    lambda name: not ResponseField(name, b"").role & NOT_END_TO_END
)
VALUES = st.one_of(
    st.binary(max_size=20).map(lambda raw: bytes(o for o in raw if o >= 32 or o == 9)),
    st.sampled_from([b"__Host-gateway_session=stolen; Path=/", b"a=b", b"mine"]),
).map(lambda raw: raw.strip(b" \t"))


@given(
    headers=st.lists(st.tuples(UPSTREAMS, VALUES), max_size=12),
    status=st.sampled_from([200, 204, 304, 404, 500, 299, 599]),
    length=st.sampled_from([0, 5, 2**40, CHUNKED, UNTIL_CLOSE, NO_BODY]),
    keep_alive=st.booleans(),
    set_cookies=st.sampled_from([(), ("api_jwt=T; Path=/",), ("a=1", "b=2")]),
)
def test_whatever_an_upstream_sends_the_head_is_well_formed(
    headers: Fields,
    status: int,
    length: int,
    keep_alive: bool,
    set_cookies: tuple[str, ...],
) -> None:
    raw = written(
        headers,
        status=status,
        length=length,
        keep_alive=keep_alive,
        set_cookies=set_cookies,
    )

    answer = parsed(raw)

    assert answer.status_code == status
    got = [(n, v) for n, v in answer.headers]
    names = [name for name, _ in got]
    assert raw.endswith(b"\r\n\r\n")
    assert raw.count(b"\r\n\r\n") == 1
    assert [v for n, v in got if n == b"x-request-id"] == [ID.encode()]
    assert names.count(b"content-length") == (length >= 0)
    assert names.count(b"transfer-encoding") == (length == CHUNKED)
    assert [v for n, v in got if n == b"connection"] == [b"close"] * (not keep_alive)
    assert not [name for name in names if name.startswith(b"x-gateway-")]
    cookies = [v for n, v in got if n == b"set-cookie"]
    assert cookies[len(cookies) - len(set_cookies) :] == [
        c.encode() for c in set_cookies
    ]
    assert not [
        cookie
        for cookie in cookies[: len(cookies) - len(set_cookies)]
        if cookie.lstrip(b" \t=").partition(b"=")[0].strip() in RULES.own_cookies
    ]
    assert b"date" in names
    kept = [(n.lower(), v) for n, v in headers if _goes_on(n.lower(), v)]
    assert [one for one in got if one in kept] == kept


def _goes_on(name: bytes, value: bytes) -> bool:
    if name == b"set-cookie":
        return value.lstrip(b" \t=").partition(b"=")[0].strip() not in RULES.own_cookies
    return name not in {
        b"x-request-id", b"cache-control", b"cdn-cache-control", b"surrogate-control", b"date"
    } and not name.startswith(b"x-gateway-")  # fmt: skip


@pytest.mark.parametrize(
    ("cookie", "passes"),
    [
        pytest.param("__Host-gateway_session=x; Path=/", False, id="ours"),
        pytest.param(" __Host-gateway_session =x", False, id="ours with spaces"),
        pytest.param("__Host-gateway_session", False, id="ours without a value"),
        pytest.param("=__Host-gateway_session=x", False, id="ours without a name"),
        pytest.param(" = =api_jwt=x", False, id="ours after odd signs"),
        pytest.param("api_jwt=; Max-Age=0", False, id="a token cookie cleared"),
        pytest.param("gateway_session=x", True, id="without the prefix it is another"),
        pytest.param("a=__Host-gateway_session=x", True, id="in the value"),
        pytest.param("theme=dark; Path=/; SameSite=Lax", True, id="the app's own"),
    ],
)
def test_only_the_gateway_sets_its_cookies(cookie: str, passes: bool) -> None:
    raw = written([(b"Set-Cookie", cookie.encode())])

    assert bool(values(raw, "Set-Cookie")) is passes


def test_the_apps_cookies_stay_apart_and_in_order() -> None:
    """RFC 6265, section 3: Set-Cookie must not be folded into one field."""
    raw = written(
        [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")], set_cookies=("c=3",)
    )

    assert values(raw, "Set-Cookie") == ["a=1", "b=2", "c=3"]


@pytest.mark.parametrize(
    ("stated", "reported"),
    [
        pytest.param([], ["private"], id="nothing said"),
        pytest.param(["public, max-age=60"], ["max-age=60, private"], id="public"),
        pytest.param(["Public", "S-MaxAge=9"], ["private"], id="in two fields and any case"),
        pytest.param(["no-store"], ["no-store, private"], id="stricter"),
        pytest.param([""], ["private"], id="empty"),
    ],
)  # fmt: skip
def test_an_answer_with_our_cookie_is_kept_out_of_shared_caches(
    stated: list[str], reported: list[str]
) -> None:
    fields = [(b"Cache-Control", value.encode()) for value in stated]
    cdn = [(b"CDN-Cache-Control", b"public"), (b"Surrogate-Control", b"max-age=9")]

    with_cookie = written([*fields, *cdn], set_cookies=("a=1",))
    without = written([*fields, *cdn])

    assert values(with_cookie, "Cache-Control") == reported
    assert values(with_cookie, "CDN-Cache-Control") == []
    assert values(with_cookie, "Surrogate-Control") == []
    assert values(without, "Cache-Control") == stated
    assert values(without, "CDN-Cache-Control") == ["public"]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param(200, b"HTTP/1.1 200 OK\r\n", id="known"),
        pytest.param(418, b"HTTP/1.1 418 I'm a Teapot\r\n", id="odd"),
        pytest.param(299, b"HTTP/1.1 299 \r\n", id="unknown"),
    ],
)
def test_the_status_line_is_in_our_own_words(status: int, line: bytes) -> None:
    assert written([], status=status).startswith(line)


@pytest.mark.parametrize(
    ("stated", "reported"),
    [
        pytest.param([], [DATE], id="missing"),
        pytest.param([(b"date", b"then")], ["then"], id="the upstream's"),
    ],
)
def test_a_missing_date_is_added(stated: Fields, reported: list[str]) -> None:
    assert values(written(stated), "Date") == reported


# The same, from the bytes of the upstream to those of the client

ORDINARY = [
    b"Server: nginx/1.27.2", b"Date: Thu, 26 Nov 2026 18:13:04 GMT", b"Vary: Accept",
    b"Content-Type: text/plain", b"Connection: keep-alive", b"Keep-Alive: timeout=5",
    b"Cache-Control: no-store", b'ETag: W/"1"', b"X-Frame-Options: DENY",
    b"Set-Cookie: theme=dark; Path=/", b"Content-Encoding:gzip", b"X-Empty:",
]  # fmt: skip
HOSTILE = [
    b"Connection: close", b"connection: X-Frame-Options, vary", b"Connection: Date",
    b"Connection: set-cookie,\tclose", b"Connection: Content-Length", b"Upgrade: h2c",
    b"Set-Cookie: api_jwt=stolen", b"set-cookie: =__Host-gateway_session=x",
    b"X-Gateway-Sign-In: e30", b"x-request-id: mine", b"Transfer-Encoding: identity",
    b"Content-Length: 3", b"Content-Length: +3", b"Content-Length: 3, 3",
    b"Content-Length : 3", b"X: a\rb", b"X: a\nb", b"X: \0", b" folded: x", b"",
    b"X(: y", b"X: \xe4\xff", b"Trailer: X-Sum", b"TE: trailers", b"X", b": x",
    b"DATE: then", b"Date:", b"X: " + b"y" * 300, b"Proxy-Connection: keep-alive",
]  # fmt: skip


@given(
    first=st.sampled_from(
        [b"HTTP/1.1 200 OK"] * 6
        + [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 \xff"]
        + [b"HTTP/1.1 502", b"HTTP/1.1 599 ", b"HTTP/1.1  200 OK", b"HTTP/2 200"]
        + [b"HTTP/1.1 200 O\rK", b"HTTP/1.1 600 OK", b"ICE/1.0 200 OK", b""]
    ),
    lines=st.lists(
        st.sampled_from(ORDINARY) | st.sampled_from(HOSTILE) | st.binary(max_size=12),
        max_size=8,
    ),
    length=st.sampled_from([b"Content-Length: 2", b"content-length:2 ", b"X: y"]),
    at=st.integers(0, 8),
    body=st.sampled_from([b"ok", b"ok", b"", b"o", b"ok!", b"ok\r\n\r\n"]),
    method=st.sampled_from(["GET", "GET", "HEAD", "POST"]),
)
def test_the_client_gets_what_the_plain_reading_of_the_bytes_says(
    first: bytes, lines: list[bytes], length: bytes, at: int, body: bytes, method: str
) -> None:
    """Lines that were seen before must not change what becomes of a response."""
    head = [first, *lines[:at], length, *lines[at:]]
    wire = b"\r\n".join([*head, b"", body])

    expected = relayed(wire, method, RULES.own_cookies)
    sent = _through_the_gateway(wire, method)

    if not is_well_formed(wire):
        # Refused, or sent on in proper form: docs/upstream-responses.md.
        assert sent is None or SENT(sent[0])
        return
    if expected is None:
        assert sent is None
        return
    assert sent is not None
    got, got_body, kept = sent
    dated = any(name.lower() == b"date" for name, _ in expected.fields)
    reported = (
        expected.fields + [] if dated else [*expected.fields, (b"Date", DATE.encode())]
    )
    assert (
        got.split(b"\r\n", 1)[1]
        == b"".join(
            b"%b: %b\r\n" % field
            for field in [
                *reported,
                (b"X-Request-Id", ID.encode()),
                (b"Content-Length", b"%d" % len(expected.body)),
            ]
        )
        + b"\r\n"
    )
    assert got.startswith(b"HTTP/1.1 %d " % expected.status)
    assert (got_body, kept) == (expected.body, expected.kept)


def _through_the_gateway(wire: bytes, method: str) -> tuple[bytes, bytes, bool] | None:
    """The head and the body for the client, and whether the connection is kept."""
    loop = asyncio.new_event_loop()
    try:
        keeper = Keeper(loop)
        connection = Connection(keeper, Health())
        connection.connection_made(Wire())
        awaited = connection.exchange(b"", method=method, body=None, handshake=None)
        connection.data_received(wire)
        kept = keeper.kept
        connection.eof_received()
        if awaited.exception() is not None:
            return None
        response = awaited.result()
        assert isinstance(response, UpstreamResponse)
        body = response.complete_body()
    finally:
        loop.close()
    if body is None:
        return None
    head = build_response_head(
        head=response.end_to_end,
        rules=RULES,
        length=len(body),
        keep_alive=True,
        request_id=ID,
        set_cookies=(),
        now=NOW,
    )
    return head, body, kept


# Our own replies

PAGE = Reply(status=403, headers=(("Content-Type", "text/plain"),), body=b"no\n")


def own(
    reply: Reply,
    *,
    head_only: bool = False,
    keep_alive: bool = True,
    cookies: tuple[str, ...] = (),
) -> bytes:
    return encode_local_response(
        reply,
        head_only=head_only,
        keep_alive=keep_alive,
        request_id=ID,
        set_cookies=cookies,
        now=NOW,
    )


def test_our_own_answer_is_whole() -> None:
    raw = own(PAGE, keep_alive=False, cookies=("a=; Max-Age=0",))

    assert raw == (
        b"HTTP/1.1 403 Forbidden\r\n"
        b"Content-Type: text/plain\r\n"
        b"Date: " + DATE.encode() + b"\r\n"
        b"Set-Cookie: a=; Max-Age=0\r\n"
        b"X-Request-Id: " + ID.encode() + b"\r\n"
        b"Content-Length: 3\r\n"
        b"Connection: close\r\n"
        b"\r\n"
        b"no\n"
    )


def test_the_response_to_head_has_the_length_and_no_body() -> None:
    """RFC 9110, section 8.6."""
    raw = own(PAGE, head_only=True)

    assert raw.endswith(b"\r\n\r\n")
    assert values(raw, "Content-Length") == ["3"]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_length(status: int) -> None:
    raw = own(Reply(status=status, body=b"not sent"))

    assert raw.endswith(b"\r\n\r\n")
    assert values(raw, "Content-Length") == []
    assert values(raw, "Transfer-Encoding") == []


def test_each_second_has_its_own_date() -> None:
    dates = [
        values(
            encode_local_response(
                PAGE,
                head_only=False,
                keep_alive=True,
                request_id=ID,
                set_cookies=(),
                now=now,
            ),
            "Date",
        )
        for now in (0.0, 0.99, 1.0, 1e9)
    ]

    assert dates == [
        ["Thu, 01 Jan 1970 00:00:00 GMT"],
        ["Thu, 01 Jan 1970 00:00:00 GMT"],
        ["Thu, 01 Jan 1970 00:00:01 GMT"],
        ["Sun, 09 Sep 2001 01:46:40 GMT"],
    ]
