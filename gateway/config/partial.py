"""The valid rest of a configuration that has errors, for further checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.document import Document, Loc
from gateway.config.schema import Config
from gateway.config.sections.routes import RouteConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialConfig:
    """The configuration, the file, and the place in the file of each route."""

    config: Config
    document: Document
    places: tuple[int, ...]

    @property
    def routes(self) -> list[tuple[Loc, RouteConfig]]:
        """Each route that was kept, with its place."""
        pairs = zip(self.places, self.config.routes, strict=False)
        return [(("routes", at), route) for at, route in pairs]

    def add_problem(self, loc: Loc, message: str, hint: str = "") -> None:
        """Add a problem at a value."""
        self.document.add_problem(self.document.where(loc), message, hint)

    def add_problem_at_key(self, loc: Loc, message: str, hint: str = "") -> None:
        """Add a problem at a key."""
        self.document.add_problem(self.document.where_key(loc), message, hint)


def without(
    data: Mapping[str, Any], faults: Sequence[Loc]
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the data without its faulty parts, and the places of the routes kept.

    A faulty route, upstream or profile goes as a whole; elsewhere the key goes, so
    that its default takes its place.
    """
    rest: dict[str, Any] = _copied(data)
    routes = rest.get("routes")
    routes = routes if isinstance(routes, tuple) else ()
    faulty = {loc[1] for loc in faults if loc[:1] == ("routes",) and len(loc) > 1}
    places = tuple(at for at in range(len(routes)) if at not in faulty)
    for loc in faults:
        match loc:
            case ("routes" | "version", *_):
                continue
            case ("upstreams", name, *_):
                _remove(rest, ("upstreams", name))
            case ("tokens", "profiles", name, *_):
                _remove(rest, ("tokens", "profiles", name))
            case _:
                _remove(rest, loc)
    rest["version"] = 1
    rest["routes"] = tuple(routes[at] for at in places) or (_ANY_ROUTE,)
    rest["upstreams"] = rest.get("upstreams") or {"any": {"url": "http://any"}}
    return rest, places


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(part) for name, part in value.items()}
    return value


def _remove(data: Any, loc: Loc) -> None:
    """Remove the innermost mapping entry on the path `loc`."""
    holder, key = data, loc[0] if loc else ""
    for part in loc:
        if not isinstance(data, dict) or part not in data:
            break
        holder, key = data, part
        data = data[part]
    holder.pop(key, None)


_ANY_ROUTE: Final = {"match": "/", "rule": "public", "upstream": "any"}
