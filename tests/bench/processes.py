"""Programs on one core, with the CPU time and the memory of their process trees.

The system under test has the first core of this process, everything else the last
one: the load client, Redis and the upstream take nothing from what is measured.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CORES: Final = sorted(os.sched_getaffinity(0))
SYSTEM_CORE: Final = (_CORES[0],)
OTHER_CORE: Final = (_CORES[-1],)
EVERY_CORE: Final = tuple(_CORES)

STOP_SECONDS: Final = 15.0
# A thread that ends, or a process that does, takes its directory with it.
_GONE: Final = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Program:
    """A running program; `log` holds what it printed."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    started: float
    """By the monotonic clock."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_seconds(self) -> float:
        """Return the time that its threads were on a CPU, exact to the nanosecond.

        /proc/PID/stat is sampled by the clock tick, and is coarse for a program
        that runs for less than a tick at a time.
        """
        return sum(_on_cpu(pid) for pid in tree(self.pid)) / 1e9

    def memory_mib(self) -> float:
        """Return the memory of the tree; a shared page counts once (PSS)."""
        return sum(_kib(pid, "smaps_rollup", "Pss") for pid in tree(self.pid)) / 1024

    def peak_mib(self) -> float:
        """Return the sum of the peaks; what processes share counts for each."""
        return sum(_kib(pid, "status", "VmHWM") for pid in tree(self.pid)) / 1024

    def forget_peak(self) -> None:
        """Let the peak begin at what is used now (proc(5): clear_refs, 5)."""
        for pid in tree(self.pid):
            with suppress(*_GONE):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def last_words(self) -> str:
        """Return the end of its log, for a message."""
        text = self.log.read_text(errors="replace")
        return text[-600:].strip() or f"no output; exit code {self.process.poll()}"


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    with suppress(*_GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(*_GONE):
                for child in (task / "children").read_text().split():
                    yield from tree(int(child))


def _on_cpu(pid: int) -> int:
    total = 0
    with suppress(*_GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(*_GONE):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def _kib(pid: int, file: str, field: str) -> int:
    with suppress(*_GONE):
        text = Path(f"/proc/{pid}/{file}").read_text()
        if found := re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE):
            return int(found[1])
    return 0


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    cores: Sequence[int] = SYSTEM_CORE,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Program]:
    """Run a program on `cores` in a process group of its own, which ends with it.

    Programs in Go get one thread of work for each of their cores.
    """
    log = folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.log"
    pinned = ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            pinned,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd or folder,
            env={**os.environ, "GOMAXPROCS": str(len(cores)), **(env or {})},
            start_new_session=True,
        )
    try:
        yield Program(name, process, log, started)
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the process group; one that does not stop in time is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            break
    # A child may outlive its parent.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def prepare() -> None:
    """Move this process to the core of the others, and let SIGTERM end it in order.

    What it starts without `running` stays on that core as well.
    """
    os.sched_setaffinity(0, OTHER_CORE)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def wait_until(
    ready: Callable[[], bool], program: Program, seconds: float = 30.0
) -> bool:
    """Poll `ready` until it is true; False if the program ends or time runs out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        if program.process.poll() is not None:
            return False
        time.sleep(0.005)
    return False
