"""One tree of paths per host, and diagnostics of invalid routes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from gateway.routes.model import Route
from gateway.routes.pattern import (
    BadPattern,
    HostKind,
    parse_host_pattern,
    parse_path_pattern,
)
from gateway.routes.trie import Entry, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDiagnostic:
    """Why a route cannot be in a table."""

    route: Route
    message: str
    hint: str = ""


@dataclass(slots=True)
class RouteIndex:
    """The routes that could be planted, and the faults of those that could not."""

    exact: dict[str, Node] = field(default_factory=dict)
    wildcard: dict[str, Node] = field(default_factory=dict)
    any_host: Node = field(default_factory=Node)
    entries: list[Entry] = field(default_factory=list)
    diagnostics: list[RouteDiagnostic] = field(default_factory=list)

    def roots(self, host: str) -> list[Node]:
        """Return the trees for a host, the most specific first."""
        roots = []
        if (root := self.exact.get(host)) is not None:
            roots.append(root)
        if self.wildcard:
            root = self.wildcard.get(host.partition(".")[2])
            if root is not None:
                roots.append(root)
        roots.append(self.any_host)
        return roots

    def root(self, entry: Entry) -> Node:
        """Return the tree of a route's host pattern."""
        match entry.host.kind:
            case HostKind.EXACT:
                return self.exact.setdefault(entry.host.name, Node())
            case HostKind.WILDCARD:
                return self.wildcard.setdefault(entry.host.name, Node())
            case HostKind.ANY:
                return self.any_host
            case _ as never:
                assert_never(never)


def build_index(routes: Iterable[Route]) -> RouteIndex:
    """Read the patterns of all routes, and put each where a request will find it."""
    index = RouteIndex()
    by_id: dict[str, Route] = {}
    for route in routes:
        host = parse_host_pattern(route.host)
        path = parse_path_pattern(route.path, route.path_allows)
        if isinstance(host, BadPattern):
            index.diagnostics.append(_bad(route, host))
        if isinstance(path, BadPattern):
            index.diagnostics.append(_bad(route, path))
        if isinstance(host, BadPattern) or isinstance(path, BadPattern):
            continue
        entry = Entry(route=route, host=host, path=path)
        rival = index.root(entry).leaf(path).add(entry)
        if rival is not None:
            index.diagnostics.append(_tie(route, rival.route))
            continue
        namesake = by_id.setdefault(route.id, route)
        if namesake is not route:
            index.diagnostics.append(_same_id(route, namesake))
            continue
        index.entries.append(entry)
    return index


def _bad(route: Route, pattern: BadPattern) -> RouteDiagnostic:
    return RouteDiagnostic(route=route, message=pattern.message, hint=pattern.hint)


def _tie(route: Route, rival: Route) -> RouteDiagnostic:
    shared = (route.methods or frozenset()) & (rival.methods or frozenset())
    what = (
        f"both take {', '.join(sorted(shared))}" if shared else "both take any method"
    )
    return RouteDiagnostic(
        route=route,
        message=f"the route conflicts with the one at {rival.source or rival.id}: "
        f"same host and path, and {what}",
        hint="order does not matter; make one of them more specific",
    )


def _same_id(route: Route, namesake: Route) -> RouteDiagnostic:
    return RouteDiagnostic(
        route=route,
        message=f'the id "{route.id}" is that of the route at '
        f"{namesake.source or namesake.path} too",
    )
