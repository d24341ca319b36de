"""A stripped prefix comes back where it is the app's own path, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.prefix import (
    canonical_origin,
    restore_cookie_path,
    restore_location,
)

ORIGINS = frozenset(("https://app.example:443", "http://app.example:8080"))

LOCATIONS = [
    # hostile or another's: untouched
    ("//evil.test/x", "//evil.test/x"),
    ("/\\evil.test", "/\\evil.test"),
    ("https://evil.test/x", "https://evil.test/x"),
    ("https://app.example.evil.test/", "https://app.example.evil.test/"),
    ("https://app.example@evil.test/", "https://app.example@evil.test/"),
    ("https://app.example:8443/x", "https://app.example:8443/x"),
    ("http://app.example/x", "http://app.example/x"),
    ("javascript:alert(1)", "javascript:alert(1)"),
    ("x?next=/y", "x?next=/y"),
    ("../x", "../x"),
    ("?page=2", "?page=2"),
    ("", ""),
    # our own
    ("/", "/api/"),
    ("/x?y=/z#f", "/api/x?y=/z#f"),
    ("https://app.example/x", "https://app.example/api/x"),
    ("HTTPS://APP.example:443/x", "HTTPS://APP.example:443/api/x"),
    ("https://app.example", "https://app.example/api/"),
    ("https://app.example?a=b", "https://app.example/api/?a=b"),
    ("http://app.example:8080/x", "http://app.example:8080/api/x"),
    # of an app that reads X-Forwarded-Prefix
    ("/api", "/api"),
    ("/api/x", "/api/x"),
    ("/api?x", "/api?x"),
    ("https://app.example/api/x", "https://app.example/api/x"),
    ("/apis", "/api/apis"),
]


@pytest.mark.parametrize(("sent", "restored"), LOCATIONS)
def test_a_location_gets_the_prefix_back(sent: str, restored: str) -> None:
    found = restore_location(sent.encode(), b"/api", ORIGINS)

    assert found == restored.encode()


COOKIES = [
    ("a=b", "a=b"),
    ("a=b; Path=/", "a=b; Path=/api"),
    ("a=b; path = /x ; HttpOnly", "a=b; path =/api/x; HttpOnly"),
    ("a=b; Path=/api/x", "a=b; Path=/api/x"),
    ("a=b; Path=", "a=b; Path="),
    ("a=b; Path=x", "a=b; Path=x"),
    ("a=/; Domain=x; Max-Age=0; Path=/x", "a=/; Domain=x; Max-Age=0; Path=/api/x"),
    ("a=Path=/; Secure", "a=Path=/; Secure"),
    ("__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/"),
]


@pytest.mark.parametrize(("sent", "restored"), COOKIES)
def test_a_cookie_path_gets_the_prefix_back(sent: str, restored: str) -> None:
    assert restore_cookie_path(sent.encode(), b"/api") == restored.encode()


@given(st.binary())
def test_any_bytes_give_a_value_that_is_restored_once(value: bytes) -> None:
    location = restore_location(value, b"/api", ORIGINS)
    cookie = restore_cookie_path(value, b"/api")

    assert restore_location(location, b"/api", ORIGINS) == location
    assert restore_cookie_path(cookie, b"/api") == cookie


def test_an_origin_has_one_spelling() -> None:
    assert canonical_origin("HTTPS", "App.Example.") == "https://app.example:443"
    assert canonical_origin("ftp", "a") is None
    assert canonical_origin("http", "a@b") is None
