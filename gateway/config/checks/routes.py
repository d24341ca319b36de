"""Checks of routes: rules, requirements, credentials, IDs, prefixes."""

from gateway.config.document import Loc
from gateway.config.partial import PartialConfig
from gateway.config.sections.routes import RouteConfig


def check_rules(partial: PartialConfig) -> None:
    """Check what a rule requires or excludes."""
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


def check_decided_only(partial: PartialConfig) -> None:
    """Check that a front proxy can ask about each route without an upstream."""
    if partial.config.server.authz is not None:
        return
    for loc, route in partial.routes:
        if route.upstream is None:
            partial.add_problem(
                (*loc, "upstream"),
                "a route without an upstream is for decisions, and server.authz is null",
                "set server.authz, or name an upstream",
            )


def check_ids(partial: PartialConfig) -> None:
    """Check that no two routes have the same ID."""
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


def check_prefixes(partial: PartialConfig) -> None:
    """Check that a route is below the prefix that its upstream strips."""
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
