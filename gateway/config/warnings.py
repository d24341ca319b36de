"""Warnings about settings that are allowed but probably not intended."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.addresses import is_local, is_loopback
from gateway.config.checks.accept import warn_of_accept
from gateway.config.document import Loc
from gateway.config.partial import PartialConfig


def add_warnings(partial: PartialConfig) -> None:
    """Add every warning to the document of `partial`."""
    for one in _WARNINGS:
        one(partial)


def _open_admin(partial: PartialConfig) -> None:
    admin = partial.config.server.admin
    if admin is not None and not is_local(admin):
        partial.add_problem(
            ("server", "admin"),
            "the admin listener is not on a loopback address",
            "do not expose it on public networks",
        )


def _open_authz(partial: PartialConfig) -> None:
    authz = partial.config.server.authz
    if authz is not None and not is_local(authz):
        partial.add_problem(
            ("server", "authz"),
            "the authz listener is not on a loopback address, and has no TLS",
            "session cookies cross this network: keep it private",
        )


def _believed(partial: PartialConfig) -> None:
    for at, network in enumerate(partial.config.server.trusted_proxies):
        if ip_network(network).prefixlen == 0:
            partial.add_problem(
                ("server", "trusted_proxies", at),
                "every client can forge its own address",
            )


def _networks(partial: PartialConfig) -> None:
    """Warn of networks in `require` that change nothing, or that no client is in."""
    server = partial.config.server
    direct = not server.trusted_proxies and "unix:" not in "".join(server.listen)
    local = direct and all(is_local(address) for address in server.listen)
    for at, route in enumerate(partial.config.routes):
        listed = [ip_network(network) for network in route.require.networks]
        for index, network in enumerate(listed):
            loc = ("routes", at, "require", "networks", index)
            wider = [
                other
                for position, other in enumerate(listed)
                if _inside(network, other) and (other != network or position < index)
            ]
            if network.prefixlen == 0:
                partial.add_problem(
                    loc, f"{network} is every IPv{network.version} address"
                )
            elif wider:
                partial.add_problem(loc, f"{wider[0]} already includes this network")
            elif local and not network.is_loopback:
                partial.add_problem(
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


def _secure_flag(partial: PartialConfig) -> None:
    https = partial.config.server.public_url.startswith("https:")
    if https and not partial.config.cookie_is_secure:
        partial.add_problem(
            ("sessions", "cookie", "secure"),
            "browsers also send the session cookie without https",
        )
    if partial.config.server.tls is not None and not https:
        partial.add_problem(
            ("server", "tls"), "the listener uses https, but public_url has http"
        )


def _trying_out(partial: PartialConfig) -> None:
    config = partial.config
    host = urlsplit(config.server.public_url).hostname or ""
    if host.endswith(".localhost") or is_loopback(host):
        return
    if config.redis.url.get_secret_value() == "embedded":
        partial.add_problem(
            ("redis", "url"),
            "embedded Redis is for development only: sessions are lost on exit",
        )
    if config.tokens.profiles and config.tokens.keys == "embedded":
        partial.add_problem(
            ("tokens", "keys"),
            "embedded keys are for development only: they change at every start",
        )


def _app_without_its_cookie(partial: PartialConfig) -> None:
    """An app that keeps sessions and never receives its cookie loses every sign-in."""
    sessions = partial.config.sessions
    if not sessions.external:
        return
    for name, upstream in partial.config.upstreams.items():
        if "session_cookie" not in upstream.model_fields_set:
            partial.add_problem_at_key(
                ("upstreams", name),
                f'the session cookie does not reach the upstream "{name}"',
                "session_cookie: forward, if it is an app that reads its own sessions;"
                " session_cookie: strip confirms that it is not",
            )


def _claims_that_change(partial: PartialConfig) -> None:
    for name, provider in partial.config.sign_in.providers.items():
        text = provider.identity.id
        for claim in ("email", "preferred_username", "name", "upn"):
            if f"{{{claim}}}" in text and "{sub}" not in text:
                partial.add_problem(
                    ("sign_in", "providers", name, "identity", "id"),
                    f"the claim {claim} may pass to another user",
                    "use {sub}, or another claim that the provider never reassigns",
                )


def _unused(partial: PartialConfig) -> None:
    used = {route.upstream for route in partial.config.routes}
    for name in partial.config.upstreams:
        if name not in used:
            partial.add_problem_at_key(
                ("upstreams", name), f'no route uses the upstream "{name}"'
            )


def _sign_in_elsewhere(partial: PartialConfig) -> None:
    """Warn of a sign-in page on another host of the gateway without a shared cookie."""
    config = partial.config
    page = urlsplit(config.sign_in.url)
    hosts = {route.match.host for route in config.routes} - {None, page.hostname}
    served = any(route.match.host == page.hostname for route in config.routes)
    if (
        page.hostname
        and served
        and hosts
        and not config.sessions.external
        and config.sessions.cookie.domain is None
    ):
        partial.add_problem(
            ("sign_in", "url"),
            f"a sign-in on {page.hostname} signs users in on that host only",
            "set sessions.cookie.domain to the domain that the hosts share",
        )


def _tokens(partial: PartialConfig) -> None:
    """Warn of tokens that outlive a sign-out for long, and of roles that users choose."""
    tokens = partial.config.tokens
    lifetimes: list[tuple[tuple[str, ...], float | None]] = [
        (("tokens", "lifetime"), tokens.lifetime),
        *(
            (("tokens", "profiles", name, "lifetime"), profile.lifetime)
            for name, profile in tokens.profiles.items()
        ),
    ]
    for loc, lifetime in lifetimes:
        if lifetime is not None and lifetime > _LONG_TOKEN:
            partial.add_problem(
                loc,
                "a token cannot be revoked: after a sign-out it is valid for this time",
                "use at most 15m",
            )
    for name, profile in tokens.profiles.items():
        for path in _roles_of_traits(profile.claims or {}, ()):
            partial.add_problem(
                ("tokens", "profiles", name, "claims", *path),
                "the database role comes from a trait, which the app or the user sets",
                "use a fixed role, or {tenant.role} with a fixed prefix",
            )


def _roles_of_traits(claims: Any, path: Loc) -> Iterator[Loc]:
    """Yield where a role is taken from a trait, in nested claims too."""
    parts = claims.items() if isinstance(claims, dict) else enumerate(claims)
    for name, value in parts:
        if isinstance(value, dict | list):
            yield from _roles_of_traits(value, (*path, name))
        elif isinstance(value, str) and "identity.traits." in value:
            claim = name if isinstance(name, str) or not path else path[-1]
            if claim in _ROLE_CLAIMS:
                yield (*path, name)


_ROLE_CLAIMS: Final = frozenset(
    (
        "role",
        *("x-hasura-role", "x-hasura-default-role", "x-hasura-allowed-roles"),
    )
)
"""Claims that PostgREST, Supabase and Hasura read a role of the database from."""
_LONG_TOKEN: Final = 15 * 60

_WARNINGS: Final[Sequence[Callable[[PartialConfig], None]]] = (
    _open_admin,
    _open_authz,
    _believed,
    _networks,
    _secure_flag,
    _trying_out,
    _app_without_its_cookie,
    _claims_that_change,
    _sign_in_elsewhere,
    _tokens,
    warn_of_accept,
    _unused,
)
