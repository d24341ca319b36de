"""Which names the admin listener answers to: a page must not reach it by its own.

With DNS rebinding a page's own host name leads to 127.0.0.1, and the browser takes the
admin listener for the page's origin. The Host field still holds that name.
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
    """Build the check of the Host field, before everything else on this listener.

    Args:
        names: gives the names that are allowed beside those that always are; "*." in
            front stands for one or more labels.
    """

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        given = request.headers.getall("Host", [])
        # RFC 9112, section 3.2: 400 for more than one, and for none in HTTP/1.1. A
        # program that speaks HTTP/1.0 may leave it out; no browser does.
        if len(given) > 1 or (not given and request.version != (1, 0)):
            return problem(400, Reason.BAD_HOST)
        if given and not is_allowed(given[0], names()):
            return problem(
                421, Reason.MISDIRECTED, "this host is not in server.admin_hosts"
            )
        return await handler(request)

    return guard


def is_allowed(given: str, names: Collection[str]) -> bool:
    """Tell whether a Host field names the admin listener.

    Always: an IP address, which no DNS leads elsewhere (kubelet and Prometheus use
    that of the pod); `localhost` and below; a name of one label, as in a Compose file,
    since public names have two.
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
