"""Build the pure decision rules: no keys, no connections."""

import re
from collections.abc import Callable
from math import inf
from urllib.parse import urlsplit

from gateway.build.providers import accepted_issuers
from gateway.build.routes import routes_from
from gateway.build.upstreams import (
    build_view,
    build_view_without_upstream,
    view_of,
)
from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.decision import ExemptPage, Policy, checks_of
from gateway.oidc.access_token import AccessTokens
from gateway.reasons import Reason
from gateway.routes.table import RouteTable
from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.cookie import CookieSpec, cookie_spec
from gateway.sessions.end_word import end_cookies, forget_end
from gateway.sessions.formats.profile import Profile
from gateway.spine.answers import Answers
from gateway.spine.local_paths import WELL_KNOWN_JWKS
from gateway.spine.ruleset import RoutePlan, Ruleset, TokenCookie, TokenIssuer
from gateway.spine.sign_in_pages import STRONGER, SignInPages
from gateway.tenants import Source, from_header, from_host, from_path, from_session


def build_rules(
    loaded: LoadedConfig,
    *,
    external: Profile | None,
    issuer: TokenIssuer,
    access_tokens: AccessTokens | None = None,
) -> Ruleset:
    """Compile what decides about requests; opens nothing and needs no key.

    Args:
        loaded: the configuration.
        external: compiled session format; None if the gateway writes the sessions.
        issuer: signs the tokens.
        access_tokens: opens those of providers; None: an explanation shows none.

    Raises:
        ConfigError: routes tie.
    """
    config = loaded.config
    routes = routes_from(loaded)
    cookie = build_cookie(config, external)
    token_cookies = build_token_cookies(config)
    return Ruleset(
        routes=routes,
        plans=_plans(config, routes, cookie),
        policy=build_policy(config),
        tenant_sources=build_tenant_sources(config),
        cookie=cookie,
        cookie_name=cookie.wire_name,
        external=external,
        lifetimes=build_lifetimes(config),
        issuer=issuer,
        answers=Answers(sign_in=_sign_in(config), realm=public_host(config)),
        token_cookies=token_cookies,
        clear_cookies=(
            cookie.clear_cookie(),
            *(each.clear() for each in token_cookies.values()),
        ),
        end_cookies=end_cookies(cookie),
        forget_end=forget_end(cookie),
        owns_jwks=owns_jwks(routes),
        access_tokens=access_tokens,
        refresh={
            name: provider.refresh
            for name, provider in config.sign_in.providers.items()
            if provider.refresh is not None
        },
        token_issuers=accepted_issuers(config),
        page_origins=frozenset(map(_as_browsers_send, config.server.cors_origins)),
        browser_profiles=frozenset(
            name for name, each in config.tokens.profiles.items() if each.browser
        ),
    )


def _plans(
    config: Config, table: RouteTable, cookie: CookieSpec
) -> dict[str, RoutePlan]:
    """Return for each route what does not depend on the request."""
    views = {
        name: build_view(config, name, upstream, cookie)
        for name, upstream in config.upstreams.items()
    }
    only_decided = build_view_without_upstream(config, cookie)
    return {
        route.id: RoutePlan(
            route=route,
            checks=checks_of(route),
            view=view_of(
                route,
                only_decided if route.upstream is None else views[route.upstream],
            ),
        )
        for route in table.routes
    }


def build_policy(config: Config) -> Policy:
    """Compile what the decision takes in addition to the route."""
    return Policy(
        admin_roles=frozenset(config.roles.admin),
        public_origin=config.server.public_url,
        exempt_pages=(
            *_exempt_pages(config.sign_in.step_up, config, STRONGER),
            *_exempt_pages(config.sign_in.no_tenant, config, ()),
        ),
    )


def build_lifetimes(config: Config) -> LifetimePolicy:
    """Compile how long sessions live."""
    sessions = config.sessions
    if sessions.external:
        return LifetimePolicy(lifespan=inf, by_app=True)
    return LifetimePolicy(
        lifespan=sessions.lifespan,
        idle_timeout=sessions.idle_timeout,
        extend_within=sessions.extend_within,
    )


def build_cookie(config: Config, external: Profile | None) -> CookieSpec:
    """Compile how the session cookie is called, and set or cleared.

    An app's cookie has exactly the name that its profile says.
    """
    cookie = config.sessions.cookie
    if external is not None:
        name = external.cookie_name.decode("ascii")
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


def build_token_cookies(config: Config) -> dict[str, TokenCookie]:
    """Compile the cookies that carry tokens, by token profile."""
    attributes = _token_cookie_attributes(config)
    return {
        name: TokenCookie(name=profile.cookie.encode("ascii"), attributes=attributes)
        for name, profile in config.tokens.profiles.items()
        if profile.cookie is not None
    }


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


def owns_jwks(routes: RouteTable) -> bool:
    """Return whether the gateway serves the JWK Set: no route matches its path."""
    claims = {WELL_KNOWN_JWKS, "/.well-known/**"}
    return all(route.path not in claims for route in routes.routes)


def public_host(config: Config) -> str:
    """Return the host of `server.public_url`."""
    return urlsplit(config.server.public_url).hostname or "gateway"


def _as_browsers_send(origin: str) -> str:
    """Return an origin without the default port of its scheme (HTML, section 7.1.1)."""
    default = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(default)


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
        route_origins=_route_origins(config),
    )


def _route_origins(config: Config) -> tuple[str, ...]:
    """Return the origins of the hosts that routes name, with the public scheme and port."""
    public = urlsplit(config.server.public_url)
    port = "" if public.port is None else f":{public.port}"
    hosts = {route.match.host for route in config.routes} - {None}
    return tuple(
        f"{public.scheme}://{re.sub(r'^{[^}]*}', '*', host)}{port}"
        for host in sorted(filter(None, hosts))
    )


def _exempt_pages(
    page: str | None, config: Config, reasons: tuple[Reason, ...]
) -> tuple[ExemptPage, ...]:
    if page is None:
        return ()
    parts = urlsplit(page)
    here = f"{parts.scheme}://{parts.netloc}" == config.server.public_url
    host = None if here or not parts.netloc else parts.hostname
    if parts.query or not reasons:
        query = frozenset(parts.query.split("&")) if parts.query else frozenset()
        return (ExemptPage(path=parts.path, query=query, host=host),)
    # Without a query of its own the step-up page may well be the sign-in page:
    # a signed-in user reaches it only with the reason that the gateway added.
    return tuple(
        ExemptPage(path=parts.path, query=frozenset({f"reason={reason}"}), host=host)
        for reason in reasons
    )
