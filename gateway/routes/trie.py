"""Trie of path segments that finds the most specific route.

Segment by segment from the left, a literal goes before a {param}, and that before
a /**. So the tree is walked depth first, and the first leaf found is the answer:
the work depends on the length of the path and not on the number of routes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.routes.model import Route
from gateway.routes.pattern import HostPattern, PathPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A route with its patterns, read."""

    route: Route
    host: HostPattern
    path: PathPattern


@dataclass(slots=True)
class Leaf:
    """The routes of one host and path: by method, and the one for all others."""

    by_method: dict[str, Entry] = field(default_factory=dict)
    others: Entry | None = None
    passing: dict[str, Entry] = field(default_factory=dict)

    def add(self, entry: Entry) -> Entry | None:
        """Add a route, unless another has its place already: then give that."""
        methods = entry.route.methods
        if methods is None:
            if self.others is not None:
                return self.others
            self.others = entry
            return None
        for method in sorted(methods):
            if method in self.by_method:
                return self.by_method[method]
        for method in methods:
            self.by_method[method] = entry
            if entry.route.preflight_pass:
                self.passing[method] = entry
        return None

    def select(self, method: str, preflight_method: str | None) -> Entry | None:
        """Return the entry for a method: the one that lists it, else the one for any.

        The entry for GET also takes HEAD (RFC 9110, section 9.3.2). OPTIONS that no
        entry lists goes to one that forwards preflights: for the method that the
        preflight is about, if it is known.
        """
        found = self.by_method.get(method)
        if found is None and method == "HEAD":
            found = self.by_method.get("GET")
        if found is None and method == "OPTIONS" and self.passing:
            if preflight_method is not None:
                found = self.passing.get(preflight_method)
            elif self.others is None:
                found = self.passing[min(self.passing)]
        return found or self.others

    def allowed(self) -> tuple[str, ...]:
        """Return the methods for the Allow header of a 405."""
        methods = set(self.by_method)
        if "GET" in methods:
            methods.add("HEAD")
        if self.passing:
            methods.add("OPTIONS")
        return tuple(sorted(methods))

    def entries(self) -> list[Entry]:
        """Return each route once, those with methods first."""
        found = {entry.route.id: entry for entry in self.by_method.values()}
        ordered = [found[key] for key in sorted(found)]
        return ordered if self.others is None else [*ordered, self.others]


@dataclass(slots=True)
class Node:
    """What is known after some segments."""

    literals: dict[str, "Node"] = field(default_factory=dict)
    param: "Node | None" = None
    here: Leaf | None = None
    rest: Leaf | None = None

    def leaf(self, pattern: PathPattern) -> Leaf:
        """Return the leaf of a pattern, adding nodes as needed."""
        node = self
        for key in pattern.segments:
            if key is None:
                node.param = node.param or Node()
                node = node.param
            else:
                node = node.literals.setdefault(key, Node())
        if pattern.rest:
            node.rest = node.rest or Leaf()
            return node.rest
        node.here = node.here or Leaf()
        return node.here

    def find(self, keys: Sequence[str]) -> Leaf | None:
        """Find the most specific leaf for a path."""
        node, depth, end = self, 0, len(keys)
        # What is left to try when a branch ends: the most specific last.
        later: list[Leaf | tuple[Node, int]] = []
        while True:
            if depth == end:
                leaf = node.here or node.rest
                if leaf is not None:
                    return leaf
            else:
                key = keys[depth]
                depth += 1
                if node.rest is not None:
                    later.append(node.rest)
                if node.param is not None and key:
                    later.append((node.param, depth))
                child = node.literals.get(key)
                if child is not None:
                    node = child
                    continue
            if not later:
                return None
            top = later.pop()
            if isinstance(top, Leaf):
                return top
            node, depth = top

    def find_all(self, keys: Sequence[str], depth: int = 0) -> Iterator[Leaf]:
        """Find every leaf for a path, the most specific first, to explain."""
        if depth == len(keys):
            if self.here is not None:
                yield self.here
        else:
            key = keys[depth]
            if key in self.literals:
                yield from self.literals[key].find_all(keys, depth + 1)
            if self.param is not None and key:
                yield from self.param.find_all(keys, depth + 1)
        if self.rest is not None:
            yield self.rest
