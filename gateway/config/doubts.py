"""What is allowed and yet is probably not meant: warnings, with their place."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from urllib.parse import urlsplit

from gateway.config.values import is_local, is_loopback
from gateway.config.whole import Whole


def doubt(whole: Whole) -> None:
    """Add every warning to the document of `whole`."""
    for one in _DOUBTS:
        one(whole)


def _open_admin(whole: Whole) -> None:
    admin = whole.config.server.admin
    if admin is not None and not is_local(admin):
        whole.complain(
            ("server", "admin"),
            "the admin listener is not on a loopback address",
            "whoever reaches it reads the metrics; keep it off public networks",
        )


def _believed(whole: Whole) -> None:
    for at, network in enumerate(whole.config.server.trusted_proxies):
        if ip_network(network).prefixlen == 0:
            whole.complain(
                ("server", "trusted_proxies", at),
                "every client is believed about its own address",
            )


def _networks(whole: Whole) -> None:
    """Warn of networks in `require` that change nothing, or that no client is in."""
    server = whole.config.server
    direct = not server.trusted_proxies and "unix:" not in "".join(server.listen)
    local = direct and all(is_local(address) for address in server.listen)
    for at, route in enumerate(whole.config.routes):
        listed = [ip_network(network) for network in route.require.networks]
        for index, network in enumerate(listed):
            loc = ("routes", at, "require", "networks", index)
            wider = [
                other
                for position, other in enumerate(listed)
                if _inside(network, other) and (other != network or position < index)
            ]
            if network.prefixlen == 0:
                whole.complain(loc, f"{network} is every IPv{network.version} address")
            elif wider:
                whole.complain(loc, f"{wider[0]} includes this network already")
            elif local and not network.is_loopback:
                whole.complain(
                    loc,
                    "no client is in this network: the gateway listens on loopback "
                    "addresses only, and no proxy is trusted",
                    "set server.trusted_proxies to the addresses of the front proxy",
                )


def _inside(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.subnet_of(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.subnet_of(other)
    return False


def _secure_flag(whole: Whole) -> None:
    https = whole.config.server.public_url.startswith("https:")
    if https and not whole.config.cookie_is_secure:
        whole.complain(
            ("sessions", "cookie", "secure"),
            "the session cookie would also be sent without https",
        )
    if whole.config.server.tls is not None and not https:
        whole.complain(
            ("server", "tls"), "the listener speaks https, and public_url says http"
        )


def _trying_out(whole: Whole) -> None:
    config = whole.config
    host = urlsplit(config.server.public_url).hostname or ""
    if host.endswith(".localhost") or is_loopback(host):
        return
    if config.redis.url.get_secret_value() == "embedded":
        whole.complain(
            ("redis", "url"),
            "an embedded Redis is for trying out: sessions end with the process",
        )
    if config.tokens.profiles and config.tokens.keys == "embedded":
        whole.complain(
            ("tokens", "keys"),
            "embedded keys are for trying out: they change at every start",
        )


def _app_without_its_cookie(whole: Whole) -> None:
    """An app that keeps sessions and never sees its cookie signs everybody out."""
    sessions = whole.config.sessions
    if not sessions.foreign:
        return
    for name, upstream in whole.config.upstreams.items():
        if "session_cookie" not in upstream.model_fields_set:
            whole.complain_key(
                ("upstreams", name),
                f'the session cookie does not reach the upstream "{name}"',
                "session_cookie: forward, if it is an app that reads its own sessions;"
                " session_cookie: strip says that it is none",
            )


def _unused(whole: Whole) -> None:
    used = {route.upstream for route in whole.config.routes}
    for name in whole.config.upstreams:
        if name not in used:
            whole.complain_key(
                ("upstreams", name), f'no route leads to the upstream "{name}"'
            )


_DOUBTS: Final[Sequence[Callable[[Whole], None]]] = (
    _open_admin,
    _believed,
    _networks,
    _secure_flag,
    _trying_out,
    _app_without_its_cookie,
    _unused,
)
