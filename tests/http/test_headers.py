from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.header_families import is_identity_name
from gateway.http.headers import (
    HOP_BY_HOP,
    OURS,
    HeaderFilter,
    encode_value,
    is_clean_value,
    is_reserved,
    is_token,
    line_of,
    normalize_name,
)

tokens = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
RESERVED = sorted(
    HOP_BY_HOP
    | OURS
    | {
        b"proxy-authorization",
        b"proxy-connection",
        b"ssl-client-verify",
        b"x-envoy-original-path",
        b"x-forwarded-for",
        b"x-forwarded-prefix",
        b"x-forwarded-tls-client-cert",
        b"x-gateway-sign-in",
        b"x-http-method-override",
        b"x-middleware-subrequest",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-ssl-client-dn",
    }
)


@st.composite
def spellings(draw: st.DrawFn, names: list[bytes]) -> bytes:
    """A name with any case, and any mark where it has a hyphen."""
    name = draw(st.sampled_from(names))
    spelled = bytearray()
    for octet in name:
        if octet == ord("-"):
            spelled.append(draw(st.sampled_from(b"-_.-_.!#$%&'*+^`|~")))
        else:
            upper = draw(st.booleans())
            spelled += bytes([octet]).upper() if upper else bytes([octet])
    return bytes(spelled)


@given(spellings(RESERVED))
def test_a_reserved_name_is_reserved_in_every_spelling(name: bytes) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    [b"Accept", b"Authorization", b"User-Agent", b"Range", b"If-None-Match"]
    + [b"Content-Type", b"Content-Encoding", b"Priority", b"X-Requested-With"]
    + [b"Sec-WebSocket-Key", b"Origin", b"DNT", b"Last-Event-ID", b"X-CSRF-Token"],
)
def test_what_is_the_clients_stays(name: bytes) -> None:
    assert not is_reserved(name)


OWN = [b"x-who", b"x-plan", b"my-region", b"x-user"]


@given(st.lists(st.one_of(spellings(OWN), tokens)))
def test_stripped_names_never_survive_and_others_always_do(names: list[bytes]) -> None:
    header_filter = HeaderFilter(["X-Who", "X_PLAN", b"My-Region", "X-User"])
    lines = [line_of(name, b"v") for name in names]

    kept = header_filter.strip(lines)

    assert kept == [
        wire
        for name, _, wire in lines
        if normalize_name(name) not in OWN
        and not is_identity_name(normalize_name(name))
    ]
    assert header_filter.strip(lines) == kept


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    header_filter = HeaderFilter(["X-User"])

    for number in range(10_000):
        assert header_filter.strip([line_of(b"x-%d" % number, b"")])
    assert header_filter.strip([line_of(b"x" * 100, b"")])

    assert len(header_filter._removed) <= 2048
    assert header_filter.strip([line_of(b"X_User", b"admin")]) == []


@given(tokens)
def test_folding_twice_is_folding_once(name: bytes) -> None:
    assert normalize_name(normalize_name(name)) == normalize_name(name)
    assert is_token(name)


@pytest.mark.parametrize(
    "name", [b"", b"a b", b"a:", b"\x85", b"a\0", b"(a)", b"a\n", "é".encode()]
)
def test_what_is_no_token_is_no_name(name: bytes) -> None:
    assert not is_token(name)


VALUES = [
    pytest.param(b"", True, id="empty"),
    pytest.param(b"a b\tc", True, id="htab"),
    pytest.param("é".encode(), True, id="utf-8"),
    pytest.param(b"a\x00", False, id="nul"),
    pytest.param(b"a\r\nb", False, id="crlf"),
    pytest.param(b"a\n", False, id="lf"),
    pytest.param(b"abc\x7fdef", False, id="del"),
    pytest.param(b"\x0bchunked", False, id="vertical-tab"),
    pytest.param(b"admin\xff", False, id="not-utf-8"),
]


@pytest.mark.parametrize(("value", "clean"), VALUES)
def test_a_value_that_may_be_passed_on_is_clean(value: bytes, clean: bool) -> None:
    assert is_clean_value(value) is clean


ENCODED = [
    pytest.param("anna@example.org", b"anna@example.org", id="plain"),
    pytest.param("", b"", id="empty"),
    pytest.param("a b", b"a b", id="space-inside"),
    pytest.param(" a ", b"%20a%20", id="space-outside"),
    pytest.param("  ", b"%20%20", id="only-spaces"),
    pytest.param("100%", b"100%25", id="percent"),
    pytest.param("Zoë", b"Zo%C3%AB", id="utf-8"),
    pytest.param("a\r\nX-Admin: 1", b"a%0D%0AX-Admin: 1", id="crlf"),
    pytest.param("a\0\x7f\t", b"a%00%7F%09", id="controls"),
    pytest.param("\x85\u2028", b"%C2%85%E2%80%A8", id="other-line-ends"),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED)
def test_a_value_of_ours_is_percent_encoded(value: str, expected: bytes) -> None:
    assert encode_value(value) == expected


@given(st.text())
def test_any_value_is_one_printable_line_and_reads_back(value: str) -> None:
    encoded = encode_value(value)

    assert encoded.isascii()
    assert encoded.decode().isprintable()
    assert encoded == encoded.strip()
    assert unquote_to_bytes(encoded).decode() == value


def test_a_lone_surrogate_does_no_harm() -> None:
    assert encode_value("a\ud800") == b"a?"
