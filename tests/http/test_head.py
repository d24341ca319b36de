import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import sort_fields
from gateway.http.head import BadRequest, HeadRules, RequestHead, read_head
from gateway.http.headers import is_reserved, normalize_name
from gateway.reasons import Reason
from tests.http.heads import (
    BEHIND_PROXY,
    head,
    names,
    raw,
    read,
    refusal,
)

REFUSED = [
    pytest.param({"version": (2, 0)}, 505, Reason.BAD_VERSION, id="http-2"),
    pytest.param({"version": (0, 9)}, 505, Reason.BAD_VERSION, id="http-0.9"),
    pytest.param({"version": (1, 2)}, 505, Reason.BAD_VERSION, id="http-1.2"),
    pytest.param({"method": "TRACE"}, 405, Reason.METHOD_NOT_ALLOWED, id="trace"),
    pytest.param({"method": "trace"}, 405, Reason.METHOD_NOT_ALLOWED, id="trace-lower"),
    pytest.param({"method": "CONNECT"}, 405, Reason.METHOD_NOT_ALLOWED, id="connect"),
    pytest.param({"method": "G ET"}, 400, Reason.BAD_REQUEST, id="method-no-token"),
    pytest.param({"method": ""}, 400, Reason.BAD_REQUEST, id="method-empty"),
    pytest.param({"method": "X" * 65}, 400, Reason.BAD_REQUEST, id="method-long"),
    pytest.param({"target": "*"}, 400, Reason.BAD_TARGET, id="asterisk"),
    pytest.param({"target": "http://b/"}, 400, Reason.BAD_TARGET, id="absolute-form"),
    pytest.param({"target": "/a/../b"}, 400, Reason.BAD_TARGET, id="dot-segment"),
    pytest.param({"host": None}, 400, Reason.BAD_HOST, id="no-host"),
    pytest.param(
        {"host": "a b", "version": (1, 0)}, 400, Reason.BAD_HOST, id="host-in-1.0"
    ),
    pytest.param({"host": ""}, 400, Reason.BAD_HOST, id="host-empty"),
    pytest.param({"host": "a, b"}, 400, Reason.BAD_HOST, id="host-list"),
    pytest.param({"host": "a@b"}, 400, Reason.BAD_HOST, id="host-userinfo"),
    pytest.param({"host": "gw/public?x="}, 400, Reason.BAD_HOST, id="host-path"),
    pytest.param({"host": "a:99999"}, 400, Reason.BAD_HOST, id="host-port"),
    pytest.param({"host": "é".encode()}, 400, Reason.BAD_HOST, id="host-8-bit"),
]


@pytest.mark.parametrize(("request_line", "status", "reason"), REFUSED)
def test_a_request_line_or_host_that_is_not_plain_is_refused(
    request_line: dict[str, object], status: int, reason: Reason
) -> None:
    found = refusal(**request_line)

    assert (found.status, found.reason) == (status, reason)


BAD_FIELDS = [
    pytest.param([("host", "app.example")], Reason.BAD_HOST, id="host-twice-same"),
    pytest.param([("HOST", "b")], Reason.BAD_HOST, id="host-twice"),
    pytest.param([("", "a")], Reason.BAD_HEADER, id="name-empty"),
    pytest.param([("Host ", "b")], Reason.BAD_HEADER, id="name-space"),
    pytest.param([("A\x85", "b")], Reason.BAD_HEADER, id="name-8-bit"),
    pytest.param([("A\0", "b")], Reason.BAD_HEADER, id="name-nul"),
    pytest.param([("A", "b\0")], Reason.BAD_HEADER, id="value-nul"),
    pytest.param([("A", "b\r\nX: y")], Reason.BAD_HEADER, id="value-crlf"),
    pytest.param([("A", "b\x7f")], Reason.BAD_HEADER, id="value-del"),
    pytest.param([("X-User", b"admin\xff")], Reason.BAD_HEADER, id="value-not-utf-8"),
    pytest.param(
        [("X-Role", b"\xc3"), ("X_Role", b"\xa9")],
        Reason.BAD_HEADER,
        id="utf-8-over-two-values",
    ),
    pytest.param([("X.User", b"\xff")], Reason.BAD_HEADER, id="spelling-not-utf-8"),
    pytest.param([("X-Real-Ip", b"\xff")], Reason.BAD_HEADER, id="address-not-utf-8"),
    pytest.param([("Te", b"\xff")], Reason.BAD_HEADER, id="framing-not-utf-8"),
    pytest.param([("Cookie", b"a=\0")], Reason.BAD_HEADER, id="cookie-nul"),
]

OPAQUE = [
    ("Cookie", b"other=caf\xe9; a=\xff\xfe"),
    ("Referer", b"http://app.example/caf\xe9?q=\xff"),
    ("User-Agent", b"M\xfcller/1.0"),
    ("X-Custom", b"\x80\xff"),
    ("Authorization", b"Basic \xe9"),
    ("If-None-Match", b'"\xff"'),
    ("Accept", b"text/\xe9"),
]


@pytest.mark.parametrize(("name", "value"), OPAQUE, ids=[n for n, _ in OPAQUE])
def test_a_field_of_others_is_opaque(name: str, value: bytes) -> None:
    """RFC 9110, section 5.5: obs-text is opaque data; browsers still send it."""
    found = head((name, value))

    sent = found.cookies if name == "Cookie" else [each for _, each in found.headers]
    assert list(sent) == [value]


@pytest.mark.parametrize("fields", [[], [("Host", "")]])
def test_a_client_of_http_1_0_need_not_name_a_host(
    fields: list[tuple[str, str]],
) -> None:
    found = head(*fields, host=None, version=(1, 0))

    assert (found.host, found.authority, found.port) == ("", "", 80)


@pytest.mark.parametrize(("fields", "reason"), BAD_FIELDS)
def test_a_field_that_is_not_clean_is_refused(
    fields: list[tuple[str, str]], reason: Reason
) -> None:
    found = refusal(*fields)

    assert (found.status, found.reason) == (400, reason)


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    found = refusal(("A", "evil\0"), target="/evil", method="EVIL")

    assert "evil" not in found.detail.lower()


NEVER_FORWARDED = [
    *(
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "HTTP2-Settings",
    ),
    *("Proxy-Authorization", "Proxy-Authenticate", "Upgrade", "Proxy"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"),
    *("X-Forwarded-Prefix", "X-Forwarded-User", "X_Forwarded_Proto", "X.Forwarded-For"),
    *("Forwarded", "X-Real-Ip", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url"),
    *("True-Client-Ip", "CF-Connecting-IP", "X-Client-IP", "X-Cluster-Client-Ip"),
    *("X-Scheme", "X-Envoy-External-Address", "X-Http-Method-Override"),
    *(
        "X-Method-Override",
        "X-HTTP-Method",
        "x-middleware-subrequest",
        "Ssl-Client-Verify",
    ),
    *("X-SSL-Client-Cert", "X-Request-Id", "traceparent", "tracestate"),
    *("X-Gateway-Sign-In", "X_Gateway_Anything", "Cookie", "cookie", "COOKIE"),
    *("Content_Length", "Transfer_Encoding", "Transfer.Encoding", "Client-IP"),
]


@pytest.mark.parametrize("name", NEVER_FORWARDED)
@pytest.mark.parametrize(
    "rules", [HeadRules(), BEHIND_PROXY], ids=["direct", "proxied"]
)
def test_what_speaks_of_the_connection_or_the_client_goes_no_further(
    name: str, rules: HeadRules
) -> None:
    found = read((name, "80"), ("Accept", "*/*"), peer="10.0.0.1", rules=rules)

    assert isinstance(found, BadRequest) or names(found) == [b"Accept"]


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    name = draw(
        st.sampled_from(
            [b"x-forwarded-for", b"x-gateway-sign-in", b"x-original-url", b"x-real-ip"]
            + [
                b"forwarded",
                b"x-middleware-subrequest",
                b"ssl-client-verify",
                b"cookie",
            ]
            + [b"content-length", b"transfer-encoding", b"traceparent", b"x-request-id"]
        )
    )
    return b"".join(
        draw(st.sampled_from([b"-", b"_", b"."]))
        if octet == ord("-")
        else draw(st.sampled_from([bytes([octet]), bytes([octet]).upper()]))
        for octet in name
    )


@given(
    st.lists(st.tuples(spelled(), st.sampled_from([b"", b"1", b"a, b"])), max_size=4)
)
def test_a_reserved_name_survives_in_no_spelling(
    fields: list[tuple[bytes, bytes]],
) -> None:
    found = read(*fields, ("X-Mine", "1"), ("Connection", "close, x_mine"))

    assert isinstance(found, BadRequest) or names(found) == [b"X-Mine"]


octets = st.binary(max_size=12)
plausible = st.sampled_from(
    [
        b"Host",
        b"host",
        b"Connection",
        b"Upgrade",
        b"Content-Length",
        b"Expect",
        b"Cookie",
    ]
    + [b"Transfer-Encoding", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version", b"Accept"]
    + [
        b"X-Forwarded-For",
        b"Forwarded",
        b"X-Forwarded-Proto",
        b"traceparent",
        b"Origin",
    ]
)
values = st.one_of(
    octets,
    st.sampled_from(
        [b"a", b"websocket", b"upgrade", b"chunked", b"5", b"13", b"close"]
    ),
)


@given(
    method=st.one_of(st.text(max_size=5), st.sampled_from(["GET", "OPTIONS"])),
    target=st.one_of(st.text(max_size=9), st.just("/")),
    version=st.sampled_from([(1, 1), (1, 0), (2, 0)]),
    fields=st.lists(st.tuples(st.one_of(octets, plausible), values), max_size=8),
    peer=st.sampled_from(["10.0.0.1", "192.0.2.1", "", "x"]),
)
def test_any_bytes_give_a_value(
    method: str,
    target: str,
    version: tuple[int, int],
    fields: list[tuple[bytes, bytes]],
    peer: str,
) -> None:
    found = read(
        *fields,
        method=method,
        target=target,
        version=version,
        host=None,
        peer=peer,
        rules=BEHIND_PROXY,
    )

    if isinstance(found, BadRequest):
        assert 400 <= found.status <= 505
        return
    assert not any(is_reserved(n) for n in names(found) if n != b"tracestate")
    assert found.host or version == (1, 0)
    assert found.port
    assert repr(found)


def test_what_is_the_clients_is_passed_on_as_it_came() -> None:
    fields = [
        (b"User-Agent", b"x"),
        (b"accept", b"a"),
        (b"Accept", b"b"),
        (b"Authorization", b"Basic x"),
        (b"X-Name", "Zoë".encode()),
        (b"X_Odd", b" y "),
    ]

    found = head(*fields)

    assert found.headers == tuple(fields)
    assert found.accept == "a, b"


def test_secrets_do_not_print() -> None:
    found = head(("Cookie", "gateway_session=hunter2"), ("Authorization", "hunter2"))

    assert "hunter2" not in repr(found)


def test_cookies_are_judged_as_they_came() -> None:
    found = head(("Cookie", " a=1; b"), ("cookie", "c=3"), ("Connection", "Cookie"))

    assert found.cookies == (b" a=1; b", b"c=3")
    assert found.cookie_hop
    assert not head(("Cookie", "a=1")).cookie_hop


def test_what_connection_names_goes_no_further() -> None:
    found = head(
        ("Connection", "close, X-Mine"),
        ("connection", "authorization"),
        ("X-Mine", "1"),
        ("X_Mine", "2"),
        ("Authorization", "3"),
        ("Accept", "4"),
    )

    assert names(found) == [b"X_Mine", b"Accept"]
    assert not found.keep_alive


HOSTS = [
    pytest.param("App.Example", "app.example", "app.example", 80, id="case"),
    pytest.param("a.:8080", "a", "a:8080", 8080, id="root-dot-and-port"),
    pytest.param("[::1]:81", "[::1]", "[::1]:81", 81, id="ipv6"),
]


@pytest.mark.parametrize(("host", "name", "authority", "port"), HOSTS)
def test_the_host_has_one_spelling(
    host: str, name: str, authority: str, port: int
) -> None:
    found = head(host=host)

    assert (found.host, found.authority, found.port) == (name, authority, port)
    assert found.scheme == "http"


def test_the_scheme_is_that_of_the_connection() -> None:
    found = head(("X-Forwarded-Proto", "http"), tls=True)

    assert (found.scheme, found.port) == ("https", 443)


def test_nothing_is_believed_of_a_stranger() -> None:
    found = head(
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https, x"),
        ("X-Forwarded-Host", "evil example"),
        ("X-Forwarded-Port", "0"),
        ("Forwarded", 'for="'),
        ("X-Request-Id", "mine"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
        rules=BEHIND_PROXY,
    )

    assert (found.client, found.forwarded_for) == ("192.0.2.7", "192.0.2.7")
    assert (found.scheme, found.host, found.port) == ("http", "app.example", 80)
    assert (found.given_id, found.given_trace) == (None, None)
    assert found.headers == ()


def test_a_trusted_proxy_speaks_for_the_client() -> None:
    found = head(
        ("X-Forwarded-For", "127.0.0.1, 203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "Public.Example:8443"),
        ("X-Request-Id", "edge-1.2_3"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-00"),
        ("tracestate", "a=b"),
        ("tracestate", "c=d"),
        peer="::ffff:10.0.0.1",
        rules=BEHIND_PROXY,
    )

    assert found.client == "203.0.113.9"
    assert found.forwarded_for == "203.0.113.9, 10.0.0.1"
    assert (found.scheme, found.authority, found.port) == (
        "https",
        "public.example:8443",
        8443,
    )
    assert found.given_id == "edge-1.2_3"
    assert found.given_trace == ("4bf92f3577b34da6a3ce929d0e0e4736", "00")
    assert found.headers == ((b"tracestate", b"a=b, c=d"),)


PORTS = [
    pytest.param([("X-Forwarded-Proto", "https")], 443, id="of-the-scheme"),
    pytest.param(
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "8443")], 8443, id="named"
    ),
    pytest.param([("X-Forwarded-Host", "a:81")], 81, id="of-the-host"),
    pytest.param([], 80, id="unsaid"),
]


@pytest.mark.parametrize(("fields", "port"), PORTS)
def test_the_port_is_the_one_the_client_used(
    fields: list[tuple[str, str]], port: int
) -> None:
    assert head(*fields, peer="10.0.0.1", rules=BEHIND_PROXY).port == port


def test_a_repeated_field_of_a_trusted_proxy_is_a_list() -> None:
    """What a client sent comes before what the proxy added."""
    found = head(
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Host", "app.example:8443"),
        peer="10.0.0.1",
        rules=BEHIND_PROXY,
    )

    assert (found.scheme, found.authority) == ("https", "app.example:8443")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Request-Id", "a b"),
        ("X-Request-Id", "a" * 129),
        ("X-Request-Id", "é"),
        ("X-Request-Id", ""),
        ("traceparent", "00-00000000000000000000000000000000-1111111111111111-00"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00"),
        ("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-00"),
        ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-1111111111111111-00"),
    ],
)
def test_an_id_that_is_malformed_is_replaced(name: str, value: str) -> None:
    found = head(
        (name, value.encode()),
        ("tracestate", "a=b"),
        peer="10.0.0.1",
        rules=BEHIND_PROXY,
    )

    assert (found.given_id, found.given_trace) == (None, None)
    assert found.headers == ()


PREFLIGHTS = [
    pytest.param("OPTIONS", True, "PUT", id="preflight"),
    pytest.param("GET", True, None, id="other-method"),
    pytest.param("OPTIONS", False, None, id="no-origin"),
]


@pytest.mark.parametrize(("method", "origin", "requested"), PREFLIGHTS)
def test_a_preflight_has_its_three_marks(
    method: str, origin: bool, requested: str | None
) -> None:
    fields = [("Access-Control-Request-Method", "PUT")]
    fields += [("Origin", "https://b.example")] if origin else []

    found = head(*fields, method=method)

    assert found.preflight_method == requested
    assert found.preflight is (requested is not None)
    assert b"Access-Control-Request-Method" in names(found)


def test_what_a_browser_sends_of_itself_is_read() -> None:
    found = head(
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Site", "none"),
        ("Origin", "null"),
        ("X-Requested-With", "XMLHttpRequest"),
    )

    assert (found.sec_fetch_mode, found.sec_fetch_dest, found.sec_fetch_site) == (
        "navigate",
        "document",
        "none",
    )
    assert (found.origin, found.requested_with) == ("null", "XMLHttpRequest")
    assert len(found.headers) == 5


METHODS = ["GET", "get", "PROPFIND", "M-SEARCH", "X"]


@pytest.mark.parametrize("method", METHODS)
def test_methods_keep_their_spelling(method: str) -> None:
    assert head(method=method).method == method


def test_read_head_takes_fields_as_a_tuple_too() -> None:
    found = read_head(
        method="GET",
        raw_target="/",
        version=(1, 1),
        fields=sort_fields(tuple(raw([("Host", "a")]))),
        peer="192.0.2.1",
        tls=False,
        rules=HeadRules(),
    )

    assert isinstance(found, RequestHead)
    assert normalize_name(b"Host") == b"host"
