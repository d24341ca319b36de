"""One row: what is running, the fault that it does, and what it must hold."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.gateways import GatewayProcess
from tests.faults.load import Load
from tests.faults.oracle import Findings, Oracle, Visit
from tests.faults.upstream import Upstream
from tests.faults.wire import Failure
from tests.servers import PATIENCE

STEADY = 40
"""Right responses in a row after which a fault counts as over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long a row is."""

    rate: float
    """Requests per second."""
    before: int
    """Visits before the fault."""
    during: int
    """Visits under the fault."""
    crowd: int
    """Connections of a row that opens many."""
    soak: int
    """Requests of the soak."""
    clients: int
    """Clients of the soak; each sends its next request after a response."""


SHORT = Scale(rate=120, before=40, during=140, crowd=500, soak=2_000, clients=24)
LONG = Scale(
    rate=150, before=500, during=2_000, crowd=10_000, soak=5_000_000, clients=48
)


@dataclass
class Site:
    """Everything that a row runs against; several rows may share it."""

    folder: Path
    upstream: Upstream
    faulty: Upstream
    gateways: list[GatewayProcess]
    ports: list[int]
    """Where the clients connect: the gateways, or the proxy in front of them."""
    parts: dict[str, Any] = field(default_factory=dict)
    """What else the site has: servers, relays."""
    close: list[Callable[[], Awaitable[None] | None]] = field(default_factory=list)

    @property
    def gateway(self) -> GatewayProcess:
        return self.gateways[0]

    async def shut(self) -> None:
        for gateway in self.gateways:
            gateway.kill()
        await self.upstream.stop()
        await self.faulty.stop()
        for end in reversed(self.close):
            if (waits := end()) is not None:
                await waits
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Trial:
    """A site under load, for one row."""

    site: Site
    load: Load
    oracle: Oracle
    scale: Scale
    marks: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the row measured itself; shown in the table."""
    broken: list[str] = field(default_factory=list)
    """Promises of the row itself that did not hold."""

    @property
    def gateway(self) -> GatewayProcess:
        return self.site.gateway

    def mark(self, name: str) -> None:
        self.marks[name] = time.monotonic()

    def fault(self) -> None:
        """The fault begins here; a session with an open WebSocket is ended under it."""
        self.mark("fault")
        self.load.end_a_stream()

    def mended(self) -> None:
        """Its cause is gone here; the recovery time counts from now."""
        self.mark("mended")

    def require(self, holds: bool, sentence: str) -> None:
        """Note a promise of the row that does not hold."""
        if not holds:
            self.broken.append(sentence)

    async def visits(self, count: int) -> list[Visit]:
        """Wait until `count` more visits have ended, and return them."""
        found: list[Visit] = []
        done = asyncio.Event()

        def note(visit: Visit) -> None:
            found.append(visit)
            if len(found) >= count:
                done.set()

        self.load.on_end.append(note)
        try:
            async with asyncio.timeout(PATIENCE + count / self.load.rate * 4):
                await done.wait()
        finally:
            self.load.on_end.remove(note)
        return found

    async def under_fault(self, part: float = 1.0) -> list[Visit]:
        """Go on under load for the time that the scale gives a fault."""
        return await self.visits(max(1, int(self.scale.during * part)))

    async def steady(self, limit: float = PATIENCE, kinds: str = "") -> None:
        """Wait until only right responses come.

        Raises:
            TimeoutError: they did not within `limit` seconds.
        """
        in_a_row = 0
        done = asyncio.Event()

        def note(visit: Visit) -> None:
            nonlocal in_a_row
            if visit.kind.startswith(kinds):
                in_a_row = in_a_row + 1 if visit.right else 0
            if in_a_row >= STEADY:
                done.set()

        self.load.on_end.append(note)
        try:
            async with asyncio.timeout(limit):
                await done.wait()
        finally:
            self.load.on_end.remove(note)


Act = Callable[[Trial], Awaitable[None]]
Setup = Callable[["Plan"], Awaitable[Site]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a site is built for."""

    folder: Path
    workers: int
    scale: Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault, and what the gateway promises under it.

    The counts that no row may have are not here: wrong allows, wrong denies, sent
    twice, damaged, and statuses such as 500.
    """

    name: str
    what: str
    """One sentence: the fault."""
    site: Setup
    act: Act
    kinds: Mapping[str, int]
    workers: int = 1
    recovers: float = 10.0
    """Seconds from the end of the cause to the last response that is not right."""
    may_lose: str = ""
    """What may go without a response, and why; empty is nothing."""
    may_refuse: str = ""
    """Why connections may be refused; empty is never."""
    may_truncate: bool = False
    may_cut_streams: str = ""
    pace: float = 1.0
    """Part of the scale's rate, for a site that is slow by what it is built of."""
    delays: float | None = 5.0
    """Seconds that a request without a session may take; None is not judged."""
    healthy: tuple[str, ...] = ()
    """Kinds that the fault must not touch at all."""
    shared: bool = True
    """Whether the next row may use the site after it."""
    needs: tuple[str, ...] = ()
    """Programs that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a row gave."""

    row: Row
    workers: int
    findings: Findings
    seconds: float
    held_back: int
    recovery: float | None
    notes: tuple[str, ...]
    touched: tuple[str, ...]
    """Healthy kinds that were refused after all."""
    broken: tuple[str, ...]
    slowest: float
    """Seconds of the slowest request that needs neither a session nor the fault."""

    @property
    def rate(self) -> float:
        return self.findings.visits / self.seconds if self.seconds else 0.0

    def problems(self) -> list[str]:
        """What breaks the row's promises, each as a sentence."""
        found, row = self.findings, self.row
        wrong: dict[str, Sequence[str]] = {
            "wrong allow": found.wrong_allows,
            "wrong deny": found.wrong_denies,
            "sent twice": found.sent_twice,
            "damaged": found.damaged,
            "error": found.errors,
            "touched": self.touched,
        }
        if found.lost and not row.may_lose:
            wrong["lost"] = found.lost
        if found.refused and not row.may_refuse:
            wrong["connection refused"] = found.refused
        if found.truncated and not row.may_truncate:
            wrong["truncated"] = found.truncated
        if found.streams_cut and not row.may_cut_streams:
            wrong["stream cut"] = found.streams_cut
        stated = list(self.broken)
        stated += [
            f"{len(each)} × {name}: {'; '.join(each[:5])}"
            for name, each in wrong.items()
            if each
        ]
        if self.recovery is not None and self.recovery > row.recovers:
            stated.append(
                f"recovered after {self.recovery:.2f} s, not {row.recovers} s"
            )
        if row.delays is not None and self.slowest > row.delays:
            stated.append(f"a public request took {self.slowest:.2f} s")
        return stated


async def try_row(row: Row, site: Site, scale: Scale) -> Outcome:
    """Run a row on a site and return what came of it."""
    oracle = Oracle()
    site.upstream.arrived = site.faulty.arrived = oracle.arrived
    load = Load(
        site.ports,
        [gateway.admin for gateway in site.gateways],
        oracle,
        rate=scale.rate * row.pace,
        kinds=dict(row.kinds),
    )
    trial = Trial(site, load, oracle, scale)
    touched: list[str] = []
    slowest = 0.0

    def look(visit: Visit) -> None:
        nonlocal slowest
        if visit.kind == "public" and visit.failure is not Failure.REFUSED:
            slowest = max(slowest, visit.ended - visit.started)
        if "fault" in trial.marks and visit.kind in row.healthy and not visit.right:
            touched.append(f"{visit.kind}: {visit.status or visit.failure}")

    load.on_end.append(look)
    try:
        await load.start()
        await trial.visits(scale.before)
        await row.act(trial)
        await load.stream_over()
    finally:
        await load.stop()
    findings = oracle.close()
    return Outcome(
        row=row,
        workers=site.gateway.workers,
        findings=findings,
        seconds=load.stopped - load.started,
        held_back=load.held_back,
        recovery=_recovery(trial),
        notes=tuple(trial.notes),
        touched=tuple(touched),
        broken=tuple(trial.broken),
        slowest=slowest,
    )


def _recovery(trial: Trial) -> float | None:
    """Seconds from the end of the cause until the last response that was not right."""
    mended = trial.marks.get("mended")
    if mended is None:
        return None
    last = max(trial.oracle.last_wrong.values(), default=mended)
    return max(0.0, last - mended)


@asynccontextmanager
async def site_for(row: Row, scale: Scale, workers: int = 0) -> AsyncIterator[Site]:
    """Build a row's site and take it down again."""
    folder = Path(tempfile.mkdtemp(prefix="gw-faults-"))
    site = await row.site(
        Plan(folder=folder, workers=workers or row.workers, scale=scale)
    )
    try:
        yield site
    finally:
        await site.shut()
