"""Protects the admin listener from DNS rebinding by its Host field.

With DNS rebinding the host name of a web page resolves to 127.0.0.1, so the browser
treats the admin listener as the page's origin. The Host field still has that name.
"""

from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.http.host import parse_authority
from gateway.reasons import Reason
from gateway.server.admin.problem import problem

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def host_guard(names: Callable[[], Collection[str]]) -> Middleware:
    """Return the middleware that checks the Host field; it runs first.

    Args:
        names: returns the names that are allowed in addition to those of `is_allowed`;
            a leading "*." stands for one or more labels.
    """

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.getall("Host", [])
        # RFC 9112, section 3.2: 400 for more than one, and for none in HTTP/1.1.
        # An HTTP/1.0 client may omit it; no browser does.
        if len(given) > 1 or (not given and request.version != (1, 0)):
            return problem(400, Reason.BAD_HOST)
        if given and not is_allowed(given[0], names()):
            return problem(
                421, Reason.MISDIRECTED, "this host is not in server.admin_hosts"
            )
        return await handler(request)

    return guard


def is_allowed(given: str, names: Collection[str]) -> bool:
    """Return whether a Host field is allowed on the admin listener.

    Always allowed: an IP address, which involves no DNS (kubelet and Prometheus use
    that of the pod); `localhost` and its subdomains; a name of one label, as in a
    Compose file, since public names have at least two.
    """
    found = parse_authority(given)
    if found is None:
        return False
    host = found.host
    return (
        host.startswith("[")
        or "." not in host
        or host.endswith(".localhost")
        or _is_ipv4(host)
        or host in names
        or any(f"*{host[at:]}" in names for at, sign in enumerate(host) if sign == ".")
    )


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
