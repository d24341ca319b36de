"""Classify requests of browsers: page navigation, cross-site, cross-origin."""

from collections.abc import Mapping
from typing import Final

from gateway.http.head import RequestHead
from gateway.http.host import DEFAULT_PORTS, parse_authority

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_METADATA: Final = ("mode", "dest", "site")


def is_navigation(head: RequestHead) -> bool:
    """Return whether the request is a page navigation, which may be redirected.

    Fetch Metadata decides where it is present. Otherwise a request is a navigation if
    it accepts text/html and has no X-Requested-With.
    """
    if head.websocket is not None or head.requested_with is not None:
        return False
    metadata = (head.sec_fetch_mode, head.sec_fetch_dest, head.sec_fetch_site)
    return _is_of_page(metadata, head.accept)


def is_invalid_navigation(values: Mapping[str, str]) -> bool:
    """Return whether a request without a valid head is a page navigation.

    `values`: its fields that could be read, by lower-case name.
    """
    if "upgrade" in values or "x-requested-with" in values:
        return False
    mode, dest, site = [values.get(f"sec-fetch-{name}") for name in _METADATA]
    return _is_of_page((mode, dest, site), values.get("accept", ""))


def is_cross_site(head: RequestHead, public_origin: str) -> bool:
    """Return whether this is an unsafe request that another site made.

    Sec-Fetch-Site has precedence over Origin, which must be `public_origin` or the
    origin of the requested host. A WebSocket handshake counts as unsafe, since it has
    no preflight. Every current browser sends one of the two fields.
    """
    if head.method in SAFE_METHODS and head.websocket is None:
        return False
    site = head.sec_fetch_site
    if site is not None:
        return site not in _SAME_SITE
    origin = head.origin
    return origin is not None and not is_own_origin(head, origin, public_origin)


def is_own_origin(head: RequestHead, origin: str, public_origin: str) -> bool:
    """Return whether an origin is `public_origin` or that of the requested host."""
    if origin == public_origin:
        return True
    scheme, _, rest = origin.partition("://")
    if scheme not in DEFAULT_PORTS:
        return False
    # Behind a proxy that ends TLS the scheme may differ, so only hosts are compared.
    authority = parse_authority(rest)
    default = DEFAULT_PORTS[scheme]
    return authority is not None and (authority.host, authority.port or default) in (
        (head.host, head.port),
        (head.host, _named_port(head) or default),
    )


def is_cross_origin(head: RequestHead, public_origin: str) -> bool:
    """Return whether a page of another origin made this unsafe request.

    Stricter than `is_cross_site`: a sibling host of the same site, such as
    "blog.example.com" for "app.example.com", may be under other control.
    """
    return head.sec_fetch_site == "same-site" or is_cross_site(head, public_origin)


_SAME_SITE: Final = frozenset(("same-origin", "same-site", "none"))


def _named_port(head: RequestHead) -> int | None:
    authority = parse_authority(head.authority)
    return None if authority is None else authority.port


def _is_of_page(
    metadata: tuple[str | None, str | None, str | None], accept: str
) -> bool:
    mode, dest, site = metadata
    if mode is not None:
        return mode == "navigate"
    return dest is None and site is None and _accepts_html(accept)


def _accepts_html(accept: str) -> bool:
    for entry in accept.lower().split(","):
        media, *parameters = (part.strip(" \t") for part in entry.split(";"))
        if media == "text/html":
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    # RFC 9110, section 12.4.2: a weight of zero means "not acceptable".
    return parameter.startswith("q=") and not parameter[2:].strip("0.")
