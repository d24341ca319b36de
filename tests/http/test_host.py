import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.host import Authority, parse_authority

REFUSED = {
    "empty": "",
    "userinfo": "good@evil.example",
    "userinfo-password": "a:b@evil.example",
    "slash": "foo/bar",
    "path-and-query": "gw/public?x=",
    "query": "a?b",
    "fragment": "a#b",
    "backslash": "a\\b",
    "list": "a, b",
    "list-without-space": "a,b",
    "space": "a b",
    "semicolon": "a;for=1.2.3.4",
    "escape": "a%2eb",
    "8-bit": "caf\xe9",
    "kelvin-sign": "\u212a.example",
    "control": "a\x00b",
    "port-too-large": "a:99999",
    "port-65536": "a:65536",
    "port-nought": "a:0",
    "port-empty": "a:",
    "port-six-digits": "a:000080",
    "port-not-digits": "a:80x",
    "port-unicode-digit": "a:\u0661",
    "two-ports": "a:80:80",
    "port-only": ":80",
    "empty-label": "a..b",
    "leading-dot": ".a",
    "dot-only": ".",
    "two-root-dots": "a..",
    "label-too-long": "a" * 64 + ".example",
    "name-too-long": ".".join(["a" * 50] * 6),
    "ipv6-bare": "::1",
    "ipv6-open": "[::1",
    "ipv6-bad": "[::g]",
    "ipv6-two-gaps": "[1::2::3]",
    "ipv6-zone": "[fe80::1%25eth0]",
    "ipv6-then-text": "[::1]x",
    "newline": "a\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_host_is_refused(raw: str) -> None:
    assert parse_authority(raw) is None


READ = [
    pytest.param("a", "a", None, "a", id="name"),
    pytest.param("Admin.Example.COM", "admin.example.com", None, None, id="case"),
    pytest.param("a.", "a", None, "a", id="root-dot"),
    pytest.param("a.b.:8080", "a.b", 8080, "a.b:8080", id="root-dot-and-port"),
    pytest.param("a:0080", "a", 80, "a:80", id="port-with-zeros"),
    pytest.param("my_app:65535", "my_app", 65535, "my_app:65535", id="underscore"),
    pytest.param("127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1", id="ipv4"),
    pytest.param("[0:0::1]:80", "[::1]", 80, "[::1]:80", id="ipv6-with-port"),
    pytest.param("[::FFFF]", "[::ffff]", None, "[::ffff]", id="ipv6"),
]


@pytest.mark.parametrize(("raw", "host", "port", "text"), READ)
def test_a_host_has_one_spelling(
    raw: str, host: str, port: int | None, text: str | None
) -> None:
    expected = Authority(host=host, port=port, text=text or host)

    assert parse_authority(raw) == expected


@given(st.one_of(st.text(), st.from_regex(r"[a-c.:\[\]0-9_-]{1,20}", fullmatch=True)))
def test_any_text_gives_a_value_and_canonical_twice_is_canonical_once(raw: str) -> None:
    once = parse_authority(raw)

    assert once is None or parse_authority(once.text) == once
