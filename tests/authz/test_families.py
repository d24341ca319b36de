"""Which request a front proxy asks about: its own family of headers, once, or nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.families import FrontProxyError
from gateway.authz.mode import Mode, mode_of
from gateway.http.head import BadRequest, HeadRules, RequestHead
from gateway.reasons import Reason
from tests.authz.checks import (
    RULES,
    Asked,
    Pairs,
    check,
    described,
    own_fields,
    proxied,
)

REQUESTED = Asked()
REQUIRED = [
    (mode, name) for mode in Mode for name, _ in own_fields(mode, REQUESTED)
    if not (name == "Host" and mode is not Mode.EXT_AUTHZ)
]  # fmt: skip


# Hostile: what names no request, or two


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("peer", ["192.0.2.1", "::1", "", "not an address"])
def test_a_peer_that_is_not_trusted_is_refused(mode: Mode, peer: str) -> None:
    found = check(mode, peer=peer)

    assert isinstance(found, FrontProxyError)
    assert (found.status, found.reason) == (403, Reason.PROXY_NOT_TRUSTED)
    assert found.setting == "server.trusted_proxies"


@pytest.mark.parametrize("mode", Mode)
def test_without_trusted_proxies_no_peer_may_ask(mode: Mode) -> None:
    found = check(mode, rules=HeadRules())

    assert isinstance(found, FrontProxyError)
    assert found.status == 403


def without(pairs: Pairs, name: str) -> Pairs:
    return [pair for pair in pairs if pair[0] != name]


def twice(pairs: Pairs, name: str) -> Pairs:
    return [*pairs, *(pair for pair in pairs if pair[0] == name)]


def joined(pairs: Pairs, name: str) -> Pairs:
    return [(n, f"{v}, {v}" if n == name else v) for n, v in pairs]


def aliased(pairs: Pairs, name: str) -> Pairs:
    return [(n.replace("-", "_") if n == name else n, v) for n, v in pairs]


SPOILT = [
    (mode, name, spoil)
    for mode, name in REQUIRED
    for spoil in (without, twice, joined, aliased)
    # X-Forwarded-For is a list; Host has no "-"; in a target a comma is data.
    if not (name == "X-Forwarded-For" and spoil in {twice, joined})
    and not (name == "Host" and spoil is aliased)
    and not (name in {"X-Forwarded-Uri", "X-Original-URL"} and spoil is joined)
]


@pytest.mark.parametrize(("mode", "name", "spoil"), SPOILT)
def test_a_field_that_is_missing_or_repeated_is_refused(
    mode: Mode, name: str, spoil: Callable[[Pairs, str], Pairs]
) -> None:
    found = check(mode, fields=spoil(own_fields(mode, REQUESTED), name))

    assert isinstance(found, FrontProxyError)
    assert (found.status, found.reason) == (400, Reason.PROXY_HEADERS)
    assert name in found.detail
    assert found.setting


def test_two_targets_joined_are_neither_of_them() -> None:
    for mode, name in (
        (Mode.FORWARD_AUTH, "X-Forwarded-Uri"),
        (Mode.AUTH_REQUEST, "X-Original-URL"),
    ):
        found = check(mode, fields=joined(own_fields(mode, REQUESTED), name))

        assert (
            not isinstance(found, RequestHead) or found.target.path != REQUESTED.target
        )


CONTRADICTING: dict[Mode, list[tuple[str, str]]] = {
    Mode.FORWARD_AUTH: [("X-Forwarded-Scheme", "http")],
    Mode.AUTH_REQUEST: [
        ("X-Original-Uri", "/static/x"),
        ("X-Original-Uri", f"{REQUESTED.target}?"),
        ("X-Original-Host", "evil.example"),
        ("X-Original-Host", f"{REQUESTED.host}, {REQUESTED.host}"),
        ("X-Original-Host", f"{REQUESTED.host}:80"),
        ("X-Original-Scheme", "http"),
        ("X-Original-Proto", "ws"),
    ],
    Mode.EXT_AUTHZ: [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Host", f"{REQUESTED.host}, evil.example"),
    ],
}
"""Fields that one family has in addition, with what the description does not say."""
FORWARDED = [
    ("Forwarded", "host=evil.example"), ("Forwarded", "proto=http"),
    ("Forwarded", f"host={REQUESTED.host}, for=6.6.6.6;host=evil.example"),
    ("Forwarded", 'for=6.6.6.6;Host="evil.example"'), ("Forwarded", "host"),
    ("Forwarded", f"host={REQUESTED.host}:80"), ("Forwarded", "host=a;host=b"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "field"),
    [(mode, field) for mode in Mode for field in (*CONTRADICTING[mode], *FORWARDED)],
)
def test_a_field_that_contradicts_the_description_is_refused(
    mode: Mode, field: tuple[str, str]
) -> None:
    """The app may read it, and would serve another request than the judged one."""
    found = check(mode, replace(REQUESTED, headers=(field,)))

    assert isinstance(found, BadRequest)
    assert (found.status, found.reason) == (400, Reason.PROXY_HEADERS)
    assert found.detail.lower().startswith(f"{field[0].lower()} contradicts")


AGREEING: dict[Mode, list[tuple[str, str]]] = {
    Mode.FORWARD_AUTH: [("X-Forwarded-Scheme", "HTTPS"), ("X-Forwarded-Port", "8443")],
    Mode.AUTH_REQUEST: [
        ("X-Original-Uri", REQUESTED.target),
        ("X-Original-Host", f"{REQUESTED.host.upper()}.:443"),
        ("X-Original-Scheme", "wss"),
        ("X-Original-Host", ""),
    ],
    Mode.EXT_AUTHZ: [("X-Forwarded-Host", f"{REQUESTED.host}:443")],
}


@pytest.mark.parametrize("mode", Mode)
def test_a_field_that_repeats_the_description_changes_nothing(mode: Mode) -> None:
    for field in (
        *AGREEING[mode],
        ("Forwarded", f"for=6.6.6.6;host={REQUESTED.host};proto=https"),
        ("Forwarded", "for=6.6.6.6, for=10.0.0.9"),
        ("Forwarded", ""),
    ):
        assert described(mode, replace(REQUESTED, headers=(field,))) == described(mode)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("other", Mode)
def test_the_fields_of_another_family_are_a_clients_own(
    mode: Mode, other: Mode
) -> None:
    """They neither fill in for a missing field nor change what is read."""
    spoofed = [
        ("X-Forwarded-Method", "OPTIONS"), ("X-Forwarded-Uri", "/static/x"),
        ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Port", "1"),
        ("X-Original-URL", "http://evil.example/static/x"),
        ("X-Original-Method", "OPTIONS"), ("X-Original-Uri", "/static/x"),
        ("X-Rewrite-Url", "/static/x"), ("Forwarded", "for=6.6.6.6"),
        ("X-Real-Ip", "6.6.6.6"),
        # Every spelling that an application could take for the family's own.
        ("X_Forwarded_Method", "OPTIONS"), ("X.Forwarded.Uri", "/static/x"),
        ("X-Forwarded_Host", "evil.example"), ("X-Original_Url", "http://e/static/x"),
    ]  # fmt: skip
    mine = {name for name, _ in own_fields(mode, REQUESTED)}
    mine |= {name for name, _ in CONTRADICTING[mode]}
    others = tuple(pair for pair in spoofed if pair[0] not in mine)

    assert described(mode, replace(REQUESTED, headers=others)) == described(mode)
    if other is not mode:
        foreign = [
            pair for pair in own_fields(other, REQUESTED) if pair[0] != "Host"
        ]  # fmt: skip
        found = check(mode, fields=foreign)
        assert isinstance(found, FrontProxyError)
        assert found.status == 400


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param("http://app.example/static/x", Reason.BAD_TARGET, id="absolute form"),
        pytest.param("//evil.example/x", Reason.BAD_TARGET, id="an authority"),
        pytest.param("/static/x#/../dashboard", Reason.BAD_TARGET, id="a fragment"),
        pytest.param("/static/../dashboard", Reason.BAD_TARGET, id="a dot segment"),
        pytest.param("/static/%2e%2e/dashboard", Reason.BAD_TARGET, id="an encoded dot segment"),
        pytest.param("/static/%252e%252e/dashboard", Reason.BAD_TARGET, id="encoded twice"),
        pytest.param("/static/..;/dashboard", Reason.BAD_TARGET, id="a parameter"),
        pytest.param("/static\\..\\dashboard", Reason.BAD_TARGET, id="backslashes"),
        pytest.param("/static//dashboard", Reason.BAD_TARGET, id="an empty segment"),
        pytest.param("/a%00b", Reason.BAD_TARGET, id="NUL"),
        pytest.param("/a%zzb", Reason.BAD_TARGET, id="no escape"),
        pytest.param("/a b", Reason.BAD_TARGET, id="a space"),
        pytest.param("/caf\xe9", Reason.BAD_TARGET, id="not ASCII"),
        pytest.param("dashboard", Reason.BAD_TARGET, id="no slash"),
        pytest.param("*", Reason.BAD_TARGET, id="asterisk form"),
        pytest.param("", Reason.BAD_TARGET, id="nothing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", Mode)
def test_a_target_that_two_parsers_read_differently_is_refused(
    mode: Mode, target: str, reason: Reason
) -> None:
    if mode is Mode.EXT_AUTHZ and target[:1] != "/":
        assert mode_of(f"/authz/ext-authz{target}") is None
        return
    found = check(mode, replace(REQUESTED, target=target))

    assert isinstance(found, BadRequest)
    # With an authority in front, the rest of a URL may belong to it.
    assert found.reason in {reason, Reason.BAD_HOST, Reason.BAD_HEADER}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"method": "TRACE"}, 405, id="TRACE"),
        pytest.param({"method": "connect"}, 405, id="CONNECT in lower case"),
        pytest.param({"method": "GET /x"}, 400, id="a method with a target"),
        pytest.param({"method": "G\tT"}, 400, id="a method with a tab"),
        pytest.param({"method": "X" * 65}, 400, id="a long method"),
        pytest.param({"host": "a@b"}, 400, id="userinfo"),
        pytest.param({"host": "app.example:99999"}, 400, id="a port that is none"),
        pytest.param({"host": "app.example\\.evil"}, 400, id="a backslash in the host"),
        pytest.param({"host": ""}, 400, id="no host"),
        pytest.param({"headers": [("X-A", "b\x01")]}, 400, id="a control character"),
        pytest.param({"headers": [("X A", "b")]}, 400, id="a name with a space"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", Mode)
def test_what_the_proxy_path_refuses_is_refused(
    mode: Mode, changes: dict[str, Any], status: int
) -> None:
    found = check(mode, replace(REQUESTED, **changes))

    assert isinstance(found, BadRequest)
    assert found.status == status


@pytest.mark.parametrize("scheme", ["ftp", "", "https\\", "javascript", "HTTPS"])
def test_a_scheme_is_one_of_the_web(scheme: str) -> None:
    for mode in Mode:
        found = check(mode, replace(REQUESTED, scheme=scheme))

        if scheme == "HTTPS" and mode is not Mode.AUTH_REQUEST:
            assert isinstance(found, RequestHead)
        else:
            assert isinstance(found, BadRequest | FrontProxyError)
            assert found.status == 400


# What is read


def test_each_endpoint_names_its_family_and_nothing_else_does() -> None:
    assert mode_of("/authz/forward-auth") is Mode.FORWARD_AUTH
    assert mode_of("/authz/auth-request?rd=/x") is Mode.AUTH_REQUEST
    assert mode_of("/authz/ext-authz/") is Mode.EXT_AUTHZ
    assert mode_of("/authz/ext-authz/a/b?c=/authz/forward-auth") is Mode.EXT_AUTHZ
    for target in (
        "/", "/authz", "/authz/", "/authz/ext-authz", "/authz/ext-authzx",
        "/authz/forward-auth/", "/authz/Forward-Auth", "/authz/forward%2Dauth",
        "//authz/forward-auth", "/authz/./forward-auth", "http://gw/authz/forward-auth",
        "/.gateway/authz/forward-auth", "*", "",
    ):  # fmt: skip
        assert mode_of(target) is None, target


@pytest.mark.parametrize("mode", [Mode.FORWARD_AUTH, Mode.AUTH_REQUEST])
@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE", "TRACE"])
def test_method_and_query_of_the_check_are_ignored(mode: Mode, method: str) -> None:
    found = check(mode, method=method, target=f"/authz/{mode}?admin=/static")

    assert found == described(mode)


@pytest.mark.parametrize("mode", Mode)
def test_framing_and_connection_of_the_check_are_not_those_of_the_request(
    mode: Mode,
) -> None:
    own = (
        ("Connection", "close, X-Requested-With"), ("Content-Length", "0"),
        ("Expect", "100-continue"), ("Keep-Alive", "5"), ("TE", "trailers"),
    )  # fmt: skip

    assert described(mode, replace(REQUESTED, headers=own)) == described(mode)


@pytest.mark.parametrize("mode", Mode)
def test_the_client_is_the_one_behind_all_trusted_proxies(mode: Mode) -> None:
    found = described(mode, replace(REQUESTED, client="6.6.6.6, 192.0.2.7, 10.9.9.9"))

    assert (found.client, found.client_known) == ("192.0.2.7", True)
    assert found.forwarded_for == "192.0.2.7, 10.9.9.9, 10.0.0.5"


@pytest.mark.parametrize("mode", Mode)
def test_a_client_that_the_proxy_cannot_name_is_unknown(mode: Mode) -> None:
    assert not described(mode, replace(REQUESTED, client="unix:")).client_known


KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
VERSION = ("Sec-WebSocket-Version", "13")


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((KEY, VERSION), id="without Upgrade, as most proxies send it"),
        pytest.param(
            (KEY, VERSION, ("Upgrade", "WebSocket"), ("Connection", "Upgrade")),
            id="with it, as Caddy does",
        ),
    ],
)
def test_a_handshake_is_a_handshake(mode: Mode, headers: Pairs) -> None:
    assert described(mode, replace(REQUESTED, headers=headers)).websocket is not None
    assert (
        described(mode, replace(REQUESTED, headers=headers, method="POST")).websocket
        is None
    )


# The same request, whichever way it comes

NAMES = st.sampled_from(
    ["Accept", "Cookie", "Origin", "Sec-Fetch-Mode", "Sec-Fetch-Site", "X-Tenant"]
    + ["X-Requested-With", "Access-Control-Request-Method", "X-Auth-User-Id", "Via"]
    + ["Authorization", "X-Forwarded_Uri", "Remote-User", "traceparent", "X-Request-Id"]
)
VALUES = st.sampled_from(
    ["text/html", "*/*", "navigate", "cors", "cross-site", "none", "u_mallory", "POST"]
    + ["gateway_session=x; a=b", "https://app.example", "XMLHttpRequest", "", "t_acme"]
    + ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a-1"]
)
REQUESTS = st.builds(
    Asked,
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "get", "PURGE"]),
    target=st.one_of(
        st.sampled_from(["/", "/api/x?a=b,c", "/a%2Fb", "/%7Eada", "/a/../b", "/x?y#z"]),
        st.text("/abc.%2Fe?#;,\\ \xe9", max_size=12).map(lambda text: f"/{text}".rstrip())  # as a field value,
    ),
    host=st.sampled_from(["app.example", "APP.example.:8443", "[::1]:80", "b.example"]),
    scheme=st.sampled_from(["http", "https", "wss"]),
    client=st.sampled_from(["192.0.2.7", "2001:db8::1", "6.6.6.6, 10.0.0.9", "unknown"]),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
)  # fmt: skip


@given(mode=st.sampled_from(Mode), requested=REQUESTS)
def test_every_family_reads_what_the_proxy_path_would_read(
    mode: Mode, requested: Asked
) -> None:
    """Byte for byte: so the decision about it cannot be another one."""
    found, expected = check(mode, requested), proxied(requested)

    if isinstance(found, BadRequest) and not requested.target.isascii():
        # As a field value it is refused before it is read as a target.
        assert isinstance(expected, BadRequest)
        assert found.status == expected.status
    else:
        assert found == expected


@given(
    mode=st.sampled_from(Mode),
    fields=st.lists(
        st.tuples(
            st.sampled_from(
                ["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "Host"]
                + ["X-Forwarded-Proto", "X-Forwarded-For", "X-Original-URL", "Upgrade"]
                + ["X-Original-Method", "Sec-WebSocket-Key", "Connection", "Expect"]
            ),
            st.text(st.characters(codec="latin-1"), max_size=20),
        ),
        max_size=10,
    ),
    target=st.text(st.characters(codec="ascii"), max_size=12),
)
def test_any_bytes_are_a_value_or_a_refusal(
    mode: Mode, fields: Pairs, target: str
) -> None:
    octets = [(name, text) for name, text in fields]
    found = check(mode, fields=octets, target=f"/authz/{mode}/{target}")

    assert isinstance(found, RequestHead | BadRequest | FrontProxyError)


def test_a_unix_socket_is_trusted_where_the_listener_is_one() -> None:
    rules = replace(RULES, trust_unix=True)

    for mode in Mode:
        assert isinstance(check(mode, peer="", rules=rules), RequestHead)
