"""Rounds over systems in turn, with the CPU time of each request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.client import Load, send
from tests.bench.systems.system import System

# Tokens are renewed after half of their minute. A program that waits longer for its
# turn would sign one for each of a thousand sessions, in every turn.
_LONG_ROUND: Final = 8.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One round of one system."""

    cpu_us: float
    """CPU time of the process tree for each request, in microseconds."""
    per_second: float
    p50: float
    p99: float
    peak_mib: float
    requests: int
    failures: Mapping[str, int]


def sample(system: System, load: Load, seconds: float, folder: Path) -> Sample:
    """Load a system once.

    Raises:
        RuntimeError: it answered nothing.
    """
    before = system.program.cpu_seconds()
    result = send(system.destination, load, seconds, folder)
    spent = system.program.cpu_seconds() - before
    return Sample(
        cpu_us=spent / result.requests * 1e6,
        per_second=result.per_second,
        p50=result.p50,
        p99=result.p99,
        peak_mib=system.program.peak_mib(),
        requests=result.requests,
        failures=result.failures,
    )


def interleave(
    jobs: Sequence[tuple[System, Load]], rounds: int, seconds: float, folder: Path
) -> list[list[Sample]]:
    """Return the samples of each job, after a warm-up of two seconds each.

    Each round visits every job once, every second one backwards: a machine that
    gets slower or faster meanwhile favors none. In a long round each turn begins with
    an unmeasured second: tokens of all sessions are due for renewal by then.
    """
    for system, load in jobs:
        system.program.forget_peak()
        sample(system, load, min(2, 2 * seconds), folder)
    settle = len(jobs) * seconds > _LONG_ROUND
    found: list[list[Sample]] = [[] for _ in jobs]
    for number in range(rounds):
        order = range(len(jobs)) if number % 2 == 0 else reversed(range(len(jobs)))
        for index in order:
            system, load = jobs[index]
            if settle:
                sample(system, load, 1, folder)
            found[index].append(sample(system, load, seconds, folder))
    return found
