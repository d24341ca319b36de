"""Checks across the whole configuration: references and conflicting keys.

Each check takes the configuration and adds what it finds, at its place. When parts
of the file were faulty the checks run on the rest, so that all errors are reported
at once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.document import Document, Loc
from gateway.config.partial import PartialConfig
from gateway.config.sections.providers import ProviderConfig
from gateway.config.sections.routes import RouteConfig
from gateway.config.token_checks import check_tokens
from gateway.config.values import is_local, is_loopback, split_listen
from gateway.config.wording import nearest
from gateway.oidc.claims import always_differ, parse_claim_text
from gateway.sessions.redis.url import parse_redis_url

_LEAST_REFRESH: Final = 30.0


def check(partial: PartialConfig) -> None:
    """Add every contradiction in the configuration to the document's problems."""
    for one in _CHECKS:
        one(partial)


def check_names(document: Document) -> None:
    """Add every name that leads nowhere; looks at the data, faulty or not."""
    data = document.data
    upstreams = _mapping(data.get("upstreams"))
    profiles = _mapping(_mapping(data.get("tokens")).get("profiles"))
    providers = _mapping(_mapping(data.get("sign_in")).get("providers"))
    if data.get("upstreams") is not None:  # else that is the mistake
        _check_upstreams(document, data.get("routes"), upstreams)
    for name, upstream in upstreams.items():
        loc: Loc = ("upstreams", name, "token")
        _check_name(document, upstream, loc, "token profile", profiles)
        token = _mapping(upstream).get("token")
        _check_name(document, token, (*loc, "provider"), "provider", providers)
        for index, each in enumerate(token if isinstance(token, tuple) else ()):
            holder = {str(index): each}
            _check_name(document, holder, (*loc, index), "token profile", profiles)


def _check_upstreams(document: Document, routes: Any, known: Mapping[str, Any]) -> None:
    """Add each unknown name once, at the first route that has it."""
    first: dict[str, int] = {}
    more: Counter[str] = Counter()
    for at, route in enumerate(routes if isinstance(routes, tuple) else ()):
        name = _mapping(route).get("upstream")
        if not isinstance(name, str) or name in known:
            continue
        if name in first:
            more[name] += 1
        else:
            first[name] = at
    for name, at in first.items():
        hints = [nearest(name, tuple(known))]
        if count := more[name]:
            hints.append(f"{count} more route{'s' * (count != 1)} name it")
        document.add_problem(
            document.where(("routes", at, "upstream")),
            f'there is no upstream "{name}"',
            "; ".join(filter(None, hints)),
        )


def _check_name(
    document: Document, holder: Any, loc: Loc, what: str, known: Mapping[str, Any]
) -> None:
    name = _mapping(holder).get(str(loc[-1]))
    if isinstance(name, str) and name not in known:
        hint = nearest(name, tuple(known))
        document.add_problem(document.where(loc), f'there is no {what} "{name}"', hint)


def _rules(partial: PartialConfig) -> None:
    for loc, route in partial.routes:
        if route.session == "ignore" and route.rule != "public":
            partial.add_problem(
                (*loc, "session"),
                f"session: ignore is not allowed on a route that is {route.rule}",
                "it is allowed on public routes only",
            )
        if route.rule == "admin-only" and not partial.config.roles.admin:
            partial.add_problem(
                (*loc, "rule"), "every request is denied: roles.admin is empty"
            )
        if route.rule == "auth-redirect" and partial.config.sign_in.home is None:
            partial.add_problem((*loc, "rule"), "auth-redirect requires sign_in.home")
        _require(partial, (*loc, "require"), route)
        _credentials(partial, loc, route)


def _credentials(partial: PartialConfig, loc: Loc, route: RouteConfig) -> None:
    given = set(route.credentials)
    if len(given) < len(route.credentials):
        partial.add_problem((*loc, "credentials"), "a credential is listed twice")
    if given == {"cookie"}:
        return
    if route.rule == "auth-redirect" or route.session == "ignore":
        key = "session: ignore" if route.session == "ignore" else route.rule
        partial.add_problem(
            (*loc, "credentials"),
            f"a route that is {key} takes no access token",
            "remove credentials",
        )
    strict = route.require.aal is not None or route.require.authenticated_within
    if strict and "cookie" not in given:
        partial.add_problem(
            (*loc, "credentials"),
            "every request is denied: an access token has no aal and no recent sign-in",
            "add cookie, or remove aal and authenticated_within",
        )


def _require(partial: PartialConfig, loc: Loc, route: RouteConfig) -> None:
    given = route.require.model_fields_set
    if given - {"networks"} and route.rule in {"public", "auth-redirect"}:
        partial.add_problem_at_key(
            loc,
            f"require has no effect on a route that is {route.rule}",
            "use protected or admin-only",
        )
    for key in sorted(given & {"roles", "tenant_roles", "networks"}):
        if not getattr(route.require, key):
            partial.add_problem(
                (*loc, key), "an empty list denies every request", "remove the key"
            )
    if route.require.tenant_roles and "tenant" in given and not route.require.tenant:
        partial.add_problem(
            (*loc, "tenant"), "tenant_roles requires a tenant", "write true"
        )


def _only_decided(partial: PartialConfig) -> None:
    """Report routes without an upstream that no front proxy can ask about."""
    if partial.config.server.authz is not None:
        return
    for loc, route in partial.routes:
        if route.upstream is None:
            partial.add_problem(
                (*loc, "upstream"),
                "a route without an upstream is for decisions, and server.authz is null",
                "set server.authz, or name an upstream",
            )


def _ids(partial: PartialConfig) -> None:
    taken: dict[str, int] = {}
    for loc, route in partial.routes:
        if route.id is None:
            continue
        line, _ = partial.document.where((*loc, "id"))
        if (first := taken.setdefault(route.id, line)) != line:
            partial.add_problem(
                (*loc, "id"),
                f'the id "{route.id}" is already used by the route on line {first}',
            )


def _prefixes(partial: PartialConfig) -> None:
    for loc, route in partial.routes:
        upstream = partial.config.upstreams.get(route.upstream or "")
        prefix = upstream.strip_prefix if upstream else None
        path = route.match.path
        if prefix and path != prefix and not path.startswith(prefix + "/"):
            partial.add_problem(
                (*loc, "match"),
                f'upstream "{route.upstream}" strips {prefix}, and this path is not '
                "below it",
            )


def _cookie(partial: PartialConfig) -> None:
    cookie = partial.config.sessions.cookie
    secure = partial.config.cookie_is_secure
    loc: Loc = ("sessions", "cookie")
    host = urlsplit(partial.config.server.public_url).hostname or ""
    if cookie.same_site == "none" and not secure:
        partial.add_problem(
            (*loc, "same_site"),
            "same_site: none requires a secure cookie",
            "set secure: true, or an https public_url",
        )
    ours = not partial.config.sessions.external
    if ours and cookie.name.startswith(("__Host-", "__Secure-")) and not secure:
        partial.add_problem(
            (*loc, "name"),
            "a name with the prefix __Host- or __Secure- requires a secure cookie",
        )
    if cookie.name.startswith("__Host-") and cookie.domain:
        partial.add_problem((*loc, "domain"), "a __Host- cookie must not have a domain")
    if cookie.domain and not f".{host}".endswith(f".{cookie.domain}"):
        partial.add_problem(
            (*loc, "domain"),
            f"browsers reject this domain: {host} of public_url is not below it",
        )


def _lifetimes(partial: PartialConfig) -> None:
    sessions = partial.config.sessions
    for key in ("extend_within", "idle_timeout"):
        value = getattr(sessions, key)
        if value is not None and value >= sessions.lifespan:
            partial.add_problem(
                ("sessions", key), f"{key} must be shorter than lifespan"
            )


def _whose_sessions(partial: PartialConfig) -> None:
    """Report keys that have no effect with this session format."""
    written = _mapping(partial.document.data.get("sessions"))
    name = partial.config.sessions.format
    if written.get("format", "gateway") != name:
        return  # reported already
    for loc, why in (_OF_APPS if name == "gateway" else _OF_OURS).items():
        holder = written if len(loc) == 1 else _mapping(written.get(loc[0]))
        if holder.get(loc[-1]) is not None:
            partial.add_problem_at_key(
                ("sessions", *loc), f"{loc[-1]} has no effect with format: {name}", why
            )
    if name == "gateway":
        return
    for upstream, each in partial.config.upstreams.items():
        if each.may_sign_in:
            partial.add_problem(
                ("upstreams", upstream, "may_sign_in"),
                f"with format: {name} the app signs users in",
                "remove the key; the gateway reads the app's sessions",
            )


def _listeners(partial: PartialConfig) -> None:
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


def _redis(partial: PartialConfig) -> None:
    redis = partial.config.redis
    address = redis.address
    for key in ("username", "password"):
        if getattr(redis, key) is None:
            continue
        if address is None:
            partial.add_problem_at_key(
                ("redis", key), f"{key} has no effect with url: embedded"
            )
        elif getattr(parse_redis_url(redis.url.get_secret_value()), key) is not None:
            partial.add_problem_at_key(
                ("redis", key), f"redis.url already contains a {key}"
            )


def _own_listeners(partial: PartialConfig) -> None:
    """Report an upstream that is a listener of this gateway: each request would loop."""
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
            local = is_loopback(host) and any(map(_takes_loopback, hosts))
            if url in given or host in hosts or local:
                partial.add_problem(
                    ("upstreams", name, "url"),
                    "this is a listener of the gateway itself",
                    "use the address of the app",
                )


def _takes_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified or is_loopback(host)
    except ValueError:
        return is_loopback(host)


def _providers(partial: PartialConfig) -> None:
    providers = partial.config.sign_in.providers
    if providers and partial.config.sessions.external:
        partial.add_problem_at_key(
            ("sign_in", "providers"),
            "providers require sessions of the gateway",
            "remove sessions.format, or let the app sign users in",
        )
    ids = [each.id for each in partial.config.sign_in.encryption_keys]
    if len(ids) > len(set(ids)):
        partial.add_problem(("sign_in", "encryption_keys"), "two keys have the same id")
    for name, provider in providers.items():
        loc: Loc = ("sign_in", "providers", name)
        if "openid" not in provider.scopes:
            partial.add_problem((*loc, "scopes"), "openid is not one of the scopes")
        if provider.allow.roles and provider.identity.roles is None:
            partial.add_problem(
                (*loc, "allow", "roles"),
                "every sign-in is denied: identity.roles is not set",
            )
        if provider.client_secret is None and provider.client_authentication:
            partial.add_problem(
                (*loc, "client_authentication"), "there is no client_secret to send"
            )
        _renewal(partial, loc, provider)
        if provider.client_key is not None and provider.client_secret is not None:
            partial.add_problem_at_key(
                (*loc, "client_key"),
                "the client has a secret, too",
                "remove one of them",
            )
        levels = [acr for values in provider.aal.values() for acr in values]
        if len(levels) > len(set(levels)):
            partial.add_problem((*loc, "aal"), "an acr value has two levels")
    _identity_ids(partial)


def _identity_ids(partial: PartialConfig) -> None:
    """Two users of different providers never have the same identity ID."""
    ends: list[tuple[str, str]] = []
    for name, provider in partial.config.sign_in.providers.items():
        text = parse_claim_text(provider.identity.id)
        if not text.claims:
            partial.add_problem(
                ("sign_in", "providers", name, "identity", "id"),
                "every user would get the same identity ID",
                "name a claim, such as {sub}",
            )
        mine = text.ends(name)
        if not all(always_differ(mine, each) for each in ends):
            partial.add_problem_at_key(
                ("sign_in", "providers", name, "identity"),
                "two users of different providers could get the same identity ID",
                'write id: "{provider}:{sub}"',
            )
        ends.append(mine)


def _provider_tokens(partial: PartialConfig) -> None:
    providers = partial.config.sign_in.providers
    for name, upstream in partial.config.upstreams.items():
        provider = providers.get(upstream.provider or "")
        if provider is not None and provider.refresh is None:
            partial.add_problem(
                ("upstreams", name, "token"),
                f"the access token of {upstream.provider} would expire: it has no refresh",
                "set refresh: 15m at the provider",
            )


def _renewal(partial: PartialConfig, loc: Loc, provider: ProviderConfig) -> None:
    if provider.refresh is None:
        return
    if not partial.config.sign_in.encryption_keys:
        partial.add_problem(
            (*loc, "refresh"),
            "refresh requires sign_in.encryption_keys",
            "write encryption_keys: [{id: k1, key: ${file:/run/secrets/tokens}}]",
        )
    if provider.refresh < _LEAST_REFRESH:
        partial.add_problem(
            (*loc, "refresh"),
            "each session would call the provider more than once in half a minute",
            "use 30s or more",
        )


def _upstream_tls(partial: PartialConfig) -> None:
    for name, upstream in partial.config.upstreams.items():
        if (tls := upstream.tls) is None:
            continue
        loc: Loc = ("upstreams", name, "tls")
        if not any(url.startswith("https:") for url in upstream.url):
            partial.add_problem_at_key(loc, "tls requires an https:// url")
        if (tls.certificate is None) != (tls.key is None):
            partial.add_problem_at_key(loc, "certificate and key must both be set")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# The keys that do not apply to one owner's sessions, and why.
_BY_APP: Final = "it is for sessions that an app writes"
_OF_APPS: Final[Mapping[tuple[str, ...], str]] = {
    ("secrets",): _BY_APP,
    ("key_prefix",): _BY_APP,
    ("profile",): _BY_APP,
    ("allow_pickle",): _BY_APP,
    ("remember_ended",): _BY_APP,
    ("cookie", "value"): _BY_APP,
}
_APP_DECIDES: Final = "the app decides how long its sessions live"
_OF_OURS: Final[Mapping[tuple[str, ...], str]] = {
    ("lifespan",): _APP_DECIDES,
    ("idle_timeout",): _APP_DECIDES,
    ("extend_within",): _APP_DECIDES,
    ("max_per_identity",): "the app decides how many sessions an identity may have",
    ("cookie", "persistent"): "the app sets its cookie",
}
_CHECKS: Final[Sequence[Callable[[PartialConfig], None]]] = (
    _rules,
    _only_decided,
    _ids,
    _prefixes,
    _cookie,
    check_tokens,
    _lifetimes,
    _whose_sessions,
    _listeners,
    _redis,
    _upstream_tls,
    _own_listeners,
    _providers,
    _provider_tokens,
)
