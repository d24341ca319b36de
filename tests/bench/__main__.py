"""`make bench`: this gateway beside its peers.

    python -m tests.bench [run] [--rounds 5] [--seconds 2] [--systems ...] [--workloads ...] [--out FOLDER]
    python -m tests.bench install [--cache FOLDER]

Writes run.jsonl, run.md and, with the peers installed, run.png and run.svg.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.bench.figures import Row, Run, to_lines
from tests.bench.install import Peers, default_folder, install
from tests.bench.processes import prepare
from tests.bench.report import report, table
from tests.bench.route_match import main as route_match
from tests.bench.run import run
from tests.bench.special import Wanted
from tests.bench.systems.catalogue import SYSTEMS
from tests.bench.workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["run", "install"], default="run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument(
        "--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS)
    )
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--requests", type=int, default=200_000, help="for the drift")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--cache", type=Path, default=default_folder())
    wanted = parser.parse_args()
    if wanted.what == "install":
        for name, outcome in install(wanted.cache).items():
            print(f"{name}: {outcome}")
        return
    compare(wanted)
    route_match()


def compare(wanted: argparse.Namespace) -> None:
    """Run the comparison, print it and write its files."""
    prepare()
    peers = Peers(wanted.cache)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        found = run(
            wanted.workloads,
            wanted.systems,
            Wanted(
                rounds=wanted.rounds,
                seconds=wanted.seconds,
                idle=wanted.idle,
                requests=wanted.requests,
            ),
            folder=Path(folder),
            peers=peers,
            progress=partial(show, out=wanted.out.resolve()),
        )
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")
    draw(write(found, wanted.out.resolve()), peers)


def show(rows: Sequence[Row], so_far: Run, out: Path) -> None:
    """Print one workload; write what there is, for the case that the run is ended."""
    if rows:
        print(table(rows), flush=True)
        print()
    write(so_far, out)


def write(found: Run, folder: Path) -> Path:
    """Write the lines and the tables; return the lines."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "run.jsonl"
    lines.write_text(to_lines(found))
    (folder / "run.md").write_text(report(found))
    return lines


def draw(lines: Path, peers: Peers) -> None:
    """Draw the plot beside its lines."""
    folder = lines.parent
    print(f"written: {lines}, {folder / 'run.md'}")
    if not peers.python.exists():
        print("no plot: matplotlib is missing: python -m tests.bench install")
        return
    plot = folder / "run.png"
    done = subprocess.run(
        [peers.python, "-m", "tests.bench.plot", lines, plot],
        check=False,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    print(
        f"written: {plot}" if done.returncode == 0 else f"no plot: {done.stderr[-300:]}"
    )


if __name__ == "__main__":
    main()
