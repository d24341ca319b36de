"""`make bench-check`: has a request become dearer than the committed baseline?

    python -m tests.bench.check [--by cpu|instructions] [--rounds 40] [--write]

By instructions, where valgrind is installed: callgrind counts those of a request,
which other programs on the machine hardly change. By CPU time: the gateway and nginx
are loaded in turn, and the ratio within a round is compared with `baseline.json`.
Rounds are added until the median is known to a few percent, so that a busy machine
takes longer instead of a wrong decision. Exit code 1: more than 10 % dearer. 2: not
decided, or the baseline belongs to another machine or Python; `--write` makes the
present figures the baseline, both kinds.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from enum import Enum, auto
from pathlib import Path
from typing import Final

from tests.bench.backends import Backends, backends
from tests.bench.client import Load
from tests.bench.instructions import count
from tests.bench.measuring import interleave
from tests.bench.processes import prepare
from tests.bench.ratios import median_interval, ratios, spread
from tests.bench.run import processor, python
from tests.bench.systems.gateway import HERE, gateway
from tests.bench.systems.nginx import nginx
from tests.bench.systems.system import System
from tests.bench.workloads import WORKLOADS

BASELINE: Final = Path(__file__).with_name("baseline.json")
CHECKED: Final = {
    "small GET": Load(),
    "POST of 256 bytes": WORKLOADS["post"].loads["POST of 256 bytes"],
    "new connections": Load(new_connections=True),
}
ALLOWED: Final = 1.10
FIRST_ROUNDS: Final = 7
MORE_ROUNDS: Final = 4
PRECISE: Final = 0.03
"""A median that is known to this part of itself needs no more rounds."""


class Verdict(Enum):
    """What some rounds say of the median of all."""

    HOLDS = auto()
    DEARER = auto()
    OPEN = auto()


def judge(found: list[float], baseline: float) -> Verdict:
    """Compare ratios with a baseline. Pure.

    The interval in which the median of all rounds lies must be on one side of what
    is allowed, or be narrow: then its middle decides.
    """
    most = baseline * ALLOWED
    low, high = median_interval(found)
    middle = spread(found).median
    if high <= most:
        return Verdict.HOLDS
    if low > most:
        return Verdict.DEARER
    if high - low <= 2 * PRECISE * middle:
        return Verdict.HOLDS if middle <= most else Verdict.DEARER
    return Verdict.OPEN


def measure(
    systems: tuple[System, System], load: Load, rounds: int, back: Backends
) -> list[float]:
    """Return the ratio of each round: the second system by the first."""
    jobs = [(system, load) for system in systems]
    base, ours = interleave(jobs, rounds, 1, back.folder)
    for samples in (base, ours):
        for each in samples:
            if each.failures:
                raise SystemExit(f"not every request succeeded: {dict(each.failures)}")
    return ratios([each.cpu_us for each in ours], [each.cpu_us for each in base])


def check(
    systems: tuple[System, System],
    baseline: Mapping[str, float],
    most: int,
    back: Backends,
) -> dict[str, Verdict]:
    """Judge each workload and print a line for it."""
    verdicts = {}
    for name, load in CHECKED.items():
        found = measure(systems, load, FIRST_ROUNDS, back)
        while (verdict := judge(found, baseline[name])) is Verdict.OPEN:
            if len(found) >= most:
                break
            found += measure(systems, load, MORE_ROUNDS, back)
        low, high = median_interval(found)
        print(
            f"{name}: {spread(found).median:.2f} × nginx (between {low:.2f} and "
            f"{high:.2f}, {len(found)} rounds), baseline {baseline[name]:.2f}, "
            f"at most {baseline[name] * ALLOWED:.2f}: {verdict.name.lower()}",
            flush=True,
        )
        verdicts[name] = verdict
    return verdicts


def check_instructions(
    back: Backends, baseline: Mapping[str, float]
) -> dict[str, Verdict]:
    """Judge each workload by its instructions and print a line for it.

    What is above its limit is counted again, and the lower count decides: a busy
    machine adds instructions, and takes none off.
    """
    verdicts = {}
    counts = count(HERE, back)
    again = [name for name, n in counts.items() if n > baseline[name] * ALLOWED]
    for name, number in (count(HERE, back, again) if again else {}).items():
        counts[name] = min(counts[name], number)
    for name, number in counts.items():
        most = baseline[name] * ALLOWED
        verdicts[name] = Verdict.HOLDS if number <= most else Verdict.DEARER
        print(
            f"{name}: {number:,.0f} instructions, baseline {baseline[name]:,.0f}, "
            f"at most {most:,.0f}: {verdicts[name].name.lower()}"
        )
    return verdicts


def main() -> None:
    """Check, or write the baseline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40, help="at most")
    parser.add_argument("--by", choices=["cpu", "instructions"], default=_default())
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    prepare()
    committed = json.loads("{}" if wanted.write else BASELINE.read_text())
    other = {} if wanted.write else differences(committed, wanted.by)
    if other:
        print(f"The baseline belongs to {other}; this is {here(wanted.by)}.")
        print("Write one from the revision to compare with (--write), or compare two")
        print("revisions: python -m tests.bench.ab main .")
        sys.exit(2)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        back = stack.enter_context(backends(Path(folder)))
        if wanted.by == "instructions" and not wanted.write:
            verdicts = check_instructions(back, committed["instructions"])
            sys.exit(exit_code(list(verdicts.values())))
        systems = stack.enter_context(nginx(back)), stack.enter_context(gateway(back))
        if wanted.write:
            write(
                {n: measure(systems, load, 15, back) for n, load in CHECKED.items()},
                count(HERE, back),
            )
            return
        verdicts = check(systems, committed["ratios"], wanted.rounds, back)
    sys.exit(exit_code(list(verdicts.values())))


def here(by: str) -> dict[str, str]:
    """Return what the figures depend on: instructions on the Python alone."""
    found = {"python": python()}
    return found if by == "instructions" else {**found, "processor": processor()}


def differences(committed: Mapping[str, str], by: str) -> dict[str, str]:
    """Return what the baseline was measured with, where it differs from here."""
    return {
        name: committed[name]
        for name, value in here(by).items()
        if committed[name] != value
    }


def _default() -> str:
    return "instructions" if shutil.which("valgrind") else "cpu"


def exit_code(verdicts: list[Verdict]) -> int:
    """Say what the verdicts mean; return the exit code."""
    if Verdict.DEARER in verdicts:
        print("A request costs more than 10 % above the baseline.")
        return 1
    if Verdict.OPEN in verdicts:
        print("Not decided: the machine is too busy. Run it again when it is not.")
        return 2
    return 0


def write(found: Mapping[str, list[float]], counts: Mapping[str, float]) -> None:
    """Make medians the baseline."""
    text = json.dumps(
        {
            **here("cpu"),
            "ratios": {name: round(spread(n).median, 3) for name, n in found.items()},
            "instructions": {name: round(number) for name, number in counts.items()},
        },
        indent=2,
    )
    BASELINE.write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
