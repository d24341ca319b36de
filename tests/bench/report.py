"""The report of a run in Markdown: a table for each workload. Pure."""

from collections.abc import Sequence
from typing import Final

from tests.bench.figures import (
    FIRST,
    LUA,
    NGINX,
    ONE_WORKER,
    TOKEN,
    Ratio,
    Row,
    Run,
)
from tests.bench.ratios import spread

_EXTRA: Final = {
    "requests/s": "requests/s",
    "p50 ms": "p50 ms",
    "p99 ms": "p99 ms",
    "peak MiB": "peak MiB",
}
_RATIOS: Final = {
    NGINX: "× nginx",
    LUA: "× nginx + Lua",
    TOKEN: "× gateway",
    ONE_WORKER: "× 1 worker",
    FIRST: "× first load",
}


def report(run: Run) -> str:
    """Return the whole report."""
    about = "\n".join(f"* {name}: {value}" for name, value in run.about.items())
    parts = [about]
    for title in dict.fromkeys(row.workload for row in run.rows):
        parts.append(table([row for row in run.rows if row.workload == title]))
    if run.left_out:
        names = [f"* {name}: {reason}" for name, reason in run.left_out.items()]
        parts.append("Left out:\n\n" + "\n".join(names))
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Row]) -> str:
    """Return the table of one workload; columns without a figure are left out."""
    loads = len({row.load for row in rows}) > 1
    extra = [name for name in _EXTRA if any(name in row.extra for row in rows)]
    extra += sorted({n for row in rows for n in row.extra if n not in _EXTRA})
    bases = [name for name in _RATIOS if any(name in row.ratios for row in rows)]
    unit = " / ".join(dict.fromkeys(row.unit for row in rows))
    head = ["System", *(["Load"] if loads else []), unit, "min–max"]
    head += [_EXTRA.get(name, name) for name in extra]
    head += [_RATIOS[name] for name in bases]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        line = [row.system, *([row.load] if loads else []), _number(row.median)]
        found = spread(row.rounds)
        line.append(f"{_number(found.low)}–{_number(found.high)}")
        line += [_number(row.extra.get(name)) for name in extra]
        line += [_ratio(row.ratios.get(name)) for name in bases]
        lines.append(line)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failed = [
        f"{' '.join(filter(None, (row.system, row.load)))}: {dict(row.failures)}"
        for row in rows
        if row.failures
    ]
    note = f"\n\nFailed requests: {'; '.join(failed)}." if failed else ""
    return f"### {rows[0].workload}\n\n{text}{note}"


def _number(value: float | None) -> str:
    """Return three digits at least, and no more decimals than they need."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def _ratio(value: Ratio | None) -> str:
    if value is None:
        return "-"
    return f"{value.median:.2f} ({value.low:.2f}–{value.high:.2f})"
