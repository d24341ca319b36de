"""Build upstreams: addresses, connection pools, limits per client."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.build.providers import build_attempt_cookies
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.config.sections.tokens import Profile as TokenProfile
from gateway.config.sections.upstreams import Upstream as UpstreamConfig
from gateway.errors import ConfigError
from gateway.http.headers import HeaderFilter, normalize_name
from gateway.identity_headers import PRESETS, Encoding, IdentityHeaders, Lists
from gateway.net.resolver import Resolver
from gateway.outbound import TokenSlot, UpstreamView
from gateway.proxy.health import TargetChange
from gateway.proxy.target import parse_target_url
from gateway.proxy.tls import client_ssl_context
from gateway.proxy.upstream import Upstream
from gateway.routes.model import Route
from gateway.server.descriptors import descriptor_limit
from gateway.server.runtime import Application
from gateway.server.shares import UpstreamShares
from gateway.sessions.cookie import CookieSpec
from gateway.tokens.claims import compile_template

_MOST_IDLE: Final = 1024
"""Idle connections that are kept. With fewer than clients, each burst of requests opens
and closes the rest: with 1,000 clients a request then took twice the CPU time."""

_NOWHERE: Final = UpstreamConfig(url=("http://nowhere.invalid",))
"""Stands for the upstream of a route that has none; nothing connects to it."""


def build_view(
    config: Config, name: str, upstream: UpstreamConfig, cookie: CookieSpec
) -> UpstreamView:
    """Compile how one upstream is addressed; `cookie` is the session cookie."""
    profiles = config.tokens.profiles
    identity = _identity_headers(config, upstream)
    strip_session = upstream.session_cookie == "strip"
    own_names = _own_names(config)
    return UpstreamView(
        name=name,
        own_host=parse_target_url(upstream.url[0]).authority.encode("ascii"),
        preserve_host=upstream.preserve_host,
        strip_prefix=upstream.strip_prefix,
        provider=upstream.provider,
        header_filter=HeaderFilter(
            {header.decode("ascii") for header in own_names}
            | {name for name in upstream.strip_headers if not name.endswith("*")},
            [name[:-1] for name in upstream.strip_headers if name.endswith("*")],
        ),
        stripped_cookies=frozenset(
            each.cookie.encode("ascii") for each in profiles.values() if each.cookie
        )
        | ({cookie.wire_name} if strip_session else frozenset())
        | (build_attempt_cookies(config).names if config.sign_in.providers else set()),
        identity=identity,
        tokens=tuple(
            TokenSlot(profile=each, header=_token_header(profiles[each]))
            for each in upstream.profiles
        ),
        own_names=own_names,
        restored_prefix=(upstream.strip_prefix or "").encode("ascii")
        if upstream.restore_prefix
        else b"",
    )


def build_view_without_upstream(config: Config, cookie: CookieSpec) -> UpstreamView:
    """Compile what another proxy has to send to the app of a route without upstream.

    An app that reads its own session cookie goes on to receive it.
    """
    kept = "forward" if config.sessions.external else "strip"
    nowhere = _NOWHERE.model_copy(update={"session_cookie": kept})
    return build_view(config, "", nowhere, cookie)


def view_of(route: Route, view: UpstreamView) -> UpstreamView:
    """Return how the requests of a route are built, with the view of its upstream.

    Where the route takes access tokens, the Authorization field is the gateway's: what a
    client sends there is never forwarded.
    """
    if not route.takes_tokens:
        return view
    return replace(
        view,
        header_filter=view.header_filter.adding("authorization"),
        own_names=(*dict.fromkeys((*view.own_names, b"Authorization")),),
    )


def build_application(
    loaded: LoadedConfig,
    name: str,
    upstream: UpstreamConfig,
    cookie: CookieSpec,
    ticks: Callable[[], float],
    resolver: Resolver | None,
    on_target: Callable[[str, TargetChange], None] | None,
) -> Application:
    """Compile one upstream: its view, its pool of connections, its shares.

    Raises:
        ConfigError: a certificate or a key cannot be used.
    """
    targets = [parse_target_url(url) for url in upstream.url]
    secure = any(target.scheme == "https" for target in targets)
    timeouts, limits = upstream.timeouts, loaded.config.server.limits
    max_connections = upstream.max_connections or limits.connections
    return Application(
        view=build_view(loaded.config, name, upstream, cookie),
        upstream=Upstream(
            name=name,
            targets=targets,
            connect_timeout=timeouts.connect,
            response_timeout=timeouts.response_headers,
            idle_timeout=timeouts.idle,
            max_connections=max_connections,
            max_idle=min(max_connections, _MOST_IDLE, descriptor_limit() // 4),
            lifetime=timeouts.lifetime,
            resolver=resolver,
            on_change=None if on_target is None else partial(on_target, name),
            ssl_context=_tls_context(loaded, name, upstream) if secure else None,
            server_name=upstream.tls.server_name if upstream.tls else None,
            clock=ticks,
        ),
        shares=UpstreamShares(
            max_connections,
            address=limits.address_percent / 100,
            identity=limits.identity_percent / 100,
            patience=timeouts.connect,
        ),
        may_sign_in=upstream.may_sign_in,
        targets=frozenset(str(target) for target in targets),
        signs_in=upstream.may_sign_in
        or (loaded.config.sessions.external and upstream.session_cookie == "forward"),
        idle=timeouts.idle,
        body_idle=timeouts.request_body,
        body_rate=upstream.body_rate,
    )


def _tls_context(
    loaded: LoadedConfig, name: str, upstream: UpstreamConfig
) -> ssl.SSLContext:
    """Return the context for connections to an upstream.

    Raises:
        ConfigError: a certificate or a key cannot be used.
    """
    tls = upstream.tls
    try:
        return client_ssl_context(
            tls.ca if tls else None,
            tls.certificate if tls else None,
            tls.key if tls else None,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            [loaded.problem(f"TLS of this upstream: {why}", "upstreams", name)]
        ) from error


def _identity_headers(config: Config, upstream: UpstreamConfig) -> IdentityHeaders:
    return IdentityHeaders(
        fields=tuple(
            (header.encode("ascii"), compile_template(template))
            for header, template in _mapping(config, upstream).items()
        ),
        encoding=Encoding(upstream.identity_encoding),
        lists=Lists(upstream.identity_lists),
    )


def _mapping(config: Config, upstream: UpstreamConfig) -> Mapping[str, str]:
    wanted = upstream.identity_headers
    if wanted is None:
        wanted = config.identity_headers
    return PRESETS[wanted] if isinstance(wanted, str) else wanted


def _own_names(config: Config) -> tuple[bytes, ...]:
    """Return the headers that no client may send to any upstream, each once.

    Those of all upstreams: a name that one of them trusts is not to be sent to another.
    """
    only_decided = any(route.upstream is None for route in config.routes)
    nowhere = (_NOWHERE,) if only_decided else ()
    identity = (
        name.encode("ascii")
        for upstream in (*config.upstreams.values(), *nowhere)
        for name in _mapping(config, upstream)
    )
    tokens = (_token_header(each) for each in config.tokens.profiles.values())
    selectors = (
        # It only selects a tenant; the identity headers carry the verified one.
        source.pattern.encode("ascii")
        for source in config.tenants.resolve
        if source.source == "header"
    )
    names = [b"X-Auth-Status", *identity]
    names += (name for name in (*tokens, *selectors) if name is not None)
    if any(each.provider is not None for each in config.upstreams.values()):
        names.append(b"Authorization")
    once: dict[bytes, bytes] = {}
    for name in names:
        once.setdefault(normalize_name(name), name)
    return tuple(once.values())


def _token_header(profile: TokenProfile) -> bytes | None:
    if profile.header is None:
        return None
    # One spelling: no request has to compare it case-insensitively.
    if profile.header.lower() == "authorization":
        return b"Authorization"
    return profile.header.encode("ascii")
