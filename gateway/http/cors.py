"""Which pages of other origins may read a response (Fetch, section 3.2: CORS). Pure."""

from collections.abc import Collection
from typing import Final, TypeAlias

from gateway.http.head import RequestHead
from gateway.http.navigation import is_own_origin

Headers: TypeAlias = tuple[tuple[str, str], ...]

_MAX_AGE: Final = "600"
"""Seconds for which a browser keeps the answer to a preflight."""
_ALLOWED_FIELDS: Final = "Accept, Content-Type"
_METHODS: Final = ("GET", "HEAD")


def may_read(head: RequestHead, own: str, listed: Collection[str]) -> bool:
    """Return whether a page, or no page at all, makes this request with a right to.

    Args:
        head: the request; for a GET, Sec-Fetch-Site has precedence over Origin.
        own: `server.public_url`.
        listed: the origins of other pages that may read.
    """
    if head.origin is not None and head.origin in listed:
        return True
    site = head.sec_fetch_site
    if site is not None:
        return site in {"same-origin", "none"}
    return head.origin is None or is_own_origin(head, head.origin, own)


def cors_headers(head: RequestHead, listed: Collection[str]) -> Headers:
    """Return the fields by which a listed page may read a response with cookies."""
    if not listed:
        return ()
    vary = (
        ("Vary", "Origin"),
    )  # also without an Origin: it would have another response
    if head.origin is None or head.origin not in listed:
        return vary
    return (
        *vary,
        ("Access-Control-Allow-Origin", head.origin),
        ("Access-Control-Allow-Credentials", "true"),
    )


def preflight_headers(head: RequestHead, listed: Collection[str]) -> Headers | None:
    """Return the fields that allow a preflight of a listed page; None: it is refused."""
    allowed = head.origin is not None and head.origin in listed
    if not allowed or head.preflight_method not in _METHODS:
        return None
    return (
        *cors_headers(head, listed),
        ("Access-Control-Allow-Methods", ", ".join(_METHODS)),
        ("Access-Control-Allow-Headers", _ALLOWED_FIELDS),
        ("Access-Control-Max-Age", _MAX_AGE),
    )
