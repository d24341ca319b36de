"""The session cookie, read raw: hostile rows first."""

import base64
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reasons import Reason
from gateway.sessions.cookie import (
    CookieSpec,
    Malformed,
    NoCookie,
    SessionToken,
    cookie_spec,
    new_token,
    read_session_token,
    strip_cookie,
)

NAME = b"__Host-gateway_session"
TOKEN = new_token(bytes(range(32)))
VALUE = TOKEN.value.encode()
PAIR = NAME + b"=" + VALUE


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([PAIR + b"; " + PAIR], id="twice-equal"),
        pytest.param([PAIR, PAIR], id="twice-in-two-fields"),
        pytest.param([NAME + b"=x; " + NAME + b"=y"], id="two-that-are-no-token"),
        pytest.param([NAME + b"="], id="empty"),
        pytest.param([NAME + b'="' + VALUE + b'"'], id="quoted"),
        pytest.param([NAME + b"=" + VALUE[:-1]], id="short"),
        pytest.param([NAME + b"=" + VALUE + b"A"], id="long"),
        pytest.param([NAME + b"=" + VALUE + b"="], id="padded"),
        pytest.param([NAME + b"=" + VALUE[:-1] + b"9"], id="spare-bits-set"),
        pytest.param([NAME + b"=" + b"+" + VALUE[1:]], id="other-base64"),
        pytest.param([NAME + b"=" + b"%41" + VALUE[3:]], id="percent-encoded"),
        pytest.param([NAME + b"=" + b"\xc3\xa9" + VALUE[2:]], id="8-bit"),
        pytest.param([PAIR + b" x=1"], id="space-is-no-separator"),
        pytest.param([PAIR + b", x=1"], id="comma-is-no-separator"),
        pytest.param([PAIR + b"\x00"], id="nul"),
    ],
)
def test_a_cookie_that_we_did_not_set_is_malformed(fields: list[bytes]) -> None:
    read = read_session_token(fields, NAME)

    assert isinstance(read, Malformed)
    assert read.reason is Reason.MALFORMED
    assert VALUE.decode() not in repr(read)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no-field"),
        pytest.param([b""], id="empty-field"),
        pytest.param([b"x=1 " + PAIR], id="after-a-space"),
        pytest.param([b"x=1\t" + PAIR], id="after-a-tab"),
        pytest.param([b"\xe2\x80\x80" + PAIR], id="unicode-space-before-the-name"),
        pytest.param([b"\xc2\xa0" + PAIR], id="no-break-space-before-the-name"),
        pytest.param([b"\x0b" + PAIR], id="vertical-tab-before-the-name"),
        pytest.param([PAIR.lower()], id="other-case"),
        pytest.param([PAIR.removeprefix(b"__Host-")], id="without-the-prefix"),
        pytest.param([b"x" + PAIR], id="name-with-something-before"),
        pytest.param([b"=" + PAIR], id="nameless"),
        pytest.param([NAME], id="no-equals-sign"),
        pytest.param([b"x=" + PAIR], id="as-a-value"),
    ],
)
def test_what_only_looks_like_the_cookie_is_none(fields: list[bytes]) -> None:
    assert read_session_token(fields, NAME) == NoCookie()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([PAIR], id="alone"),
        pytest.param([b"a=b; " + PAIR + b"; c=d"], id="among-others"),
        pytest.param([b"a=b;" + PAIR + b";c=d"], id="without-spaces"),
        pytest.param([b"a=b", PAIR], id="in-a-second-field"),
        pytest.param([NAME + b" \t= " + VALUE + b"\t"], id="space-and-tab-around"),
        pytest.param([b'a="x; ' + PAIR + b'; y"'], id="quotes-quote-nothing"),
    ],
)
def test_the_one_token_is_found(fields: list[bytes]) -> None:
    assert read_session_token(fields, NAME) == TOKEN


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_bytes_give_a_value(fields: list[bytes]) -> None:
    read = read_session_token(fields, b"a")

    assert isinstance(read, SessionToken | NoCookie | Malformed)
    strip_cookie(fields, frozenset({b"a"}))


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_the_base64url_of_its_bytes_and_reads_back(random: bytes) -> None:
    token = new_token(random)

    assert token.value == base64.urlsafe_b64encode(random).rstrip(b"=").decode()
    assert read_session_token([b"s=" + token.value.encode()], b"s") == token
    assert token.key == sha256(token.value.encode()).hexdigest()


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_token_is_made_of_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        new_token(bytes(length))


def test_a_token_does_not_print() -> None:
    stated = f"{TOKEN} {TOKEN!r} {[TOKEN]}"

    assert TOKEN.value not in stated
    assert TOKEN.fingerprint in stated
    assert len({TOKEN, new_token(bytes(range(32)))}) == 1


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ([], None),
        ([b""], None),
        ([PAIR], None),
        ([PAIR, PAIR], None),
        ([NAME + b" =x"], None),
        ([NAME], None),
        ([b"a=1; " + PAIR + b"; b=2"], b"a=1; b=2"),
        ([b'a="x;' + PAIR + b';y"'], b'a="x; y"'),
        ([b"a=1", PAIR, b"b=2"], b"a=1; b=2"),
        ([b"a=1;b=2;;  c"], b"a=1;b=2;;  c"),
        ([b"a=1; old=x; x" + PAIR], b"a=1; x" + PAIR),
    ],
)
def test_the_named_cookies_do_not_go_upstream(
    fields: list[bytes], left: bytes | None
) -> None:
    assert strip_cookie(fields, frozenset({NAME, b"old"})) == left


@given(
    st.lists(
        st.sampled_from([PAIR, b"a=1", b"; ", b";", b" ", b"\t", NAME + b"=", b'"'])
    ).map(b"".join)
)
def test_nothing_that_we_would_read_is_left(cookie_field: bytes) -> None:
    left = strip_cookie([cookie_field], frozenset({NAME}))

    assert left is None or read_session_token([left], NAME) == NoCookie()


SPECS = [
    (
        {"secure": True, "same_site": "lax", "domain": None},
        "__Host-s",
        "; Path=/; HttpOnly; Secure; SameSite=Lax",
    ),
    (
        {"secure": True, "same_site": "none", "domain": "example.com"},
        "s",
        "; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=None",
    ),
    (
        {"secure": False, "same_site": "strict", "domain": None},
        "s",
        "; Path=/; HttpOnly; SameSite=Strict",
    ),
]


@pytest.mark.parametrize(("options", "name", "attributes"), SPECS)
def test_the_cookie_is_set_and_cleared_with_the_same_attributes(
    options: dict[str, Any], name: str, attributes: str
) -> None:
    spec = cookie_spec(name="s", persistent=True, **options)

    assert spec.wire_name == name.encode()
    assert spec.set_cookie(TOKEN, None) == f"{name}={TOKEN.value}{attributes}"
    assert spec.set_cookie(TOKEN, 60.9).endswith(f"{attributes}; Max-Age=60")
    assert spec.set_cookie(TOKEN, -5).endswith("; Max-Age=0")
    assert spec.clear_cookie() == (
        f"{name}={attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    )


@pytest.mark.parametrize("name", ["__Host-s", "__Secure-s", "__host-s"])
def test_a_name_with_a_prefix_gets_no_second_one(name: str) -> None:
    spec = cookie_spec(
        name=name, secure=True, same_site="lax", domain=None, persistent=True
    )

    assert spec.name == name


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([NAME + b"=; " + PAIR], id="an-empty-one-before"),
        pytest.param([PAIR + b"; " + NAME + b"=x"], id="another-after"),
        pytest.param([NAME + b"=" + VALUE[:-1], PAIR], id="in-two-fields"),
        pytest.param([NAME + b"=s:a.b; " + PAIR + b"; " + NAME + b"=c"], id="two"),
    ],
)
def test_what_no_token_can_be_does_not_count_next_to_one(fields: list[bytes]) -> None:
    assert read_session_token(fields, NAME) == TOKEN


def test_only_two_tokens_make_a_cookie_twice() -> None:
    two = read_session_token([PAIR, PAIR], NAME)
    one = read_session_token([NAME + b"=x"], NAME)

    assert isinstance(two, Malformed)
    assert isinstance(one, Malformed)
    assert (two.twice, one.twice) == (True, False)


EVERYWHERE = [
    pytest.param("gw", "app.example.test", None, ["", "app.example.test", "example.test"], id="own-host-only"),
    pytest.param("gw", "app.example.test", "example.test", ["example.test", "", "app.example.test"], id="own-first"),
    pytest.param("gw", "example.test", "example.test", ["example.test", ""], id="apex"),
    pytest.param("gw", "localhost", None, [""], id="one-label"),
    pytest.param("gw", "192.0.2.1", None, [""], id="ipv4"),
    pytest.param("gw", "[2001:db8::1]", None, [""], id="ipv6"),
    pytest.param("gw", "[2001:db8::a]", None, [""], id="ipv6-letters"),
    pytest.param("gw", "", None, [""], id="no-host"),
    pytest.param("__Host-gw", "app.example.test", None, [""], id="prefix-has-no-domain"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "host", "own", "domains"), EVERYWHERE)
def test_every_domain_of_the_host_is_cleared_once(
    name: str, host: str, own: str | None, domains: list[str]
) -> None:
    spec = CookieSpec(
        name=name, secure=True, same_site="lax", domain=own, persistent=True
    )

    cleared = spec.clear_everywhere(host)

    assert [_domain(value) for value in cleared] == domains
    assert all("Max-Age=0" in value and "Path=/;" in value for value in cleared)


def test_a_long_host_clears_a_bounded_number() -> None:
    spec = CookieSpec(
        name="gw", secure=True, same_site="lax", domain=None, persistent=True
    )

    assert len(spec.clear_everywhere("a." * 120 + "test")) == 9


def _domain(set_cookie: str) -> str:
    found = [part for part in set_cookie.split("; ") if part.startswith("Domain=")]
    return found[0].removeprefix("Domain=") if found else ""
