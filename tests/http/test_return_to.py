from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.return_to import login_location, safe_return_to
from gateway.http.target import BadTarget, parse_target
from gateway.reasons import Reason
from tests.http import return_addresses

OURS = "https://gw.example"
ALLOWED = (
    "https://app.example/area",
    "http://bar.foo:8080",
    "https://portal.example.com",
)

REFUSED = {
    "empty": "",
    "relative": "a",
    "relative-dots": "../a",
    "query-only": "?a",
    "backslash": "/\\evil.com",
    "backslashes": "\\\\evil.com",
    "backslash-inside": "/a\\b",
    "backslash-escaped": "/%5cevil.com",
    "two-slashes": "//evil.com",
    "two-slashes-path": "//evil.com/%2f..",
    "three-slashes": "///evil.com",
    "slash-backslash-slash": "/\\/evil.com",
    "two-slashes-inside": "/a//evil.com",
    "slash-escaped-slash": "/%2f/evil.com",
    "slash-escaped": "/%2fevil.com",
    "slash-double-escaped": "/..%252f..%252fevil.com",
    "tab-escaped": "/%09/evil.com",
    "tab": "/\t/evil.com",
    "space": "/ /evil.com",
    "space-escaped": "/%20/evil.com",
    "newline": "/\n/evil.com",
    "newline-escaped": "/%0a/evil.com",
    "vertical-tab": "/\v\\evil.com",
    "nul": "/\0",
    "del": "/\x7f",
    "dot-segment": "/./evil.com",
    "dot-segments": "/a/../evil.com",
    "dot-segments-escaped": "/%2e%2e/evil.com",
    "fragment": "/a#b",
    "8-bit": "/é",
    "full-width-slash": "/\uff0fevil.com",
    "full-width-dot": "https://gw\uff0eexample/",
    "too-long": "/" + "a" * 9000,
    "control-before": "\x01/a",
    "space-before": " /a",
    "space-before-url": " https://gw.example/",
    "scheme-relative-case": "/\\hTTp://evil",
    "another-host": "https://evil.example/",
    "another-scheme": "http://gw.example/",
    "another-port": "https://gw.example:8443/",
    "userinfo": "https://gw.example@evil.example/",
    "userinfo-escaped": "https://gw.example%40evil.example/",
    "userinfo-of-ours": "https://evil@gw.example/",
    "longer-host": "https://gw.example.evil.tld/",
    "longer-host-front": "https://evilgw.example/",
    "subdomain": "https://evil.gw.example/",
    "backslash-in-host": "https://gw.example\\.evil.example/",
    "backslash-after-host": "https://gw.example\\@evil.example/",
    "slash-missing": "https:/gw.example/",
    "slashes-missing": "https:gw.example",
    "three-slashes-url": "https:///gw.example/",
    "hash-in-host": "https://evil.example#@gw.example/",
    "question-in-host": "https://evil.example?@gw.example/",
    "javascript": "javascript:alert(1)",
    "javascript-slashes": "javascript://gw.example/%0aalert(1)",
    "data": "data:text/html,x",
    "ftp": "ftp://gw.example/",
    "newline-in-url": "https://gw.example/\nx",
    "dots-in-url": "https://app.example/area/../x",
    "two-slashes-in-url": "https://gw.example//evil.com",
    "fragment-of-url": "https://gw.example/#x",
    "path-not-allowed": "https://app.example/",
    "path-not-a-segment": "https://app.example/areas",
    "path-left": "https://app.example/area/%2e%2e/x",
    "suffix-of-allowed": "http://evilbar.foo:8080/",
    "allowed-without-port": "http://bar.foo/",
    "prefix-of-allowed": "https://portal.example.com.evil.tld/",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_no_one_is_sent_elsewhere(value: str) -> None:
    assert safe_return_to(value, public_origin=OURS, allowed=ALLOWED) is None


@pytest.mark.parametrize("shape", return_addresses.SHAPES)
def test_what_once_led_elsewhere_leads_nowhere(shape: str) -> None:
    let_through = [
        value
        for value in return_addresses.SHAPES[shape]
        if safe_return_to(
            value,
            public_origin=return_addresses.OURS,
            allowed=return_addresses.ALLOWED,
        )
        is not None
    ]

    assert let_through == []


def test_no_combination_of_what_payloads_are_made_of_leads_elsewhere() -> None:
    values = return_addresses.variants()

    let_through = [
        value
        for value in values
        if safe_return_to(
            value,
            public_origin=return_addresses.OURS,
            allowed=return_addresses.ALLOWED,
        )
        is not None
    ]

    assert len(values) > 800
    assert let_through == []


ACCEPTED = [
    pytest.param("/", "/", id="root"),
    pytest.param("/dashboard?tab=1&next=/home", None, id="path-and-query"),
    pytest.param("/go?url=https%3A%2F%2Fa.test", None, id="an-address-that-is-data"),
    pytest.param("/v1/items:all", None, id="a-colon-further-on"),
    pytest.param("/urn:isbn:1", None, id="a-colon-that-is-no-scheme"),
    pytest.param("/a?x=%20%0A", None, id="escapes-in-the-query-are-data"),
    pytest.param("/a%20b/caf%c3%a9/%41", "/a%20b/caf%C3%A9/A", id="canonical"),
    pytest.param("/files/a%2Fb;v=1", None, id="what-a-route-may-opt-in-to"),
    pytest.param("https://gw.example", "https://gw.example/", id="ours"),
    pytest.param("HTTPS://GW.example/A?b", "https://gw.example/A?b", id="case"),
    pytest.param("https://gw.example:443/a", None, id="default-port"),
    pytest.param("https://gw.example.?a=b", "https://gw.example/?a=b", id="no-path"),
    pytest.param("https://app.example/area", None, id="allowed-path"),
    pytest.param("https://app.example/area/x?y", None, id="below-allowed-path"),
    pytest.param("http://bar.foo:8080/x", None, id="allowed-origin"),
]


@pytest.mark.parametrize(("value", "expected"), ACCEPTED)
def test_the_way_back_has_one_spelling(value: str, expected: str | None) -> None:
    found = safe_return_to(value, public_origin=OURS, allowed=ALLOWED)

    assert found == (expected or value)
    assert safe_return_to(found, public_origin=OURS, allowed=ALLOWED) == found


def test_an_allowed_entry_that_is_no_url_allows_nothing() -> None:
    found = safe_return_to("https://a.b/", public_origin=OURS, allowed=("a.b", ""))

    assert found is None


@given(st.text(), st.sampled_from(["", "/", "//", "https://gw.example", "/\\"]))
def test_any_text_gives_a_way_that_stays_here_or_none(text: str, start: str) -> None:
    found = safe_return_to(start + text, public_origin=OURS, allowed=())

    if found is None:
        return
    path = found.removeprefix(OURS).removeprefix(":443")
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert found.isascii()
    assert found.isprintable()
    assert not isinstance(parse_target(path), BadTarget)


LOCATIONS = [
    pytest.param("/auth/login", "/auth/login?return_to=", "", id="path"),
    pytest.param(
        "/login?refresh=true", "/login?refresh=true&return_to=", "", id="query"
    ),
    pytest.param(
        "https://id.example/#/in", "https://id.example/?return_to=", "#/in", id="#"
    ),
]


@pytest.mark.parametrize(("url", "start", "end"), LOCATIONS)
def test_the_sign_in_page_gets_the_return_address_and_the_reason(
    url: str, start: str, end: str
) -> None:
    found = login_location(url, "return_to", "/d?a=b&c=%2F", Reason.NO_SESSION)

    assert found == f"{start}/d%3Fa%3Db%26c%3D%252F&reason=no_session{end}"


WILDCARD = ("https://*.example.com", "http://*.local.test:8080")
BELOW = [
    pytest.param("https://a.example.com/x?y", True, id="one-label"),
    pytest.param("https://A.EXAMPLE.com", True, id="case"),
    pytest.param("http://a.local.test:8080/", True, id="port"),
    pytest.param("https://example.com/", False, id="the-domain-itself"),
    pytest.param("https://a.b.example.com/", False, id="two-labels"),
    pytest.param("https://.example.com/", False, id="no-label"),
    pytest.param("https://aexample.com/", False, id="no-dot"),
    pytest.param("https://a.example.com.evil.test/", False, id="suffix"),
    pytest.param("https://evil.test/a.example.com", False, id="path"),
    pytest.param("https://evil.test#.example.com", False, id="fragment"),
    pytest.param("https://a.example.com@evil.test/", False, id="userinfo"),
    pytest.param("https://*.example.com/", False, id="literal-star"),
    pytest.param("http://a.example.com/", False, id="scheme"),
    pytest.param("https://a.example.com:8443/", False, id="other-port"),
    pytest.param("http://a.local.test/", False, id="without-port"),
    pytest.param("https://a.example.com//evil.test", False, id="slashes"),
]


@pytest.mark.parametrize(("value", "safe"), BELOW)
def test_a_wildcard_is_one_label(value: str, safe: bool) -> None:
    found = safe_return_to(value, public_origin="https://gw.test", allowed=WILDCARD)

    assert (found is not None) is safe


@pytest.mark.parametrize("length", [8000, 8150, 8170, 8192, 9000])
@pytest.mark.parametrize("query", [False, True])
def test_with_its_origin_the_way_back_is_not_too_long(length: int, query: bool) -> None:
    """The sign-in page would refuse it, and the user would not come back."""
    target = "/p" + "?u=" * query + "x" * length

    found = login_location(
        "https://auth.example.com/in",
        "return_to",
        target,
        Reason.NO_SESSION,
        origin="https://wiki.example.com",
    )

    back = parse_qs(urlsplit(found).query)["return_to"][0]
    assert safe_return_to(back, public_origin="https://x.test", allowed=WILDCARD)


def test_another_origin_stands_before_the_target() -> None:
    found = login_location(
        "https://auth.example.com/in?a=b",
        "return_to",
        "/p?u=http://x",
        Reason.NO_SESSION,
        origin="https://wiki.example.com",
    )

    back = parse_qs(urlsplit(found).query)["return_to"][0]
    assert back == "https://wiki.example.com/p?u=http:%2F%2Fx"
    assert safe_return_to(back, public_origin="https://x.test", allowed=WILDCARD)
