"""What only the whole can tell: names that must exist, keys that exclude each other.

Each check takes the configuration and adds what it finds, at its place. When parts
of the file were faulty the checks run on the rest, so that all mistakes are told at
once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.document import Document, Loc
from gateway.config.schema import RouteConfig
from gateway.config.values import is_local
from gateway.config.whole import Whole
from gateway.config.wording import nearest
from gateway.sessions.redis.url import parse_redis_url


def check(whole: Whole) -> None:
    """Add every contradiction in the configuration to the document's problems."""
    for one in _CHECKS:
        one(whole)


def check_names(document: Document) -> None:
    """Add every name that leads nowhere; looks at the data, faulty or not."""
    data = document.data
    upstreams = _mapping(data.get("upstreams"))
    profiles = _mapping(_mapping(data.get("tokens")).get("profiles"))
    routes = data.get("routes")
    for at, route in enumerate(routes if isinstance(routes, tuple) else ()):
        loc: Loc = ("routes", at, "upstream")
        _check_name(document, route, loc, "upstream", upstreams)
    for name, upstream in upstreams.items():
        loc = ("upstreams", name, "token")
        _check_name(document, upstream, loc, "token profile", profiles)


def _check_name(
    document: Document, holder: Any, loc: Loc, what: str, known: Mapping[str, Any]
) -> None:
    name = _mapping(holder).get(str(loc[-1]))
    if isinstance(name, str) and name not in known:
        hint = nearest(name, tuple(known))
        document.complain(document.where(loc), f'there is no {what} "{name}"', hint)


def _rules(whole: Whole) -> None:
    for loc, route in whole.routes:
        if route.session == "ignore" and route.rule != "public":
            whole.complain(
                (*loc, "session"),
                f"session: ignore cannot stand on a route that is {route.rule}",
                "only a public route may ignore the session",
            )
        if route.rule == "admin-only" and not whole.config.roles.admin:
            whole.complain(
                (*loc, "rule"), "this route lets nobody in: roles.admin is empty"
            )
        if route.rule == "auth-redirect" and whole.config.sign_in.home is None:
            whole.complain(
                (*loc, "rule"), "auth-redirect needs sign_in.home to send people to"
            )
        _require(whole, (*loc, "require"), route)


def _require(whole: Whole, loc: Loc, route: RouteConfig) -> None:
    given = route.require.model_fields_set
    if given - {"networks"} and route.rule in {"public", "auth-redirect"}:
        whole.complain_key(
            loc,
            f"require narrows nothing on a route that is {route.rule}",
            "use protected or admin-only",
        )
    for key in sorted(given & {"roles", "tenant_roles", "networks"}):
        if not getattr(route.require, key):
            whole.complain(
                (*loc, key), "an empty list lets nobody in", "remove the key"
            )
    if route.require.tenant_roles and "tenant" in given and not route.require.tenant:
        whole.complain((*loc, "tenant"), "tenant_roles need a tenant", "write true")


def _ids(whole: Whole) -> None:
    taken: dict[str, int] = {}
    for loc, route in whole.routes:
        if route.id is None:
            continue
        line, _ = whole.document.where((*loc, "id"))
        if (first := taken.setdefault(route.id, line)) != line:
            whole.complain(
                (*loc, "id"),
                f'the id "{route.id}" is taken by the route of line {first}',
            )


def _prefixes(whole: Whole) -> None:
    for loc, route in whole.routes:
        upstream = whole.config.upstreams.get(route.upstream)
        prefix = upstream.strip_prefix if upstream else None
        path = route.match.path
        if prefix and path != prefix and not path.startswith(prefix + "/"):
            whole.complain(
                (*loc, "match"),
                f'upstream "{route.upstream}" strips {prefix}, and this path is not '
                "below it",
            )


def _cookie(whole: Whole) -> None:
    cookie = whole.config.sessions.cookie
    secure = whole.config.cookie_is_secure
    loc: Loc = ("sessions", "cookie")
    host = urlsplit(whole.config.server.public_url).hostname or ""
    if cookie.same_site == "none" and not secure:
        whole.complain(
            (*loc, "same_site"),
            "same_site: none needs a secure cookie",
            "set secure: true, or an https public_url",
        )
    ours = not whole.config.sessions.foreign
    if ours and cookie.name.startswith(("__Host-", "__Secure-")) and not secure:
        whole.complain(
            (*loc, "name"),
            "a name that begins with __Host- or __Secure- needs a secure cookie",
        )
    if cookie.name.startswith("__Host-") and cookie.domain:
        whole.complain((*loc, "domain"), "a __Host- cookie has no domain")
    if cookie.domain and not f".{host}".endswith(f".{cookie.domain}"):
        whole.complain(
            (*loc, "domain"),
            f"browsers refuse this domain: {host} of public_url is not below it",
        )


def _profiles(whole: Whole) -> None:
    name = whole.config.sessions.cookie.name
    taken = {name: "the session", f"__Host-{name}": "the session"}
    headers = whole.config.identity_headers
    ours = set() if isinstance(headers, str) else {_folded(one) for one in headers}
    for name, profile in whole.config.tokens.profiles.items():
        loc: Loc = ("tokens", "profiles", name)
        if profile.header is None and profile.cookie is None:
            whole.complain_key(
                loc,
                f'the token profile "{name}" goes nowhere',
                "give it a header or a cookie",
            )
        if profile.header is not None and _folded(profile.header) in ours:
            whole.complain(
                (*loc, "header"),
                f'the header "{profile.header}" is one of identity_headers already',
            )
        if profile.cookie is None:
            continue
        if profile.cookie in taken:
            whole.complain(
                (*loc, "cookie"),
                f'the cookie "{profile.cookie}" belongs to {taken[profile.cookie]}',
            )
        taken.setdefault(profile.cookie, f'the token profile "{name}"')


def _lifetimes(whole: Whole) -> None:
    sessions = whole.config.sessions
    for key in ("extend_within", "idle_timeout"):
        value = getattr(sessions, key)
        if value is not None and value >= sessions.lifespan:
            whole.complain(("sessions", key), f"{key} must be shorter than lifespan")


def _whose_sessions(whole: Whole) -> None:
    """Refuse what says nothing about sessions of this format."""
    written = _mapping(whole.document.data.get("sessions"))
    name = whole.config.sessions.format
    if written.get("format", "gateway") != name:
        return  # told about already
    for loc, why in (_OF_APPS if name == "gateway" else _OF_OURS).items():
        holder = written if len(loc) == 1 else _mapping(written.get(loc[0]))
        if holder.get(loc[-1]) is not None:
            whole.complain_key(
                ("sessions", *loc), f"{loc[-1]} says nothing with format: {name}", why
            )
    if name == "gateway":
        return
    for upstream, each in whole.config.upstreams.items():
        if each.may_sign_in:
            whole.complain(
                ("upstreams", upstream, "may_sign_in"),
                f"with format: {name} the app itself signs people in",
                "remove the key: the gateway reads the session that the app writes",
            )


def _listeners(whole: Whole) -> None:
    server = whole.config.server
    seen: set[str] = set()
    for at, address in enumerate(server.listen):
        if address in seen and not address.endswith(":0"):
            whole.complain(("server", "listen", at), "this address is listed twice")
        seen.add(address)
    if server.admin is None:
        return
    if server.admin in seen and not server.admin.endswith(":0"):
        whole.complain(
            ("server", "admin"), "the admin listener needs an address of its own"
        )
    token = server.admin_token.get_secret_value() if server.admin_token else ""
    if token.startswith("change-me") and not is_local(server.admin):
        whole.complain(
            ("server", "admin_token"),
            "everyone knows the token of the example, and the admin listener is not "
            "on a loopback address",
        )


def _redis(whole: Whole) -> None:
    redis = whole.config.redis
    address = redis.address
    for key in ("username", "password"):
        if getattr(redis, key) is None:
            continue
        if address is None:
            whole.complain_key(
                ("redis", key), f"{key} has no effect with url: embedded"
            )
        elif getattr(parse_redis_url(redis.url.get_secret_value()), key) is not None:
            whole.complain_key(("redis", key), f"redis.url holds a {key} already")


def _upstream_tls(whole: Whole) -> None:
    for name, upstream in whole.config.upstreams.items():
        if (tls := upstream.tls) is None:
            continue
        loc: Loc = ("upstreams", name, "tls")
        if not any(url.startswith("https:") for url in upstream.url):
            whole.complain_key(loc, "tls is for upstreams with an https:// url")
        if (tls.certificate is None) != (tls.key is None):
            whole.complain_key(loc, "certificate and key go together")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


# What cannot be said of whose sessions, and why.
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
    ("max_per_identity",): "the app decides how many sessions somebody may have",
    ("cookie", "persistent"): "the app sets its cookie",
}
_CHECKS: Final[Sequence[Callable[[Whole], None]]] = (
    _rules,
    _ids,
    _prefixes,
    _cookie,
    _profiles,
    _lifetimes,
    _whose_sessions,
    _listeners,
    _redis,
    _upstream_tls,
)
