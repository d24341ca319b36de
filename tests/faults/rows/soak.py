"""Millions of requests, sessions made and ended all along: nothing may grow.

Memory and descriptors are read between two parts, with no request under way. The
first part is the warm-up: what is kept of 10,000 records and tokens has to fill.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

from tests.faults.gateways import descriptors, resident
from tests.faults.load import ORDINARY
from tests.faults.sites import build
from tests.faults.trial import Plan, Row, Site, Trial

_PARTS = 20
_WARM = 500_000
"""Requests of the warm-up; a tenth of them all if that is more."""
_GROWTH = 0.05
_MEASURED = 2 * _WARM
"""Requests from which on memory is judged: a shorter run is mostly warm-up."""
_KINDS = ORDINARY | {"protected": 40, "token": 16, "upload": 1, "download": 1}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at one moment."""

    memory: int
    """KiB."""
    descriptors: int


async def roomy(plan: Plan) -> Site:
    """A store with patience, as every core is busy with the load itself."""
    return await build(plan, timeout="10s")


async def soak(trial: Trial) -> None:
    """Send the requests of the scale in parts, as fast as they are answered."""
    load, gateway = trial.load, trial.gateway
    await load.pause()
    load.pool.limit = trial.scale.clients * 2
    load.started = time.monotonic()
    trial.fault()
    samples: list[dict[int, Sample]] = []
    for part in range(_PARTS):
        await _part(trial, trial.scale.soak // _PARTS)
        samples.append(_samples([gateway.pid, *gateway.worker_pids()]))
        _progress(trial, part, samples[-1])
    trial.mended()
    warm = max(_PARTS // 10, _PARTS * _WARM // trial.scale.soak)
    _judge(trial, samples[min(warm, _PARTS) - 1 :])


async def _part(trial: Trial, count: int) -> None:
    load, left = trial.load, count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await load.one()

    await asyncio.gather(*(client() for _ in range(trial.scale.clients)))
    await load.until_quiet()


def _samples(pids: list[int]) -> dict[int, Sample]:
    return {pid: Sample(resident(pid), descriptors(pid)) for pid in pids}


def _progress(trial: Trial, part: int, samples: dict[int, Sample]) -> None:
    if trial.scale.soak < _MEASURED:
        return
    done = trial.oracle.findings.visits
    rate = done / (time.monotonic() - trial.load.started)
    held = ", ".join(f"{s.memory:,} KiB {s.descriptors} fds" for s in samples.values())
    print(f"  {part + 1}/{_PARTS} {done:,} at {rate:.0f}/s: {held}", file=sys.stderr)


def _judge(trial: Trial, samples: list[dict[int, Sample]]) -> None:
    first, last = samples[0], samples[-1]
    trial.require(set(first) == set(last), "a process was replaced")
    for pid in set(first) & set(last):
        memory = [sample[pid].memory for sample in samples]
        growth = max(memory) / memory[0] - 1
        opened = [sample[pid].descriptors for sample in samples]
        trial.notes.append(
            f"{memory[0]:,} to {memory[-1]:,} KiB ({growth:+.1%} at most), "
            f"{min(opened)} to {max(opened)} descriptors"
        )
        if trial.scale.soak >= _MEASURED:
            trial.require(growth < _GROWTH, f"memory grew by {growth:.1%}")
        trial.require(
            max(opened) <= opened[0] + trial.scale.clients,
            f"descriptors grew from {opened[0]} to {max(opened)}",
        )


ROWS = (
    Row(
        name="soak",
        what="5 million requests, with sessions made and ended (2,000 in the short form)",
        site=roomy,
        act=soak,
        kinds=_KINDS,
        workers=2,
        healthy=tuple(_KINDS),
    ),
)
