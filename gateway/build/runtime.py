"""Build the runtime: all objects that serve requests under one configuration."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from gateway.build.providers import (
    build_access_tokens,
    build_attempt_cookies,
    build_providers,
    build_vault,
)
from gateway.build.rules import (
    build_cookie,
    build_rules,
    build_token_cookies,
    public_host,
)
from gateway.build.session_format import format_from
from gateway.build.token_profiles import profiles_from
from gateway.build.upstreams import build_application
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.http.head import HeadRules
from gateway.http.headers import is_reserved
from gateway.net.resolver import Resolver
from gateway.pages.pages import Pages
from gateway.proxy.health import TargetChange
from gateway.server.attempts import Allowance
from gateway.server.response_head import ResponseHeaderFilter
from gateway.server.runtime import GuessRules, Limits, Runtime
from gateway.tokens.jwks import jwks_document
from gateway.tokens.minter import Minter
from gateway.tokens.ring import KeyRing


def build_runtime(
    loaded: LoadedConfig,
    *,
    ring: KeyRing,
    ticks: Callable[[], float],
    resolver: Resolver | None = None,
    on_target: Callable[[str, TargetChange], None] | None = None,
) -> Runtime:
    """Compile everything that requests are judged and served by.

    Args:
        loaded: the configuration.
        ring: the signing keys.
        ticks: the clock that the connections to upstreams are timed by.
        resolver: of the names of upstreams; default: one for each upstream.
        on_target: called with the name of an upstream when one of its targets is
            ejected or comes back.

    Raises:
        ConfigError: routes tie, a template, a certificate or a session format
            cannot be used.
    """
    config = loaded.config
    _check_tenant_headers(loaded)
    external = format_from(loaded)
    cookie = build_cookie(config, external)
    attempts = build_attempt_cookies(config)
    own_names = frozenset(each.name for each in build_token_cookies(config).values())
    if config.sign_in.providers:
        own_names |= attempts.names
    # An app's session cookie is the app's to set.
    session_names = frozenset() if external is not None else {cookie.wire_name}
    return Runtime(
        rules=build_rules(
            loaded,
            external=external,
            issuer=_minter(loaded, ring),
            access_tokens=build_access_tokens(config),
        ),
        head_rules=_head_rules(config),
        limits=_limits(config),
        pages=build_pages(config),
        guessing=_guess_rules(config),
        applications={
            name: build_application(
                loaded, name, upstream, cookie, ticks, resolver, on_target
            )
            for name, upstream in config.upstreams.items()
        },
        responses=ResponseHeaderFilter(own_cookies=own_names | session_names),
        responses_unasked=ResponseHeaderFilter(
            own_cookies=own_names | {cookie.wire_name}
        ),
        jwks=jwks_document(ring),
        providers=build_providers(loaded, ticks=ticks, resolver=resolver),
        attempts=attempts,
        vault=build_vault(config),
    )


def build_pages(config: Config) -> Pages:
    """Compile the gateway's own pages.

    Raises:
        ConfigError: a page of `pages.folder` cannot be used.
    """
    return Pages(
        Path(config.pages.folder) if config.pages.folder else None,
        realm=public_host(config),
        home=config.sign_in.home or "/",
    )


def _minter(loaded: LoadedConfig, ring: KeyRing) -> Minter:
    return Minter(
        ring=ring,
        profiles=profiles_from(loaded),
        issuer=loaded.config.token_issuer,
        lifetime=loaded.config.tokens.lifetime,
    )


def _head_rules(config: Config) -> HeadRules:
    networks = config.server.trusted_proxies
    listeners = (*config.server.listen, config.server.authz or "")
    return HeadRules(
        trusted_proxies=tuple(ip_network(network) for network in networks),
        # Only a listener on a Unix socket has such peers.
        trust_unix=any(each.startswith("unix:") for each in listeners),
    )


def _limits(config: Config) -> Limits:
    limits = config.server.limits
    return Limits(header_bytes=limits.header_bytes, body_bytes=limits.body_bytes)


def _check_tenant_headers(loaded: LoadedConfig) -> None:
    """Refuse a header that never arrives: `read_head` lets no client send it."""
    for at, source in enumerate(loaded.config.tenants.resolve):
        if source.source == "header" and is_reserved(source.pattern.encode("ascii")):
            raise ConfigError(
                [
                    loaded.problem(
                        f"{source.pattern} is a header that no client may send",
                        "tenants",
                        "resolve",
                        at,
                        hint="use a name of your own, such as X-Tenant",
                    )
                ]
            )


def _guess_rules(config: Config) -> GuessRules | None:
    guessing = config.server.guessing
    if guessing is None:
        return None
    page = urlsplit(config.sign_in.url)
    elsewhere = f"{page.scheme}://{page.netloc}" != config.server.public_url
    return GuessRules(
        sessions=Allowance(count=guessing.failed_lookups, window=guessing.window),
        sign_ins=Allowance(count=guessing.failed_sign_ins, window=guessing.window),
        exempt=tuple(ip_network(network) for network in guessing.exempt),
        sign_in_path=None if page.netloc and elsewhere else page.path,
        public_origin=config.server.public_url,
    )
