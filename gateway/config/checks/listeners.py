"""Checks of listen addresses: used once, and not as an upstream."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.config.addresses import is_local, is_loopback, split_listen
from gateway.config.partial import PartialConfig


def check_listeners(partial: PartialConfig) -> None:
    """Check that each listener has an address of its own, and is protected."""
    server = partial.config.server
    seen: set[str] = set()
    for at, address in enumerate(server.listen):
        if address in seen and not address.endswith(":0"):
            partial.add_problem(
                ("server", "listen", at), "this address is listed twice"
            )
        seen.add(address)
    _authz_listener(partial, seen)
    if server.admin is None:
        return
    if server.admin in seen and not server.admin.endswith(":0"):
        partial.add_problem(
            ("server", "admin"), "the admin listener requires a separate address"
        )
    token = server.admin_token.get_secret_value() if server.admin_token else ""
    if token.startswith("change-me") and not is_local(server.admin):
        partial.add_problem(
            ("server", "admin_token"),
            "this is the public token of the example, and the admin listener is not "
            "on a loopback address",
        )


def _authz_listener(partial: PartialConfig, taken: set[str]) -> None:
    server = partial.config.server
    address = server.authz
    if address is None:
        return
    others = taken if server.admin is None else taken | {server.admin}
    if address in others and not address.endswith(":0"):
        partial.add_problem(
            ("server", "authz"), "the authz listener requires a separate address"
        )
    if not server.trusted_proxies and not address.startswith("unix:"):
        partial.add_problem(
            ("server", "authz"),
            "every decision is refused: server.trusted_proxies is empty",
            "add the address of the front proxy, such as 127.0.0.1",
        )


def check_loops(partial: PartialConfig) -> None:
    """Check that no upstream is a listener of this gateway: each request would loop."""
    server = partial.config.server
    given = (*server.listen, *(each for each in (server.admin, server.authz) if each))
    ports: dict[int, set[str]] = {}
    for place in map(split_listen, given):
        if isinstance(place, tuple):
            ports.setdefault(place[1], set()).add(place[0])
    for name, upstream in partial.config.upstreams.items():
        for url in upstream.url:
            parts = urlsplit(url)
            default = {"http": 80, "https": 443}.get(parts.scheme, 0)
            hosts = ports.get(parts.port or default, set())
            host = parts.hostname or ""
            local = is_loopback(host) and any(map(_covers_loopback, hosts))
            if url in given or host in hosts or local:
                partial.add_problem(
                    ("upstreams", name, "url"),
                    "this is a listener of the gateway itself",
                    "use the address of the app",
                )


def _covers_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified or is_loopback(host)
    except ValueError:
        return is_loopback(host)
