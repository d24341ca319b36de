"""Draw the JSON lines of a run: `PYTHON -m tests.bench.plot RUN.jsonl PLOT.png`.

Needs matplotlib, which is installed with the peers: it is not a dependency of the
tests, so another Python runs this module. An SVG is written beside the PNG.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import LUA, NGINX, Row, Run, from_lines

_LEAST_SYSTEMS = 3


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One system: its figure, and how far its rounds lie apart."""

    label: str
    value: float
    low: float
    high: float
    ours: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The bars of one workload."""

    title: str
    axis: str
    bars: Sequence[Bar]


def panels(run: Run) -> list[Panel]:
    """Return a panel for each workload and load with several systems. Pure.

    A panel shows ratios to nginx + Lua, or to nginx plain, where each system has one.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in run.rows:
        groups.setdefault((row.workload, row.load), []).append(row)
    return [
        _panel(f"{title}, {load}" if load else title, rows)
        for (title, load), rows in groups.items()
        if len(rows) >= _LEAST_SYSTEMS
    ]


def _panel(title: str, rows: Sequence[Row]) -> Panel:
    for base in (LUA, NGINX):
        if all(base in row.ratios or row.system == base for row in rows):
            return Panel(
                title=title,
                axis=f"CPU time by that of {base}",
                bars=[_ratio_bar(row, base) for row in rows],
            )
    return Panel(title=title, axis=rows[0].unit, bars=[_bar(row) for row in rows])


def _ratio_bar(row: Row, base: str) -> Bar:
    if row.system == base:
        value = low = high = 1.0
    else:
        found = row.ratios[base]
        value, low, high = found.median, found.low, found.high
    return Bar(label=row.system, value=value, low=low, high=high, ours=_ours(row))


def _bar(row: Row) -> Bar:
    return Bar(
        label=row.system,
        value=row.median,
        low=min(row.rounds),
        high=max(row.rounds),
        ours=_ours(row),
    )


def _ours(row: Row) -> bool:
    return row.system.startswith("gateway")


def draw(found: Sequence[Panel], file: Path) -> None:
    """Write the plot as PNG, and as SVG beside it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = 2 if len(found) > 1 else 1
    lines = -(-len(found) // columns)
    tallest = max(len(panel.bars) for panel in found)
    size = (8 * columns, lines * (1.0 + 0.32 * tallest))
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.remove()
    for axis, panel in zip(axes.flat, found, strict=False):
        bars = sorted(panel.bars, key=lambda bar: bar.value, reverse=True)
        values = [bar.value for bar in bars]
        spread = [
            [max(0.0, bar.value - bar.low) for bar in bars],
            [max(0.0, bar.high - bar.value) for bar in bars],
        ]
        axis.barh(
            [bar.label for bar in bars],
            values,
            xerr=spread,
            color=["#1f6feb" if bar.ours else "#9aa4b2" for bar in bars],
            ecolor="#444444",
            capsize=2,
        )
        axis.set_title(panel.title, fontsize=10)
        axis.set_xlabel(f"{panel.axis} (median; whiskers: min and max)", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    figure.savefig(file.with_suffix(".svg"))


def main() -> None:
    """Draw one run."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    found = panels(from_lines(source.read_text().splitlines()))
    if not found:
        raise SystemExit("no workload has enough systems to draw")
    draw(found, target)


if __name__ == "__main__":
    main()
