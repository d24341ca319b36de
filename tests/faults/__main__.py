"""`python -m tests.faults [ROW ...] [--short] [--workers N] [--requests N]`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from tests.faults.report import heading, line
from tests.faults.rows import ROWS
from tests.faults.trial import LONG, SHORT, Outcome, Row, Scale, site_for, try_row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rows and print what came of each; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all of them: all")
    parser.add_argument("--short", action="store_true", help="as in `make test`")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--requests", type=int, default=0, help="of the soak")
    requested = parser.parse_args(arguments)
    if not requested.rows:
        for row in ROWS.values():
            print(f"{row.name:28} {row.what}")
        return 0
    if unknown := [n for n in requested.rows if n != "all" and n not in ROWS]:
        parser.error(f"unknown rows: {', '.join(unknown)}")
    names = list(ROWS) if requested.rows == ["all"] else requested.rows
    scale = SHORT if requested.short else LONG
    scale = replace(scale, soak=requested.requests or scale.soak)
    print(heading(), flush=True)
    failed = False
    for name in names:
        outcome = uvloop.run(_once(ROWS[name], scale, requested.workers))
        print(line(outcome), flush=True)
        for problem in outcome.problems():
            failed = True
            print(f"  BROKEN {problem}", file=sys.stderr, flush=True)
    return int(failed)


async def _once(row: Row, scale: Scale, workers: int) -> Outcome:
    async with site_for(row, scale, workers) as site:
        return await try_row(row, site, scale)


if __name__ == "__main__":
    sys.exit(main())
