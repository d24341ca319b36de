"""The route table: the most specific route wins; order in the file is irrelevant.

An exact host goes before a wildcard one, that before any; then the paths are
compared segment by segment; then who names the method goes before who takes any.
Host and path decide first: where they have routes, but none for the method, that
is a 405, and no less specific route is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.errors import ConfigError, Problem
from gateway.http.memo import Memo
from gateway.http.target import segment_key
from gateway.routes.index import RouteDiagnostic, build_index
from gateway.routes.model import Route
from gateway.routes.pattern import HostKind
from gateway.routes.trie import Entry

OWN_SEGMENT: Final = ".gateway"
"""The gateway answers below this itself, before any route is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The route of a request."""

    route: Route


@dataclass(frozen=True, slots=True)
class NoRoute:
    """No route has this host and path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodNotAllowed:
    """The host and path have routes, for other methods: `allowed`, sorted."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A route that has the host and path of a request: why it won, or did not."""

    route: Route
    won: bool
    why: str


RouteQuery: TypeAlias = tuple[str, str, str, str | None]
"""Method, host, path, and the method that a CORS preflight requests."""

_REMEMBERED: Final = 4096
_CHARACTERS: Final = 256
"""Questions that are remembered, and their length: a matched path has no query, so those
of most applications are few."""


class RouteTable:
    """Routes that do not tie, ready to be matched.

    `routes` are all of them, the more specific before the less.

    Raises:
        ConfigError: two routes tie or share an id, or a pattern can match nothing.
    """

    __slots__ = ("_found", "_index", "_matches", "routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._index = build_index(routes)
        if self._index.diagnostics:
            raise ConfigError(
                [_problem(diagnostic) for diagnostic in self._index.diagnostics]
            )
        entries = sorted(self._index.entries, key=_specificity)
        self.routes = tuple(entry.route for entry in entries)
        self._matches = {route.id: Match(route=route) for route in self.routes}
        self._found: Memo[RouteQuery, Match | NoRoute | MethodNotAllowed] = Memo(
            self._find, entries=_REMEMBERED, longest=_CHARACTERS, size=_size
        )

    def match(
        self, method: str, host: str, path: str, preflight_method: str | None = None
    ) -> Match | NoRoute | MethodNotAllowed:
        """Find the route of a request with a canonical host and a canonical path.

        `preflight_method` is what a CORS preflight asks for, if this is one.
        """
        return self._found[method, host, path, preflight_method]

    def _find(self, query: RouteQuery) -> Match | NoRoute | MethodNotAllowed:
        method, host, path, preflight_method = query
        segments = path.split("/")[1:]
        keys = segments if "%" not in path else [segment_key(s) for s in segments]
        for root in self._index.roots(host):
            leaf = root.find(keys)
            if leaf is not None:
                break
        else:
            return _NO_ROUTE
        entry = leaf.select(method, preflight_method)
        if entry is None:
            return MethodNotAllowed(allowed=leaf.allowed())
        return self._matches[entry.route.id]

    def has_host(self, host: str) -> bool:
        """Return whether any route matches this host."""
        return any(
            entry.host.kind is HostKind.ANY for entry in self._index.entries
        ) or any(root is not self._index.any_host for root in self._index.roots(host))

    def explain(
        self, method: str, host: str, path: str, preflight_method: str | None = None
    ) -> tuple[Candidate, ...]:
        """List every route that has the host and path, the winner first if any."""
        keys = [segment_key(segment) for segment in path.split("/")[1:]]
        leaves = [
            leaf for root in self._index.roots(host) for leaf in root.find_all(keys)
        ]
        if not leaves:
            return ()
        winner = leaves[0].select(method, preflight_method)
        nearest = leaves[0].entries()
        rivals = [entry for leaf in leaves for entry in leaf.entries()]
        if winner is not None:
            rivals.remove(winner)
        lost = [
            Candidate(
                route=rival.route,
                won=False,
                why=_why_not_its_method(rival, method)
                if rival in nearest
                else _why_less_specific(rival, nearest[0]),
            )
            for rival in rivals
        ]
        if winner is None:
            return tuple(lost)
        why = "the most specific host and path" + (
            "" if winner.route.methods is None else f", and it takes {method}"
        )
        return (Candidate(route=winner.route, won=True, why=why), *lost)

    def unreachable(self) -> tuple[tuple[Route, str], ...]:
        """Yield the routes that can never match, and why."""
        why = f"the gateway itself answers everything below /{OWN_SEGMENT}"
        return tuple(
            (entry.route, why)
            for entry in self._index.entries
            if entry.path.segments[:1] == (OWN_SEGMENT,)
        )


_NO_ROUTE: Final = NoRoute()


def _size(query: RouteQuery) -> int:
    return sum(len(text) for text in query if text is not None)


def _specificity(entry: Entry) -> tuple[object, ...]:
    shape = [(1, "") if key is None else (0, key) for key in entry.path.segments]
    methods = entry.route.methods
    return (
        entry.host.kind,
        entry.host.name,
        [*shape, (2, "")] if entry.path.rest else shape,
        methods is None,
        sorted(methods or ()),
    )


def _why_less_specific(loser: Entry, winner: Entry) -> str:
    if loser.host.kind != winner.host.kind:
        return "another route names the host more exactly"
    for at, key in enumerate(winner.path.segments):
        if at >= len(loser.path.segments):
            return f"its /** begins earlier, at segment {at + 1}"
        if key != loser.path.segments[at]:
            return f"another route says segment {at + 1} literally"
    return "its /** goes further than the other route"


def _why_not_its_method(loser: Entry, method: str) -> str:
    if loser.route.methods is None:
        return f"another route for this path names {method}"
    return f"takes {', '.join(sorted(loser.route.methods))}, not {method}"


def _problem(diagnostic: RouteDiagnostic) -> Problem:
    file, _, line = diagnostic.route.source.rpartition(":")
    known = line.isascii() and line.isdigit()
    return Problem(
        file=file if known else diagnostic.route.source or diagnostic.route.id,
        line=int(line) if known else 0,
        column=1 if known else 0,
        message=diagnostic.message,
        hint=diagnostic.hint,
    )
