"""Print how long a match takes with ten routes and with ten thousand.

Run as `python tests/bench/route_match.py`: a table for people, then a JSON line.
"""

import json
import sys
import time
import timeit
from pathlib import Path

if __package__ in {None, ""}:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, RouteTable

SIZES = (10, 10_000)
REQUESTED = (
    ("GET", "app.example", "/section-3/items/42/edit"),
    ("GET", "app.example", "/section-7/tenants/acme/a/b/c"),
    ("POST", "app.example", "/somewhere/else"),
)


def table_of(size: int) -> RouteTable:
    """Build a table as large installations have it: many sections, one catch-all."""
    kinds = ("/items/{id}/edit", "/tenants/{tenant}/**", "/**")
    routes = [Route(id="all", path="/**", rule=Rule.PROTECTED, upstream="web")]
    for number in range(size - 1):
        path = f"/section-{number}{kinds[number % len(kinds)]}"
        routes.append(
            Route(id=str(number), path=path, rule=Rule.PROTECTED, upstream="web")
        )
    return RouteTable(routes)


def microseconds(table: RouteTable, *, number: int = 2000, repeat: int = 7) -> float:
    """Measure one match, in CPU time: what else runs here counts little."""

    def run() -> None:
        for request in REQUESTED:
            table.match(*request)

    assert all(isinstance(table.match(*request), Match) for request in REQUESTED)
    return (
        min(timeit.repeat(run, timer=time.process_time, number=number, repeat=repeat))
        / number
        / len(REQUESTED)
        * 1e6
    )


def measure(*, number: int = 2000, repeat: int = 7) -> dict[int, float]:
    """Measure all sizes."""
    return {
        size: microseconds(table_of(size), number=number, repeat=repeat)
        for size in SIZES
    }


def main() -> None:
    found = measure()
    ratio = found[SIZES[-1]] / found[SIZES[0]]
    print(f"{'routes':>8}  {'µs per match':>12}")
    for size, cost in found.items():
        print(f"{size:>8}  {cost:>12.2f}")
    print(f"{'ratio':>8}  {ratio:>12.2f}")
    record = {
        "bench": "route_match",
        "us": {str(size): round(cost, 3) for size, cost in found.items()},
        "ratio": round(ratio, 3),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
