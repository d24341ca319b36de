"""The figures of a run: rows, their ratios, and the JSON lines that hold them. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from tests.bench.ratios import ratios, spread

NGINX: Final = "nginx plain"
LUA: Final = "nginx + Lua + Redis"
TOKEN: Final = "gateway, protected + token"
ONE_WORKER: Final = "gateway, 1 worker, 2 cores"
FIRST: Final = "first load"
BASES: Final = (NGINX, LUA, TOKEN, ONE_WORKER)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Row by base, within each round."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one system gave in one workload: a figure for each round."""

    workload: str
    system: str
    load: str = ""
    """Which of the workload's loads, if it has several."""
    unit: str = "µs/request"
    rounds: Sequence[float]
    extra: Mapping[str, float] = field(default_factory=dict)
    """Medians beside the figure: requests/s, p50 ms, p99 ms, peak MiB ..."""
    failures: Mapping[str, int] = field(default_factory=dict)
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    """By base: a system under the same load, or this one under the first load."""

    @property
    def median(self) -> float:
        return spread(self.rounds).median


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rows, and what they were measured with."""

    about: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Row] = ()


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one workload, each with its ratios.

    Only CPU times have ratios, and a base that was measured in other rounds gives none.
    """
    by_place = {(row.system, row.load): row for row in rows}
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.system, row)
    found = []
    for row in rows:
        bases = {name: by_place.get((name, row.load)) for name in BASES}
        if first[row.system] is not row:
            bases[FIRST] = first[row.system]
        found.append(
            replace(
                row,
                ratios={
                    name: ratio(row, base)
                    for name, base in bases.items()
                    if base and base is not row and _together(row, base)
                },
            )
        )
    return found


def _together(row: Row, base: Row) -> bool:
    return (
        row.unit.startswith("µs")
        and len(row.rounds) == len(base.rounds)
        and all(base.rounds)
    )


def ratio(row: Row, base: Row) -> Ratio:
    """Return the ratio of two rows of the same rounds."""
    found = spread(ratios(row.rounds, base.rounds))
    return Ratio(median=found.median, low=found.low, high=found.high)


def to_lines(run: Run) -> str:
    """Return JSON lines: what the run is, then a row each."""
    head = {"about": run.about, "left_out": run.left_out}
    lines = [head, *(asdict(row) for row in run.rows)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def from_lines(lines: Iterable[str]) -> Run:
    """Return the run of JSON lines.

    Raises:
        ValueError: the first line does not say what the run is.
    """
    head, *rest = [json.loads(line) for line in lines if line.strip()] or [{}]
    if "about" not in head:
        raise ValueError("these are not the lines of a run")
    return Run(
        about=head["about"],
        left_out=head["left_out"],
        rows=[_row(each) for each in rest],
    )


def _row(found: dict[str, Any]) -> Row:
    bases = {name: Ratio(**value) for name, value in found.pop("ratios").items()}
    return Row(**found, ratios=bases)
