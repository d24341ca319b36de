"""What an upstream is sent: nothing that a client says of itself, ours once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.head import RequestHead
from gateway.http.header_families import is_identity_name
from gateway.http.headers import HeaderFilter, is_reserved, normalize_name
from gateway.http.target import BadTarget, Target, parse_target
from gateway.identity_headers import PRESETS, IdentityHeaders
from gateway.outbound import (
    OutboundRequest,
    TokenSlot,
    UpstreamView,
    granted_lines,
    plan_outbound,
)
from gateway.reasons import Reason
from gateway.sessions.record import Identity, Session, Tenant
from gateway.tokens.claims import compile_template
from tests.http.heads import REQUEST_ID, TRACEPARENT, head, read
from tests.sessions.samples import a_session

SESSION = a_session()
ACME = SESSION.tenants["t_acme"]
COOKIE = b"__Host-gateway_session"
TOKEN_COOKIE = b"api_jwt"
OWN_MAPPING = {"X-Who": "{identity.id}", "X_Plan": "{identity.traits.plan}"}


def slot(header: bytes | None, profile: str = "p") -> TokenSlot:
    return TokenSlot(profile=profile, header=header)


def view(identity: str | Mapping[str, str] = "gateway", **changes: Any) -> UpstreamView:
    mapping = PRESETS[identity] if isinstance(identity, str) else identity
    token_header = changes.pop("token_header", None)
    made = UpstreamView(
        name="web",
        own_host=b"10.1.2.3:3000",
        preserve_host=True,
        strip_prefix=None,
        tokens=() if token_header is None else (slot(token_header),),
        header_filter=HeaderFilter(
            set(mapping) | {(token_header or b"X-None").decode()}
        ),
        stripped_cookies=frozenset({COOKIE, TOKEN_COOKIE}),
        identity=IdentityHeaders(
            fields=tuple(
                (name.encode(), compile_template(text))
                for name, text in mapping.items()
            )
        ),
    )
    return replace(made, **changes)


def planned(
    request: RequestHead,
    to: UpstreamView | None = None,
    session: Session | None = None,
    tenant: Tenant | None = None,
    token: str | None = None,
    **more: Any,
) -> OutboundRequest:
    to = to or view()
    if session is not None:
        tokens = [token] * len(to.tokens)
        more["granted"] = granted_lines(to, session, tenant, tokens)
    found = plan_outbound(head=request, view=to, **more)
    assert isinstance(found, OutboundRequest)
    return found


def encoded(outbound: OutboundRequest) -> bytes:
    return outbound.encode(REQUEST_ID, TRACEPARENT)


def fields_of(outbound: OutboundRequest) -> list[tuple[bytes, bytes]]:
    lines = encoded(outbound).split(b"\r\n")[1:-2]
    return [(n, v) for n, _, v in (line.partition(b": ") for line in lines)]


def values(outbound: OutboundRequest, name: str) -> list[str]:
    wanted = normalize_name(name.encode())
    return [
        v.decode("latin-1")
        for n, v in fields_of(outbound)
        if normalize_name(n) == wanted
    ]


# Law 2: nobody speaks for himself

OURS = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "app.example",
    "X-Forwarded-Port": "80",
    "X-Request-Id": REQUEST_ID,
    "traceparent": TRACEPARENT,
}
RESERVED = sorted(
    {
        *(name for preset in PRESETS.values() for name in preset),
        *OURS,
        "Authorization",
        "Forwarded",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "X-Forwarded-Prefix",
        "X-Gateway-Sign-In",
        "X-Gateway-Anything",
        "X-Middleware-Subrequest",
        "X-Original-Url",
        "X-Plan",
        "X-Real-Ip",
        "X-Tok",
        "X-Who",
    }
)


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A reserved name, in any case and with any mark for its hyphens."""
    letters = draw(st.sampled_from(RESERVED))
    return "".join(
        draw(st.sampled_from("-_.!~"))
        if letter == "-"
        else draw(st.sampled_from((letter.lower(), letter.upper())))
        for letter in letters
    ).encode()


NAMES = st.one_of(
    spelled(),
    st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True),
    st.sampled_from([b"Accept", b"Content-Type", b"If-None-Match", b"X-Custom"]),
)
VALUES = st.one_of(
    st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc"))),
    st.sampled_from(["root", "Bearer x", "", "a\tb"]),
).map(lambda text: text.encode())
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
VIEWS = st.builds(
    view,
    st.sampled_from([*PRESETS, OWN_MAPPING]),
    token_header=st.sampled_from(
        [None, b"Authorization", b"X-Auth-Assertion", b"X-Tok"]
    ),
    preserve_host=st.booleans(),
)


@given(fields=FIELDS, to=VIEWS, session=st.sampled_from([None, SESSION]))
def test_no_client_speaks_under_a_reserved_name_and_we_speak_once(
    fields: list[tuple[bytes, bytes]], to: UpstreamView, session: Session | None
) -> None:
    request = read(*fields)
    if not isinstance(request, RequestHead):
        return  # refused as a whole: of this nothing is sent

    sent = planned(request, to, session, ACME if session else None, "T.O.K")

    identity = dict(to.identity.render(SESSION, ACME)) if session else {}
    expected = {normalize_name(n.encode()): v.encode() for n, v in OURS.items()}
    expected |= {normalize_name(name): value for name, value in identity.items()}
    for each in to.tokens if session else ():
        assert each.header is not None
        bearer = b"Bearer " if each.header == b"Authorization" else b""
        expected[normalize_name(each.header)] = bearer + b"T.O.K"
    expected[b"host"] = b"app.example" if to.preserve_host else b"10.1.2.3:3000"
    ours: dict[bytes, list[bytes]] = {name: [] for name in expected}
    for name, value in fields_of(sent):
        normalized = normalize_name(name)
        if normalized in ours:
            ours[normalized].append(value)
        else:
            assert not is_reserved(name) or normalized in {b"cookie", b"content-length"}
            assert not is_identity_name(normalized)
            assert normalized not in {
                normalize_name(each) for each, _ in to.identity.fields
            }
    assert ours == {name: [value] for name, value in expected.items()}


@given(fields=FIELDS, to=VIEWS)
def test_what_is_nobodys_name_goes_on_as_it_came(
    fields: list[tuple[bytes, bytes]], to: UpstreamView
) -> None:
    request = read(*fields)
    if not isinstance(request, RequestHead):
        return

    sent = planned(request, to)

    assert sent.lines[1:-1] == to.header_filter.strip(request.lines)


def test_no_identity_is_sent_without_a_session() -> None:
    sent = planned(head(), view(token_header=b"Authorization"), token="T.O.K")

    assert values(sent, "X-Auth-User-Id") == []
    assert values(sent, "Authorization") == []


# Identity: what a session can make of a header

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(),
        st.text("\r\n\t\0 %é\ud800a", max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=4,
)  # fmt: skip


@given(email=JSON, name=st.text(), role=st.text(), who=st.text(min_size=1))
def test_no_trait_ends_a_line(email: Any, name: str, role: str, who: str) -> None:
    """CR, LF and NUL cannot be said by an identity, whatever its traits are."""
    session = a_session(
        identity=Identity(
            id=who, traits={"email": email, "name": name}, roles=(role, "x")
        )
    )
    tenant = Tenant(id=who, name=name, role=role)

    for preset in PRESETS:
        for field, value in view(preset).identity.render(session, tenant):
            assert not set(value) & {*range(0x20), *range(0x7F, 0x100)}, field
            assert value == value.strip()


@given(text=st.text(min_size=1, max_size=200).filter(lambda text: "\0" not in text))
def test_a_trait_can_be_read_back(text: str) -> None:
    session = a_session(identity=Identity(id="u", traits={"email": text}))

    sent = planned(head(), session=session)

    reported = values(sent, "X-Auth-Email")
    assert [unquote(value) for value in reported] in ([text], [])
    assert reported or any("\ud800" <= char <= "\udfff" for char in text)


@pytest.mark.parametrize(
    ("traits", "reported"),
    [
        pytest.param({}, [], id="missing"),
        pytest.param({"email": None}, [], id="null"),
        pytest.param({"email": ""}, [], id="empty"),
        pytest.param({"email": {"a": "b"}}, [], id="an object"),
        pytest.param({"email": "a\r\nX-Auth-Role: admin"}, ["a%0D%0AX-Auth-Role: admin"], id="two lines"),
        pytest.param({"email": "ä@x"}, ["%C3%A4@x"], id="beyond ASCII"),
        pytest.param({"email": "100%"}, ["100%25"], id="a percent sign"),
        pytest.param({"email": True}, ["true"], id="true"),
        pytest.param({"email": False}, ["false"], id="false"),
        pytest.param({"email": 7}, ["7"], id="a number"),
        pytest.param({"email": ["a", "b", 1]}, ["a,b,1"], id="a list"),
        pytest.param({"email": "ada@example.com"}, ["ada@example.com"], id="a text"),
    ],
)  # fmt: skip
def test_a_trait_is_sent_as_text_or_not_at_all(
    traits: dict[str, Any], reported: list[str]
) -> None:
    session = a_session(identity=Identity(id="u", traits=traits))

    assert values(planned(head(), session=session), "X-Auth-Email") == reported


def test_the_tenant_sent_is_that_of_the_request_not_of_the_session() -> None:
    beta = SESSION.tenants["t_beta"]
    to = view()

    first = planned(head(), to, SESSION, ACME)
    other = planned(head(), to, SESSION, beta)
    none = planned(head(), to, SESSION, None)

    assert values(first, "X-Auth-Tenant-Id") == ["t_acme"]
    assert values(other, "X-Auth-Tenant-Id") == ["t_beta"]
    assert values(other, "X-Auth-Tenant-Role") == ["member"]
    assert values(none, "X-Auth-Tenant-Id") == []


def test_a_change_of_the_record_shows_in_the_next_request() -> None:
    to = view()
    planned(head(), to, SESSION, ACME)

    later = replace(SESSION, identity=replace(SESSION.identity, roles=("member",)))

    assert values(planned(head(), to, later, ACME), "X-Auth-Role") == ["member"]


def test_rendered_sessions_do_not_pile_up() -> None:
    identity = view().identity

    for number in range(10_050):
        identity.lines(replace(SESSION, id=f"s{number}"), None)

    assert len(identity._lines) <= 10_000


# Cookies: law 12

S = "A" * 43


@pytest.mark.parametrize(
    ("cookies", "sent"),
    [
        pytest.param([f"__Host-gateway_session={S}"], [], id="alone"),
        pytest.param([f"a=1; __Host-gateway_session={S}; b=2"], ["a=1; b=2"], id="between"),
        pytest.param([f"__Host-gateway_session={S}", f"__Host-gateway_session={S}"], [], id="twice"),
        pytest.param([f"__Host-gateway_session = {S}; a=1"], ["a=1"], id="with spaces"),
        pytest.param([f";;__Host-gateway_session={S};a=1;"], ["a=1"], id="odd separators"),
        pytest.param([f'q="x; __Host-gateway_session={S}; y"'], ['q="x; y"'], id="quotes hide nothing"),
        pytest.param(["__Host-gateway_session"], [], id="without a value"),
        pytest.param(["api_jwt=forged; a=1"], ["a=1"], id="a token of ours"),
        pytest.param(["a=1", "b=2; api_jwt=x"], ["a=1; b=2"], id="two fields are one"),
        pytest.param(["a=1; b=2"], ["a=1; b=2"], id="others"),
        pytest.param([], [], id="none"),
    ],
)  # fmt: skip
def test_cookies_of_ours_stay_here_and_the_others_go_on(
    cookies: list[str], sent: list[str]
) -> None:
    request = head(*(("Cookie", value) for value in cookies))

    for session in (None, SESSION):
        assert values(planned(request, session=session), "Cookie") == sent


def test_the_session_cookie_goes_where_it_is_let() -> None:
    request = head(("Cookie", f"a=1; __Host-gateway_session={S}; api_jwt=x"))

    sent = planned(request, view(stripped_cookies=frozenset({TOKEN_COOKIE})))

    assert values(sent, "Cookie") == [f"a=1; __Host-gateway_session={S}"]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [COOKIE + b"=" + S.encode(), b"a=1", b" ", b"", b"\t", b"=", b'"']
            ),
            st.binary(max_size=12).map(lambda raw: raw.translate(None, b"\r\n\0")),
        ),
        max_size=6,
    )
)
def test_no_arrangement_of_cookies_carries_the_session_on(pieces: list[bytes]) -> None:
    request = replace(head(), cookies=(b";".join(pieces),))

    sent = planned(request)

    for name, value in sent.headers:
        if name == b"Cookie":
            for pair in value.split(b";"):
                assert pair.partition(b"=")[0].strip(b" \t") != COOKIE


def test_minted_tokens_stand_in_the_place_of_the_clients() -> None:
    request = head(("Cookie", "a=1; api_jwt=forged"))

    with_others = planned(request, token_cookies=((b"api_jwt", b"T.O.K"),))
    alone = planned(head(), token_cookies=((b"api_jwt", b"T.O.K"), (b"b", b"c")))

    assert values(with_others, "Cookie") == ["a=1; api_jwt=T.O.K"]
    assert values(alone, "Cookie") == ["api_jwt=T.O.K; b=c"]


def test_a_cookie_named_by_connection_goes_no_further_than_us() -> None:
    request = head(("Cookie", "a=1"), ("Connection", "Cookie"))

    assert values(planned(request), "Cookie") == []


# Target and Host


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        pytest.param("/apix/y", "/apix/y", id="another segment"),
        pytest.param("/x/api/y", "/x/api/y", id="further in"),
        pytest.param("/api", "/", id="nothing left"),
        pytest.param("/api/", "/", id="a slash left"),
        pytest.param("/api?a=/api", "/?a=/api", id="the query stays"),
        pytest.param("/api/api/x", "/api/x", id="once"),
        pytest.param("/%61pi/x", "/x", id="another spelling"),
        pytest.param("/api/a%2Fb", "/a%2Fb", id="escapes stay"),
    ],
)
def test_a_prefix_is_taken_off_by_whole_segments(target: str, sent: str) -> None:
    assert planned(head(target=target), view(strip_prefix="/api")).target == sent


@pytest.mark.parametrize("path", ["/api//evil.example", "/api/../x", "/api/%00"])
def test_what_is_left_after_the_prefix_is_checked_again(path: str) -> None:
    """No request gets this far with such a path; if one did, it would end here."""
    odd = replace(head(), target=Target(path=path, query=None, escapes=frozenset()))

    found = plan_outbound(head=odd, view=view(strip_prefix="/api"))

    assert isinstance(found, BadTarget)
    assert found.reason is Reason.BAD_TARGET


@given(
    st.lists(
        st.sampled_from(["api", "a", "%2F", "%2e", ";", "%25", "x.y", "~", "", "%E2%82%AC"]),
        max_size=5,
    ),
    st.sampled_from([None, "/api", "/api/a"]),
)  # fmt: skip
def test_the_target_sent_has_the_one_spelling(
    segments: list[str], prefix: str | None
) -> None:
    """Law 1."""
    request = read(target="/" + "/".join(segments) + "?q=%2e")
    if not isinstance(request, RequestHead):
        return

    sent = planned(request, view(strip_prefix=prefix)).target

    parsed = parse_target(sent)
    assert isinstance(parsed, Target)
    assert parsed.raw == sent
    assert request.target.raw.endswith(sent.partition("?")[0].lstrip("/") + "?q=%2e")


@pytest.mark.parametrize(
    ("preserve", "host"),
    [
        pytest.param(True, "app.example:8080", id="the browser's"),
        pytest.param(False, "10.1.2.3:3000", id="its own"),
    ],
)
def test_host_is_the_browsers_or_the_upstreams_own(preserve: bool, host: str) -> None:
    sent = planned(head(host="App.Example:8080"), view(preserve_host=preserve))

    assert sent.headers[0] == (b"Host", host.encode())
    assert values(sent, "Host") == [host]
    assert values(sent, "X-Forwarded-Host") == ["app.example:8080"]


def test_a_unix_peer_that_names_no_client_has_no_forwarded_for() -> None:
    assert values(planned(head(peer="")), "X-Forwarded-For") == []


# Framing

SOCKET = (
    ("Connection", "Upgrade, X-Custom"),
    ("Upgrade", "WebSocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="),
)
FRAMING = {
    "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Expect",
    "Keep-Alive", "Trailer",
}  # fmt: skip
FRAMED = [
    pytest.param(head(), {}, id="no body"),
    pytest.param(head(("Connection", "keep-alive, TE"), ("TE", "trailers"), ("Keep-Alive", "5")), {}, id="hop by hop"),
    pytest.param(head(("Content-Length", "0"), method="POST"), {"Content-Length": "0"}, id="empty"),
    pytest.param(
        head(("Content-Length", "007"), ("Expect", "100-continue"), method="PUT"),
        {"Content-Length": "7"}, id="length in one spelling, no expectation",
    ),
    pytest.param(
        head(("Transfer-Encoding", "chunked"), ("Trailer", "X"), method="PATCH"),
        {"Transfer-Encoding": "chunked"}, id="chunked",
    ),
    pytest.param(head(*SOCKET), {"Connection": "Upgrade", "Upgrade": "websocket"}, id="websocket"),
    pytest.param(head(*SOCKET, version=(1, 0)), {}, id="no upgrade from HTTP/1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "framing"), FRAMED)
def test_framing_is_ours(request_: RequestHead, framing: dict[str, str]) -> None:
    sent = planned(request_)

    reported = {name: values(sent, name) for name in FRAMING if values(sent, name)}
    assert reported == {name: [value] for name, value in framing.items()}


def test_a_handshake_keeps_its_fields() -> None:
    sent = planned(head(*SOCKET, ("Sec-WebSocket-Protocol", "a, b"), ("X-Custom", "1")))

    assert values(sent, "Sec-WebSocket-Key") == ["AAECAwQFBgcICQoLDA0ODw=="]
    assert values(sent, "Sec-WebSocket-Protocol") == ["a, b"]
    assert values(sent, "X-Custom") == []


# On the wire


@given(
    fields=FIELDS,
    to=VIEWS,
    session=st.sampled_from([None, SESSION]),
    method=st.sampled_from(["GET", "POST", "M-SEARCH", "DELETE"]),
)
def test_what_is_written_is_read_back_the_same(
    fields: list[tuple[bytes, bytes]],
    to: UpstreamView,
    session: Session | None,
    method: str,
) -> None:
    request = read(*fields, method=method, target="/a%20b?c=d")
    if not isinstance(request, RequestHead):
        return
    sent = planned(request, to, session, ACME if session else None, "T.O.K")
    machine = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)

    machine.receive_data(encoded(sent))
    event = machine.next_event()

    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (method.encode(), b"/a%20b?c=d")
    assert event.headers.raw_items() == [
        (n, v.strip(b" \t")) for n, v in fields_of(sent)
    ]
    assert isinstance(machine.next_event(), h11.EndOfMessage)
    assert machine.trailing_data == (b"", False)


def test_each_token_of_an_upstream_has_its_header() -> None:
    both = (slot(b"Authorization"), slot(None, "cookie"), slot(b"X-Storage", "s"))
    to = view("none", tokens=both)

    lines = granted_lines(to, SESSION, ACME, ["A.A.A", "B.B.B", "C.C.C"])
    some = granted_lines(to, SESSION, ACME, [None, "B.B.B", "C.C.C"])

    assert lines == b"Authorization: Bearer A.A.A\r\nX-Storage: C.C.C\r\n"
    assert some == b"X-Storage: C.C.C\r\n"
