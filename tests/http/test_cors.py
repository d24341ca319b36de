"""Which pages may read what is for the user's own pages."""

import pytest

from gateway.http.cors import cors_headers, may_read, preflight_headers
from tests.http.heads import head

OWN = "https://app.example"
LISTED = frozenset({"https://shop.example", "https://www.app.example"})


@pytest.mark.parametrize(
    ("fields", "may"),
    [
        pytest.param({}, True, id="a program"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, True, id="a page of our own"),
        pytest.param({"Sec-Fetch-Site": "none"}, True, id="the address bar"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, False, id="a sibling"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, False, id="an image elsewhere"),
        pytest.param({"Sec-Fetch-Site": "Same-Origin"}, False, id="another spelling"),
        pytest.param({"Origin": OWN}, True, id="our origin, in an old browser"),
        pytest.param({"Origin": OWN, "Sec-Fetch-Site": "same-site"}, False, id="our origin, asked for at a sibling"),
        pytest.param({"Origin": "null"}, False, id="a sandboxed frame"),
        pytest.param({"Origin": "https://evil.example"}, False, id="a foreign page"),
        pytest.param({"Origin": "https://app.example.evil.example"}, False, id="a longer name"),
        pytest.param({"Origin": "https://shop.example.evil.example"}, False, id="longer than a listed one"),
        pytest.param({"Origin": "http://shop.example"}, False, id="a listed one without TLS"),
        pytest.param({"Origin": "https://shop.example:8443"}, False, id="a listed one, another port"),
        pytest.param({"Origin": "https://SHOP.example"}, False, id="as no browser writes it"),
        pytest.param({"Origin": "https://shop.example"}, True, id="a listed one"),
        pytest.param({"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}, True, id="a listed one, of another site"),
        pytest.param({"Origin": "https://www.app.example", "Sec-Fetch-Site": "same-site"}, True, id="a listed sibling"),
    ],
)  # fmt: skip
def test_only_own_and_listed_pages_may_read(fields: dict[str, str], may: bool) -> None:
    assert may_read(head(*fields.items()), OWN, LISTED) is may


def test_a_page_that_is_not_listed_gets_no_field_that_lets_it_read() -> None:
    for origin in ("https://evil.example", "null", OWN):
        fields = cors_headers(head(("Origin", origin)), LISTED)
        assert fields == (("Vary", "Origin"),)
    assert cors_headers(head(("Origin", "https://shop.example")), ()) == ()


def test_a_listed_page_may_read_with_cookies() -> None:
    assert cors_headers(head(("Origin", "https://shop.example")), LISTED) == (
        ("Vary", "Origin"),
        ("Access-Control-Allow-Origin", "https://shop.example"),
        ("Access-Control-Allow-Credentials", "true"),
    )


@pytest.mark.parametrize(
    ("origin", "method", "allowed"),
    [
        ("https://shop.example", "GET", True),
        ("https://shop.example", "HEAD", True),
        ("https://shop.example", "DELETE", False),
        ("https://shop.example", None, False),
        ("https://evil.example", "GET", False),
        ("null", "GET", False),
        (None, "GET", False),
    ],
)
def test_a_preflight_is_allowed_to_listed_pages_for_reading(
    origin: str | None, method: str | None, allowed: bool
) -> None:
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    given = [(name, value) for name, value in fields.items() if value is not None]

    found = preflight_headers(head(*given, method="OPTIONS"), LISTED)

    assert (found is not None) is allowed
    if found is not None:
        assert ("Access-Control-Allow-Methods", "GET, HEAD") in found
        assert ("Access-Control-Allow-Origin", "https://shop.example") in found
