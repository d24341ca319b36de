"""Millions of requests, sessions made and ended all along: nothing may grow.

Memory and descriptors are read between two parts, with no request under way. The
first parts are the warm-up: caches of 10,000 records and tokens have to fill.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

from tests.faults.bulk import Sent, end_sessions, make_sessions, send
from tests.faults.gateways import descriptors, resident
from tests.faults.load import ORDINARY
from tests.faults.sites import build
from tests.faults.trial import Plan, Row, Site, Trial

_PARTS = 20
_FEW_PARTS = 2
"""Parts of a short run."""
_WARM = 1_500_000
"""Requests of the warm-up; a tenth of them all if that is more. Its six parts have 72,000
sessions. Each worker keeps two generations of up to 10,000 records and tokens, and the
allocator's arenas are level only once these have been replaced a few times."""
_GROWTH = 0.05
_MEASURED = 2 * _WARM
"""Requests from which on memory is judged: a shorter run is mostly warm-up."""
_JUDGED = 0.01
"""Part of the requests that the oracle judges one by one; a short run has more."""
_SESSIONS = 12_000
"""Sessions that each part makes and ends for the others: more than any cache holds."""
_FEW_SESSIONS = 50
_ENDED = 5_000
"""Requests with the ended sessions in each part."""
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
    load, gateway, long = trial.load, trial.gateway, trial.scale.soak >= _MEASURED
    parts = _PARTS if long else _FEW_PARTS
    await load.pause()
    load.pool.limit = trial.scale.clients * 2
    load.started = time.monotonic()
    trial.fault()
    samples: list[dict[int, Sample]] = []
    bulk = Sent(0, 0, 0)
    for part in range(parts):
        each = trial.scale.soak // parts
        judged = int(each * (_JUDGED if long else 0.5))
        await _judged(trial, judged)
        bulk += await _bulk(trial, each - judged, _SESSIONS if long else _FEW_SESSIONS)
        samples.append(_samples([gateway.pid, *gateway.worker_pids()]))
        _progress(trial, part, bulk, samples[-1])
    trial.mended()
    trial.notes.append(f"{bulk.requests:,} requests by wrk, each as expected")
    warm = max(parts // 10, parts * _WARM // trial.scale.soak)
    _judge(trial, samples[min(warm, parts) - 1 :])


async def _judged(trial: Trial, count: int) -> None:
    load, left = trial.load, count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await load.one()

    await asyncio.gather(*(client() for _ in range(trial.scale.clients)))
    await load.until_quiet()


async def _bulk(trial: Trial, count: int, sessions: int) -> Sent:
    """Make sessions, use them, end them, and use them again."""
    load, folder = trial.load, trial.site.folder
    name = f"u-{load.run_id}-{time.monotonic_ns()}"
    made = await make_sessions(load.admin, sessions, name)
    served = await send(load.port, made, count, folder)
    trial.require(served.refused == 0, f"{served.refused} of live sessions refused")
    await end_sessions(load.admin, made)
    denied = await send(load.port, made, min(count, _ENDED), folder)
    let_in = denied.requests - denied.refused
    trial.require(let_in == 0, f"{let_in} of ended sessions let in")
    sent = served + denied
    trial.require(sent.broken == 0, f"{sent.broken} without a response")
    return sent


def _samples(pids: list[int]) -> dict[int, Sample]:
    return {pid: Sample(resident(pid), descriptors(pid)) for pid in pids}


def _progress(trial: Trial, part: int, bulk: Sent, samples: dict[int, Sample]) -> None:
    if trial.scale.soak < _MEASURED:
        return
    done = trial.oracle.findings.visits + bulk.requests
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
        needs=("wrk",),
    ),
)
