"""From a configuration to what serves by it: everything a request needs, compiled.

Nothing here is opened and nothing is asked over a network; what can be refused is
refused here, before the old configuration is let go.
"""

from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from math import inf
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.config.schema import Profile as TokenProfile
from gateway.config.schema import Upstream as UpstreamConfig
from gateway.decision import ExemptPage, Policy, checks_of
from gateway.errors import ConfigError
from gateway.http.head import HeadRules
from gateway.http.headers import Stripper, is_reserved
from gateway.net.resolver import DnsSettings, Resolver
from gateway.outbound import PRESETS, IdentityHeaders, UpstreamView
from gateway.pages.pages import Pages
from gateway.proxy.health import TargetChange
from gateway.proxy.target import parse_target_url
from gateway.proxy.tls import client_ssl_context
from gateway.proxy.upstream import Upstream
from gateway.reasons import Reason
from gateway.routes.compile import routes_from
from gateway.routes.table import RouteTable
from gateway.server.answer import AnswerRules
from gateway.server.attempts import Allowance
from gateway.server.runtime import Application, GuessRules, Limits, Runtime
from gateway.server.shares import UpstreamShares
from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.cookie import CookieSpec, cookie_spec
from gateway.sessions.formats.from_config import format_from
from gateway.sessions.formats.profile import Profile
from gateway.spine.answers import Answers, SignInPages
from gateway.spine.local_paths import WELL_KNOWN_JWKS
from gateway.spine.ruleset import RoutePlan, Ruleset, TokenCookie, TokenIssuer
from gateway.tenants import Source, from_header, from_host, from_path, from_session
from gateway.tokens.claims import compile_template
from gateway.tokens.compile import profiles_from
from gateway.tokens.jwks import jwks_document
from gateway.tokens.keys import KeysError, embedded_ring, load_ring
from gateway.tokens.minter import Minter
from gateway.tokens.ring import KeyRing

_STRONGER: Final = (Reason.STEP_UP, Reason.AAL_TOO_LOW)


def build_ring(
    loaded: LoadedConfig, *, now: float, previous: KeyRing | None = None
) -> KeyRing:
    """Load the signing keys, or make them when the configuration says `embedded`.

    Raises:
        ConfigError: the folder or a key cannot be used, or keys in memory, which all
            processes have from the one that started them, would have to be others.
    """
    tokens = loaded.config.tokens
    if tokens.keys == "embedded":
        if previous is None:
            return embedded_ring(tokens.algorithm, now=now)
        if previous.algorithm == tokens.algorithm:
            return previous
        # Each process would make a key of its own, which no other one publishes.
        text = (
            f"embedded keys are made at the start, and these are for"
            f" {previous.algorithm}: another algorithm needs a restart"
        )
        raise ConfigError([loaded.problem(text, "tokens", "algorithm")])
    try:
        return load_ring(
            Path(tokens.keys),
            tokens.algorithm,
            now=now,
            previous=previous,
            lifetime=tokens.lifetime,
        )
    except KeysError as error:
        raise ConfigError(
            [loaded.problem(text, "tokens", "keys") for text in error.problems]
        ) from error


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
    foreign = format_from(loaded)
    profiles = profiles_from(loaded)
    cookie = build_cookie(config, foreign)
    token_cookies = build_token_cookies(config)
    token_names = frozenset(each.name for each in token_cookies.values())
    rules = build_rules(
        loaded,
        foreign=foreign,
        issuer=Minter(
            ring=ring,
            profiles=profiles,
            issuer=config.token_issuer,
            lifetime=config.tokens.lifetime,
        ),
    )
    return Runtime(
        rules=rules,
        head_rules=HeadRules(
            trusted_proxies=tuple(
                ip_network(network) for network in config.server.trusted_proxies
            ),
            trust_unix="unix:" in "".join(config.server.listen),
        ),
        limits=Limits(
            header_bytes=config.server.limits.header_bytes,
            body_bytes=config.server.limits.body_bytes,
        ),
        pages=build_pages(config),
        guessing=_guess_rules(config),
        applications={
            name: _application(
                loaded, name, upstream, cookie, ticks, resolver, on_target
            )
            for name, upstream in config.upstreams.items()
        },
        # An app's session cookie is the app's to set.
        responses=AnswerRules(
            own_cookies=token_names
            | (frozenset() if foreign is not None else {cookie.wire_name})
        ),
        responses_unasked=AnswerRules(own_cookies=token_names | {cookie.wire_name}),
        jwks=jwks_document(ring),
    )


def build_rules(
    loaded: LoadedConfig, *, foreign: Profile | None, issuer: TokenIssuer
) -> Ruleset:
    """Compile what decides about requests; opens nothing and needs no key.

    Args:
        loaded: the configuration.
        foreign: the compiled session format, where an app writes the sessions.
        issuer: signs the tokens.

    Raises:
        ConfigError: routes tie.
    """
    config = loaded.config
    routes = routes_from(loaded)
    cookie = build_cookie(config, foreign)
    token_cookies = build_token_cookies(config)
    views = {
        name: build_view(config, name, upstream, cookie)
        for name, upstream in config.upstreams.items()
    }
    return Ruleset(
        routes=routes,
        plans={
            route.id: RoutePlan(
                route=route, checks=checks_of(route), view=views[route.upstream]
            )
            for route in routes.routes
        },
        policy=build_policy(config),
        tenant_sources=build_tenant_sources(config),
        cookie=cookie,
        cookie_name=cookie.wire_name,
        foreign=foreign,
        lifetimes=build_lifetimes(config),
        issuer=issuer,
        answers=Answers(sign_in=_sign_in(config), realm=public_host(config)),
        token_cookies=token_cookies,
        clear_cookies=(
            cookie.clear_cookie(),
            *(each.clear() for each in token_cookies.values()),
        ),
        owns_jwks=owns_jwks(routes),
    )


def build_dns(config: Config) -> DnsSettings:
    """Compile how host names are looked up."""
    dns = config.dns
    return DnsSettings(
        servers=dns.servers,
        timeout=dns.timeout,
        max_ttl=dns.max_ttl,
        stale=dns.stale,
    )


def build_token_cookies(config: Config) -> dict[str, TokenCookie]:
    """Compile the cookies that carry tokens, by token profile."""
    attributes = _token_cookie_attributes(config)
    return {
        name: TokenCookie(name=profile.cookie.encode("ascii"), attributes=attributes)
        for name, profile in config.tokens.profiles.items()
        if profile.cookie is not None
    }


def build_policy(config: Config) -> Policy:
    """Compile what the decision takes beside the route."""
    return Policy(
        admin_roles=frozenset(config.roles.admin),
        public_origin=config.server.public_url,
        exempt_pages=(
            *_exempt_pages(config.sign_in.step_up, config, _STRONGER),
            *_exempt_pages(config.sign_in.no_tenant, config, ()),
        ),
    )


def build_lifetimes(config: Config) -> LifetimePolicy:
    """Compile how long sessions live."""
    sessions = config.sessions
    if sessions.foreign:
        return LifetimePolicy(lifespan=inf, by_app=True)
    return LifetimePolicy(
        lifespan=sessions.lifespan,
        idle_timeout=sessions.idle_timeout,
        extend_within=sessions.extend_within,
    )


def build_cookie(config: Config, foreign: Profile | None) -> CookieSpec:
    """Compile how the session cookie is called, and set or cleared.

    An app's cookie has exactly the name that its profile says.
    """
    cookie = config.sessions.cookie
    if foreign is not None:
        name = foreign.cookie_name.decode("ascii")
        return CookieSpec(
            name=name,
            # Browsers ignore a Set-Cookie of such a name without it.
            secure=config.cookie_is_secure or name.startswith(("__Host-", "__Secure-")),
            same_site=cookie.same_site,
            domain=cookie.domain,
            persistent=cookie.persistent,
        )
    return cookie_spec(
        name=cookie.name,
        secure=config.cookie_is_secure,
        same_site=cookie.same_site,
        domain=cookie.domain,
        persistent=cookie.persistent,
    )


def build_tenant_sources(config: Config) -> tuple[Source, ...]:
    """Compile where a request names its tenant."""
    makers: dict[str, Callable[[str], Source]] = {
        "session": lambda _: from_session,
        "host": from_host,
        "path": from_path,
        "header": from_header,
    }
    return tuple(
        makers[source.source](source.pattern) for source in config.tenants.resolve
    )


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


def build_view(
    config: Config, name: str, upstream: UpstreamConfig, cookie: CookieSpec
) -> UpstreamView:
    """Compile how one upstream is addressed; `cookie` is the session cookie."""
    profiles = config.tokens.profiles
    profile = profiles.get(upstream.token) if upstream.token is not None else None
    identity = _identity_templates(config)
    strip_session = upstream.session_cookie == "strip"
    return UpstreamView(
        name=name,
        own_host=parse_target_url(upstream.url[0]).authority.encode("ascii"),
        preserve_host=upstream.preserve_host,
        strip_prefix=upstream.strip_prefix,
        token_header=_token_header(profile),
        token_profile=upstream.token,
        stripper=Stripper(
            {header.decode("ascii") for header, _ in identity.fields}
            | {each.header for each in profiles.values() if each.header is not None}
            # It only selects; what was checked is told by the identity headers.
            | {s.pattern for s in config.tenants.resolve if s.source == "header"}
            | {name for name in upstream.strip_headers if not name.endswith("*")},
            [name[:-1] for name in upstream.strip_headers if name.endswith("*")],
        ),
        stripped_cookies=frozenset(
            each.cookie.encode("ascii") for each in profiles.values() if each.cookie
        )
        | ({cookie.wire_name} if strip_session else frozenset()),
        identity=identity,
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


def owns_jwks(routes: RouteTable) -> bool:
    """Tell whether no route claims the well-known place of the JWK Set."""
    claims = {WELL_KNOWN_JWKS, "/.well-known/**"}
    return all(route.path not in claims for route in routes.routes)


def public_host(config: Config) -> str:
    """Name the host that browsers know us by."""
    return urlsplit(config.server.public_url).hostname or "gateway"


def _application(
    loaded: LoadedConfig,
    name: str,
    upstream: UpstreamConfig,
    cookie: CookieSpec,
    ticks: Callable[[], float],
    resolver: Resolver | None,
    on_target: Callable[[str, TargetChange], None] | None,
) -> Application:
    tls = upstream.tls
    targets = [parse_target_url(url) for url in upstream.url]
    secure = any(target.scheme == "https" for target in targets)
    try:
        context = (
            client_ssl_context(
                tls.ca if tls else None,
                tls.certificate if tls else None,
                tls.key if tls else None,
            )
            if secure
            else None
        )
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            [loaded.problem(f"TLS of this upstream: {told}", "upstreams", name)]
        ) from error
    timeouts, limits = upstream.timeouts, loaded.config.server.limits
    return Application(
        view=build_view(loaded.config, name, upstream, cookie),
        upstream=Upstream(
            name=name,
            targets=targets,
            connect_timeout=timeouts.connect,
            response_timeout=timeouts.response_headers,
            idle_timeout=timeouts.idle,
            max_connections=upstream.max_connections or limits.connections,
            lifetime=timeouts.lifetime,
            resolver=resolver,
            on_change=None if on_target is None else partial(on_target, name),
            ssl_context=context,
            server_name=tls.server_name if tls else None,
            clock=ticks,
        ),
        shares=UpstreamShares(
            upstream.max_connections or limits.connections,
            address=limits.address_percent / 100,
            identity=limits.identity_percent / 100,
            patience=timeouts.connect,
        ),
        may_sign_in=upstream.may_sign_in,
        targets=frozenset(str(target) for target in targets),
        signs_in=upstream.may_sign_in
        or (loaded.config.sessions.foreign and upstream.session_cookie == "forward"),
        idle=timeouts.idle,
        body_idle=timeouts.request_body,
        body_rate=upstream.body_rate,
    )


def _identity_templates(config: Config) -> IdentityHeaders:
    wanted = config.identity_headers
    mapping = PRESETS[wanted] if isinstance(wanted, str) else wanted
    return IdentityHeaders(
        fields=tuple(
            (header.encode("ascii"), compile_template(template))
            for header, template in mapping.items()
        )
    )


def _token_header(profile: TokenProfile | None) -> bytes | None:
    if profile is None or profile.header is None:
        return None
    # One spelling, so that whoever writes the value need not fold it again.
    if profile.header.lower() == "authorization":
        return b"Authorization"
    return profile.header.encode("ascii")


def _token_cookie_attributes(config: Config) -> str:
    secure = "; Secure" if config.cookie_is_secure else ""
    same_site = config.sessions.cookie.same_site.capitalize()
    return f"Path=/; HttpOnly{secure}; SameSite={same_site}"


def _sign_in(config: Config) -> SignInPages:
    page = config.sign_in
    return SignInPages(
        url=page.url,
        return_to=page.return_to,
        home=page.home or "/",
        no_tenant=page.no_tenant,
        step_up=page.step_up,
        public_origin=config.server.public_url,
        allowed_return_urls=page.allowed_return_urls,
    )


def _exempt_pages(
    page: str | None, config: Config, reasons: tuple[Reason, ...]
) -> tuple[ExemptPage, ...]:
    parts = urlsplit(page or "")
    elsewhere = f"{parts.scheme}://{parts.netloc}" != config.server.public_url
    if page is None or (parts.netloc and elsewhere):
        return ()
    if parts.query or not reasons:
        query = frozenset(parts.query.split("&")) if parts.query else frozenset()
        return (ExemptPage(path=parts.path, query=query),)
    # Without a query of its own the step-up page may well be the sign-in page:
    # only who comes with the reason that we gave is let in there signed in.
    return tuple(
        ExemptPage(path=parts.path, query=frozenset({f"reason={reason}"}))
        for reason in reasons
    )
