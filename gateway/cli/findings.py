"""What `gateway check` looks at beyond the file: routes, keys, certificates, Redis."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found: problems refuse the configuration, warnings do not."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


async def findings(loaded: LoadedConfig) -> Findings:
    """Compile everything as `gateway run` would, and ask what it lets in."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    try:
        table = routes_from(loaded)
    except ConfigError as error:
        problems += error.problems
    else:
        problems += _unreachable(loaded, table)
        warnings += _open_below(loaded, table)
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
    """Ask Redis, as a request would, and for what sessions depend on there."""
    found = loaded.config.redis.address
    if found is None:
        return Findings(problems=(), warnings=())
    address = replace(found, resolver=Resolver(build_dns(loaded.config), in_turn=False))
    timeout = loaded.config.redis.timeout
    try:
        profile = format_from(loaded)
    except ConfigError:
        profile = None  # told already
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
        away = f"Redis does not answer at {address}: {error}"
        problem = _at_redis(loaded, away, "--offline leaves this out")
        return Findings(problems=(problem,), warnings=())
    finally:
        await store.close()
    told = [
        (d.broken, _at_redis(loaded, f"Redis: {d.text}", d.hint))
        for d in store_warnings
    ]
    return Findings(
        problems=tuple(problem for broken, problem in told if broken),
        warnings=tuple(problem for broken, problem in told if not broken),
    )


def _at_redis(loaded: LoadedConfig, message: str, hint: str) -> Problem:
    line, column = loaded.where("redis", "url")
    return Problem(
        file=str(loaded.path), line=line, column=column, message=message, hint=hint
    )


def _unreachable(loaded: LoadedConfig, table: RouteTable) -> Iterator[Problem]:
    for route, why in table.unreachable():
        yield _at_route(loaded, route, f"this route can never match: {why}")


def _open_below(loaded: LoadedConfig, table: RouteTable) -> Iterator[Problem]:
    """Tell of public routes below a prefix that is otherwise closed.

    Below `/**` they are how one writes a list of what is open; that is not told.
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
            "the more specific route wins: everyone is let in here",
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
    """Follow the ways to sign-in and home: none may lead in a circle."""
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
            message = f"no route takes {path} at {host}"
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
                    f"nobody could sign in at {path}: it is {route.rule} by this route",
                    f"set sign_in.url, or add {{match: {path}, rule: auth-redirect}}",
                ),
            )


def _circle(key: str, route: Route) -> str:
    closed = route.rule in {Rule.PROTECTED, Rule.ADMIN_ONLY}
    where = f"{route.path} ({route.source})"
    if key == "home" and route.rule is Rule.AUTH_REDIRECT:
        return f"who is signed in would go in circles: auth-redirect by {where}"
    needs_tenant = route.require.tenant or route.require.tenant_roles
    if key == "no_tenant" and closed and needs_tenant:
        return f"who has no tenant would go in circles: {where} needs one"
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
