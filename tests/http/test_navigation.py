import pytest

from gateway.http.fields import Fields, sort_fields
from gateway.http.navigation import (
    is_cross_origin,
    is_cross_site,
    is_invalid_navigation,
    is_navigation,
)
from tests.http.heads import head

HTML = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
ORIGIN = "https://app.example"
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

NAVIGATIONS = [
    pytest.param([HTML], True, id="html-without-metadata"),
    pytest.param([("Sec-Fetch-Mode", "navigate")], True, id="navigate"),
    pytest.param([("Sec-Fetch-Mode", "cors"), HTML], False, id="cors-for-html"),
    pytest.param([("Sec-Fetch-Mode", "Navigate")], False, id="mode-in-another-case"),
    pytest.param(
        [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Mode", "navigate")],
        False,
        id="mode-twice",
    ),
    pytest.param([("Sec-Fetch-Site", "none"), HTML], False, id="metadata-without-mode"),
    pytest.param([("Sec-Fetch-Dest", "document"), HTML], False, id="dest-alone"),
    pytest.param(
        [("Sec-Fetch-Mode", "navigate"), ("X-Requested-With", "XMLHttpRequest")],
        False,
        id="script-by-its-word",
    ),
    pytest.param([], False, id="nothing-said"),
    pytest.param([("Accept", "*/*")], False, id="anything"),
    pytest.param([("Accept", "application/json, text/html;q=0")], False, id="not-html"),
    pytest.param([("Accept", "text/html;q=0.000")], False, id="not-html-precisely"),
    pytest.param([("Accept", "TEXT/HTML ; q=0.1")], True, id="html-if-need-be"),
    pytest.param([("Accept", "text/html-sandboxed")], False, id="another-type"),
    pytest.param([*HANDSHAKE, HTML], False, id="websocket"),
]


@pytest.mark.parametrize(("fields", "expected"), NAVIGATIONS)
def test_a_navigation_is_distinguished_from_a_program(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    assert is_navigation(head(*fields)) is expected


@pytest.mark.parametrize(("fields", "expected"), NAVIGATIONS)
def test_it_is_the_same_if_the_rest_of_the_head_is_not_valid(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    sent = sort_fields([(n.encode(), v.encode()) for n, v in fields])

    assert isinstance(sent, Fields)
    assert is_invalid_navigation(sent.values) is expected


def test_a_form_is_a_navigation_too() -> None:
    assert is_navigation(head(("Sec-Fetch-Mode", "navigate"), method="POST"))


CROSS_SITE = [
    pytest.param([("Sec-Fetch-Site", "cross-site")], True, id="cross-site"),
    pytest.param([("Sec-Fetch-Site", "same-origin")], False, id="same-origin"),
    pytest.param([("Sec-Fetch-Site", "same-site")], False, id="same-site"),
    pytest.param([("Sec-Fetch-Site", "none")], False, id="user"),
    pytest.param([("Sec-Fetch-Site", "other")], True, id="unknown-word"),
    pytest.param(
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "none")], True, id="twice"
    ),
    pytest.param(
        [("Sec-Fetch-Site", "cross-site"), ("Origin", ORIGIN)], True, id="site-first"
    ),
    pytest.param([("Origin", ORIGIN)], False, id="public-origin"),
    pytest.param([("Origin", "http://app.example")], False, id="the-host-asked-for"),
    pytest.param([("Origin", "https://app.example:443")], False, id="default-port"),
    pytest.param([("Origin", "https://evil.example")], True, id="another-origin"),
    pytest.param([("Origin", "https://app.example:8443")], True, id="another-port"),
    pytest.param([("Origin", "https://app.example.evil")], True, id="longer-name"),
    pytest.param([("Origin", "null")], True, id="null"),
    pytest.param([("Origin", "")], True, id="empty"),
    pytest.param([("Origin", "ftp://app.example")], True, id="another-scheme"),
    pytest.param([("Origin", "https://a@app.example")], True, id="userinfo"),
    pytest.param([("Origin", f"{ORIGIN}, {ORIGIN}")], True, id="list"),
    pytest.param([], False, id="no-browser"),
]


@pytest.mark.parametrize(("fields", "expected"), CROSS_SITE)
def test_an_unsafe_request_of_another_site_is_known(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    assert is_cross_site(head(*fields, method="POST"), ORIGIN) is expected
    assert not is_cross_site(head(*fields, method="GET"), ORIGIN)


@pytest.mark.parametrize(("fields", "expected"), CROSS_SITE)
def test_what_is_another_site_is_another_origin(
    fields: list[tuple[str, str]], expected: bool
) -> None:
    sibling = fields == [("Sec-Fetch-Site", "same-site")]

    found = is_cross_origin(head(*fields, method="POST"), ORIGIN)

    assert found is (expected or sibling)


def test_a_websocket_is_as_unsafe_as_a_form() -> None:
    evil = ("Origin", "https://evil.example")

    assert is_cross_site(head(*HANDSHAKE, evil), ORIGIN)
    assert not is_cross_site(head(*HANDSHAKE, ("Origin", ORIGIN)), ORIGIN)


def test_a_port_that_the_host_names_is_compared() -> None:
    found = head(
        ("Origin", "http://localhost:8080"), method="PUT", host="localhost:8080"
    )

    assert not is_cross_site(found, ORIGIN)
