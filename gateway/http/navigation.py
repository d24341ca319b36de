"""What kind of request this is: a person at a browser, or another site's doing."""

from typing import Final

from gateway.http.head import RequestHead
from gateway.http.host import DEFAULT_PORTS, parse_authority

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def is_navigation(head: RequestHead) -> bool:
    """Tell whether a person waits for a page, so that a redirect makes sense.

    A browser says so (Fetch Metadata); where it says nothing, whoever accepts
    text/html and is no script is taken for one.
    """
    if head.websocket is not None or head.requested_with is not None:
        return False
    mode = head.sec_fetch_mode
    if mode is not None:
        return mode == "navigate"
    if head.sec_fetch_dest is not None or head.sec_fetch_site is not None:
        return False
    return _accepts_html(head.accept)


def is_cross_site(head: RequestHead, public_origin: str) -> bool:
    """Tell whether another site made a browser send this unsafe request.

    Sec-Fetch-Site is asked first, then Origin, which may be `public_origin` or
    that of the host asked for. A WebSocket counts as unsafe: no preflight guards
    it. Who sends neither field is no browser of today.
    """
    if head.method in SAFE_METHODS and head.websocket is None:
        return False
    site = head.sec_fetch_site
    if site is not None:
        return site not in _SAME_SITE
    origin = head.origin
    if origin is None or origin == public_origin:
        return False
    scheme, _, rest = origin.partition("://")
    if scheme not in DEFAULT_PORTS:
        return True
    # The scheme that we see may be that of a hop behind TLS: hosts are compared.
    authority = parse_authority(rest)
    default = DEFAULT_PORTS[scheme]
    return authority is None or (authority.host, authority.port or default) not in (
        (head.host, head.port),
        (head.host, _named_port(head) or default),
    )


def is_cross_origin(head: RequestHead, public_origin: str) -> bool:
    """Tell whether a page of another origin made a browser send this request.

    Stricter than `is_cross_site`: a sibling, "blog.example.com" beside
    "app.example.com", is another origin, and may be in other hands.
    """
    return head.sec_fetch_site == "same-site" or is_cross_site(head, public_origin)


_SAME_SITE: Final = frozenset(("same-origin", "same-site", "none"))


def _named_port(head: RequestHead) -> int | None:
    authority = parse_authority(head.authority)
    return None if authority is None else authority.port


def _accepts_html(accept: str) -> bool:
    for entry in accept.lower().split(","):
        media, *parameters = (part.strip(" \t") for part in entry.split(";"))
        if media == "text/html":
            return not any(_is_zero(parameter) for parameter in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    # RFC 9110, section 12.4.2: a weight of nought means "not acceptable".
    return parameter.startswith("q=") and not parameter[2:].strip("0.")
