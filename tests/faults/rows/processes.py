"""Processes that are killed, drained and reloaded, and what they write to."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.faults.gateways import alive, descriptors, resident
from tests.faults.load import ORDINARY
from tests.faults.sites import build, hurried, launch, plain
from tests.faults.trial import Plan, Row, Site, Trial
from tests.servers import PATIENCE, SOON

_IN_FLIGHT = "what was in flight on the process that was killed"


async def eventually(holds: Callable[[], bool], limit: float = PATIENCE) -> bool:
    """Return whether it comes to hold within `limit` seconds."""
    try:
        async with asyncio.timeout(limit):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True


async def worker_killed(trial: Trial) -> None:
    gateway = trial.gateway
    before = gateway.worker_pids()
    trial.fault()
    os.kill(before[0], signal.SIGKILL)
    trial.mended()
    await trial.under_fault()
    await trial.steady()
    back = await eventually(lambda: len(gateway.worker_pids()) == len(before))
    trial.require(back, "the worker was not replaced")


async def parent_killed(trial: Trial) -> None:
    """The supervisor is killed; its workers end, and a new start takes over."""
    gateway = trial.gateway
    orphans = gateway.worker_pids()
    trial.fault()
    os.kill(gateway.pid, signal.SIGKILL)
    await gateway.ended()
    gone = await eventually(lambda: not any(map(alive, orphans)), SOON)
    trial.require(gone, "workers outlived the supervisor")
    for pid in filter(alive, orphans):
        os.kill(pid, signal.SIGKILL)
    gateway.log.unlink()
    gateway.start()
    await gateway.ready()
    trial.mended()
    await trial.steady()


def _broken_logs(
    name: str, open_: Callable[[], tuple[int, int | None]], *, closes: bool = False
) -> Row:
    """A row whose gateway writes both its outputs to what `open_` gives."""

    async def site(plan: Plan) -> Site:
        end, other = open_()
        made = await build(plan, timeout="3s", start=False, stdout=end, stderr=end)
        made.parts |= {"reader": other, "closes": closes}
        made.close.append(lambda: _close(end, made.parts["reader"]))
        await launch(made)
        return made

    return Row(
        name=f"logs-{name}",
        what=f"standard output and error: {name}; a worker is killed meanwhile",
        site=site,
        act=logs,
        kinds=ORDINARY,
        workers=2,
        may_lose=_IN_FLIGHT,
        may_truncate=True,
        may_cut_streams=_IN_FLIGHT,
        shared=False,
    )


def _close(*ends: int | None) -> None:
    for end in ends:
        if end is not None:
            os.close(end)


def _full() -> tuple[int, int | None]:
    return os.open("/dev/full", os.O_WRONLY), None


def _pipe() -> tuple[int, int | None]:
    reader, writer = os.pipe()
    return writer, reader


async def logs(trial: Trial) -> None:
    """The reader of a pipe goes, or it never reads; then a worker is killed."""
    gateway = trial.gateway
    before = gateway.worker_pids()
    trial.fault()
    if trial.site.parts["closes"]:
        os.close(trial.site.parts["reader"])
        trial.site.parts["reader"] = None
    await trial.under_fault(0.5)
    gateway.signal(signal.SIGHUP)
    os.kill(before[0], signal.SIGKILL)
    trial.mended()
    await trial.under_fault(0.5)
    trial.require(gateway.running, "the supervisor ended")
    back = await eventually(lambda: len(gateway.worker_pids()) == len(before), SOON)
    trial.require(back, "the worker was not replaced")
    if gateway.running:
        await trial.steady()
        await trial.load.stream_over()
        await trial.load.stop()
        gateway.signal(signal.SIGTERM)
        trial.require(await gateway.ended() == 0, "it did not end well by SIGTERM")


async def small_files(plan: Plan) -> Site:
    """A folder for temporary files where nothing more than 512 bytes can be written.

    RLIMIT_FSIZE fails a write as a full disk does, and needs neither root nor a mount.
    """
    reader, writer = os.pipe()
    temporary = plan.folder / "tmp"
    temporary.mkdir(parents=True)
    site = await build(
        plan,
        timeout="3s",
        start=False,
        stdout=writer,
        stderr=writer,
        wrap=("prlimit", "--fsize=512:512"),
        env={"TMPDIR": str(temporary)},
    )
    os.set_blocking(reader, False)
    loop = asyncio.get_running_loop()
    loop.add_reader(reader, lambda: os.read(reader, 1 << 20))
    site.parts["tmp"] = temporary

    def close() -> None:
        loop.remove_reader(reader)
        _close(reader, writer)

    site.close.append(close)
    await launch(site)
    return site


async def temporary_full(trial: Trial) -> None:
    gateway = trial.gateway
    before = gateway.worker_pids()
    trial.fault()
    await trial.under_fault(0.5)
    _empty(trial.site.parts["tmp"])
    os.kill(before[0], signal.SIGKILL)
    trial.mended()
    await trial.under_fault(0.5)
    trial.require(gateway.running, "the supervisor ended")
    back = await eventually(lambda: len(gateway.worker_pids()) == len(before), SOON)
    trial.require(back, "the worker was not replaced")
    if gateway.running:
        await trial.steady()


def _empty(folder: Path) -> None:
    """Remove what is below a folder, and it, as a cleaner of /tmp does."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


async def few_descriptors(plan: Plan) -> Site:
    return await build(plan, timeout="3s", wrap=("prlimit", "--nofile=120:120"))


async def out_of_descriptors(trial: Trial) -> None:
    """More connections than there are descriptors, then fewer again."""
    gateway = trial.gateway
    (pid,) = gateway.worker_pids()
    trial.fault()
    spent = _cpu(pid)
    held = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(200)]
    await trial.visits(60)
    logged = await eventually(lambda: "escriptor" in gateway.text(), SOON)
    trial.require(logged, "no log line names the descriptors")
    trial.notes.append(f"{(_cpu(pid) - spent) / 100:.2f} s of CPU meanwhile")
    for each in held:
        each.close()
    trial.mended()
    await trial.steady()
    trial.require(gateway.running, "the process ended")


def _cpu(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


async def terminated(trial: Trial) -> None:
    """SIGTERM under load; what is in flight ends, and a new start takes over."""
    gateway = trial.gateway
    trial.site.upstream.delay = 0.2
    await trial.visits(30)
    trial.fault()
    begun = asyncio.get_running_loop().time()
    gateway.signal(signal.SIGTERM)
    code = await gateway.ended()
    took = asyncio.get_running_loop().time() - begun
    trial.notes.append(f"ended after {took:.2f} s")
    trial.require(code == 0, f"exit code {code}")
    trial.require(took < 30, f"ended after {took:.1f} s")
    trial.site.upstream.delay = 0.0
    gateway.log.unlink()
    gateway.start()
    await gateway.ready()
    trial.mended()
    await trial.steady()


async def reloads(trial: Trial) -> None:
    """Twenty SIGHUPs, every second one with a changed file."""
    gateway = trial.gateway
    size = {pid: (resident(pid), descriptors(pid)) for pid in gateway.worker_pids()}
    trial.fault()
    for at in range(20):
        if at % 2:
            extra = dict(gateway.config["routes"][0]) | {"match": f"/extra{at}/**"}
            more = [*gateway.config["routes"], extra]
            gateway.write(gateway.config | {"routes": more})
        gateway.signal(signal.SIGHUP)
        await trial.under_fault(0.05)
    gateway.write(gateway.config)
    trial.mended()
    await trial.steady()
    _note_growth(trial, size)


async def bad_reloads(trial: Trial) -> None:
    """Files that cannot be used, or are not there; the old one serves on."""
    gateway = trial.gateway
    good = gateway.path.read_bytes()
    bad = [
        good + b"\nunknown: 1\n",
        b"",
        good.replace(b"rule: protected", b"rule: protekted"),
        b"\x00\xff",
        good[: len(good) // 2],
    ]
    trial.fault()
    for content in bad:
        gateway.path.write_bytes(content)
        gateway.signal(signal.SIGHUP)
        await trial.under_fault(0.15)
    gateway.path.unlink()
    gateway.signal(signal.SIGHUP)
    await trial.under_fault(0.15)
    trial.require(bool(gateway.lines("configuration refused")), "no log line")
    gateway.path.write_bytes(good)
    gateway.signal(signal.SIGHUP)
    trial.mended()
    await trial.steady()


def _note_growth(trial: Trial, size: dict[int, tuple[int, int]]) -> None:
    for pid, (memory, opened) in size.items():
        more, files = resident(pid) - memory, descriptors(pid) - opened
        trial.notes.append(f"{more:+} KiB, {files:+} descriptors")


def _two(
    name: str, what: str, act: Callable[[Trial], Awaitable[None]], **more: Any
) -> Row:
    fields: dict[str, Any] = {"site": plain, "shared": False, **more}
    return Row(
        name=name, what=what, act=act, kinds=ORDINARY, workers=2, **fields
    )  # fmt: skip


_LOSES = {
    "may_lose": _IN_FLIGHT,
    "may_truncate": True,
    "may_cut_streams": _IN_FLIGHT,
}
_HEALTHY = {"healthy": tuple(ORDINARY), "shared": True}
ROWS = (
    _two("reload", "20 reloads by SIGHUP", reloads, **_HEALTHY),
    _two(
        "reload-bad", "SIGHUP with files that cannot be used", bad_reloads, **_HEALTHY
    ),
    _two("worker-killed", "one of two workers is killed", worker_killed, **_LOSES),
    _two(
        "parent-killed",
        "the supervisor is killed and the gateway started again",
        parent_killed,
        may_refuse="until it was started again",
        **_LOSES,
    ),
    _broken_logs("full", _full),
    _broken_logs("stuck", _pipe),
    _broken_logs("closed", _pipe, closes=True),
    _two(
        "tmpdir-full",
        "TMPDIR is full and then removed; a worker is killed meanwhile",
        temporary_full,
        site=small_files,
        **_LOSES,
    ),
    Row(
        name="descriptors",
        what="more connections than descriptors",
        site=few_descriptors,
        act=out_of_descriptors,
        kinds=ORDINARY,
        delays=None,
        may_lose="what waits for a descriptor longer than its client does",
        may_cut_streams="a WebSocket that was closed cannot be opened meanwhile",
        shared=False,
    ),
    _two(
        "sigterm",
        "SIGTERM, and a new start",
        terminated,
        site=hurried,
        may_refuse="from the signal until it was started again",
        may_cut_streams="closed with 1001 as the gateway stops",
    ),
)
