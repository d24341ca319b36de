"""Checks of `gateway check` beyond the file: routes, keys, certificates, Redis."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.build.dns import build_dns
from gateway.build.ring import build_ring
from gateway.build.routes import routes_from
from gateway.build.runtime import build_runtime
from gateway.build.session_format import format_from, format_warnings
from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError, Problem, StoreUnavailable
from gateway.net.resolver import Resolver
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, NoRoute, RouteTable
from gateway.server.tls import server_tls
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.store import RedisStore
from gateway.spine.local_paths import is_local


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Errors reject the configuration; warnings do not."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


async def findings(loaded: LoadedConfig) -> Findings:
    """Compile the configuration as `gateway run` does, and examine the routes."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    try:
        table = routes_from(loaded)
    except ConfigError as error:
        problems += error.problems
    else:
        problems += _unreachable(loaded, table)
        warnings += _open_below(loaded, table)
        warnings += _dead_ends(loaded, table)
        for refused, problem in _pages(loaded, table):
            (problems if refused else warnings).append(problem)
    problems += _certificate(loaded)
    try:
        ring = build_ring(loaded, now=time.time())
        runtime = build_runtime(loaded, ring=ring, ticks=time.monotonic)
        if runtime.rules.external is not None:
            warnings += format_warnings(loaded, runtime.rules.external)
        for application in runtime.applications.values():
            await application.upstream.close()
    except ConfigError as error:
        problems += (one for one in error.problems if one not in problems)
    return Findings(problems=tuple(problems), warnings=tuple(warnings))


async def redis_findings(loaded: LoadedConfig) -> Findings:
    """Query Redis, and examine the settings that sessions depend on."""
    found = loaded.config.redis.address
    if found is None:
        return Findings(problems=(), warnings=())
    address = replace(found, resolver=Resolver(build_dns(loaded.config), in_turn=False))
    timeout = loaded.config.redis.timeout
    try:
        profile = format_from(loaded)
    except ConfigError:
        profile = None  # reported by `findings`
    store: RedisStore | ExternalStore
    if profile is None:
        store = RedisStore(address, timeout=timeout)
    else:
        store = ExternalStore(address, timeout=timeout, remember=0)
    try:
        await store.ping()
        if isinstance(store, ExternalStore) and profile is not None:
            await store.probe(profile)
        store_warnings = await store.warnings()
    except StoreUnavailable as error:
        away = f"Redis at {address} is unavailable: {error}"
        hint = encoding_hint(loaded, error) or "--offline skips this check"
        problem = _at_redis(loaded, away, hint)
        return Findings(problems=(problem,), warnings=())
    finally:
        await store.close()
    found_there = [
        (d.broken, _at_redis(loaded, f"Redis: {d.text}", d.hint))
        for d in store_warnings
    ]
    return Findings(
        problems=tuple(problem for broken, problem in found_there if broken),
        warnings=tuple(problem for broken, problem in found_there if not broken),
    )


def encoding_hint(loaded: LoadedConfig, error: StoreUnavailable) -> str:
    """Return what to do if Redis rejects a password that the URL may spell wrongly."""
    url = loaded.config.redis.url.get_secret_value()
    rejected = any(sign in str(error) for sign in _REJECTED)
    if not (rejected and "@" in url):
        return ""
    if "%" in url:
        return (
            "% begins an escape in a URL: percent-encode the password (% as %25), or "
            "write it as redis.password"
        )
    return "percent-encode the password in the URL, or write it as redis.password"


_REJECTED = ("WRONGPASS", "NOAUTH", "invalid username-password", "AuthenticationError")


def _at_redis(loaded: LoadedConfig, message: str, hint: str) -> Problem:
    line, column = loaded.where("redis", "url")
    return Problem(
        file=str(loaded.path), line=line, column=column, message=message, hint=hint
    )


def _unreachable(loaded: LoadedConfig, table: RouteTable) -> Iterator[Problem]:
    for route, why in table.unreachable():
        yield _at_route(loaded, route, f"this route can never match: {why}")


def _open_below(loaded: LoadedConfig, table: RouteTable) -> Iterator[Problem]:
    """Warn about public routes below a closed prefix.

    Not below `/**`: there, public routes are the usual way to list open paths.
    """
    closed = [
        route
        for route in table.routes
        if route.rule in {Rule.PROTECTED, Rule.ADMIN_ONLY}
        and route.path.endswith("/**")
        and route.path != "/**"
    ]
    for route in table.routes:
        if route.rule is not Rule.PUBLIC:
            continue
        around = [one for one in closed if _is_below(route, one)]
        if not around:
            continue
        nearest = max(around, key=lambda one: len(one.path))
        yield _at_route(
            loaded,
            route,
            f"{route.path} is public below {nearest.path}, which is {nearest.rule} "
            f"({nearest.source})",
            "the more specific route wins, so this path is open to everyone",
        )


def _is_below(route: Route, closed: Route) -> bool:
    if closed.host is not None and closed.host != route.host:
        return False
    wanted = closed.path.split("/")[1:-1]
    have = route.path.split("/")[1:]
    return len(have) >= len(wanted) and all(
        mine == theirs or theirs.startswith("{")
        for mine, theirs in zip(have, wanted, strict=False)
    )


def _pages(loaded: LoadedConfig, table: RouteTable) -> Iterator[tuple[bool, Problem]]:
    """Check the sign-in and home pages for redirect loops."""
    config = loaded.config
    pages = config.sign_in
    for key, target in (
        ("url", pages.url),
        ("home", pages.home),
        ("no_tenant", pages.no_tenant),
    ):
        if (
            target is None
            or (path := _own_path(target, config.server.public_url)) is None
        ):
            continue
        host = urlsplit(config.server.public_url).hostname or ""
        found = table.match("GET", host, path)
        if isinstance(found, NoRoute):
            message = f"no route matches {path} on {host}"
            if key == "url" and _needs_sign_in(table):
                yield False, loaded.problem(message, "sign_in", key)
            continue
        if not isinstance(found, Match):
            continue
        if objection := _circle(key, found.route):
            yield True, loaded.problem(objection, "sign_in", key)
        elif key == "url" and found.route.rule in {Rule.PROTECTED, Rule.ADMIN_ONLY}:
            # Not refused: sessions may come from elsewhere than this page.
            route = found.route
            yield (
                False,
                _at_route(
                    loaded,
                    route,
                    f"users cannot sign in at {path}: this route makes it {route.rule}",
                    f"set sign_in.url, or add {{match: {path}, rule: auth-redirect}}",
                ),
            )


def _dead_ends(loaded: LoadedConfig, table: RouteTable) -> Iterator[Problem]:
    """Warn about hosts on which the sign-in page itself requires a session."""
    target = loaded.config.sign_in.url
    if not target.startswith("/"):
        return
    path = target.partition("?")[0].partition("#")[0]
    if is_local(path):
        return
    public = urlsplit(loaded.config.server.public_url).hostname or ""
    closed = {Rule.PROTECTED, Rule.ADMIN_ONLY}
    hosts = {
        route.host for route in table.routes if route.host and route.rule in closed
    }
    for host in sorted(hosts - {public}):
        found = table.match("GET", _example_of(host), path)
        if isinstance(found, Match) and found.route.rule in closed:
            yield _at_route(
                loaded,
                found.route,
                f"users cannot sign in on {host}: {path} is {found.route.rule} there",
                f"set sign_in.url to a URL of the host with the sign-in page, or add "
                f"{{match: {{host: {host}, path: {path}}}, rule: auth-redirect}}",
            )


def _example_of(host: str) -> str:
    return re.sub(r"^(\*|{[^}]*})", "any", host)


def _circle(key: str, route: Route) -> str:
    closed = route.rule in {Rule.PROTECTED, Rule.ADMIN_ONLY}
    where = f"{route.path} ({route.source})"
    if key == "home" and route.rule is Rule.AUTH_REDIRECT:
        return f"redirect loop for signed-in users: {where} is auth-redirect"
    needs_tenant = route.require.tenant or route.require.tenant_roles
    if key == "no_tenant" and closed and needs_tenant:
        return f"redirect loop for users without a tenant: {where} requires one"
    return ""


def _needs_sign_in(table: RouteTable) -> bool:
    return any(
        route.rule in {Rule.PROTECTED, Rule.ADMIN_ONLY} for route in table.routes
    )


def _own_path(target: str, public_url: str) -> str | None:
    if not target.startswith("/"):
        if not target.lower().startswith(public_url + "/"):
            return None
        target = target[len(public_url) :]
    return target.partition("?")[0].partition("#")[0]


def _certificate(loaded: LoadedConfig) -> Iterator[Problem]:
    try:
        server_tls(loaded)
    except ConfigError as error:
        yield from error.problems


def _at_route(
    loaded: LoadedConfig, route: Route, message: str, hint: str = ""
) -> Problem:
    line = int(route.source.rpartition(":")[2])
    for at in range(len(loaded.config.routes)):
        if loaded.where("routes", at)[0] == line:
            return loaded.problem(message, "routes", at, "match", hint=hint)
    return loaded.problem(message, "routes", hint=hint)
