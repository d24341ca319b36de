"""One run of the comparison: all workloads on systems that are started once."""

import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, assert_never

from tests.bench.backends import backends
from tests.bench.figures import Row, Run, with_ratios
from tests.bench.install import Peers
from tests.bench.measuring import interleave
from tests.bench.special import Wanted, drift, idle, latency, messages, start
from tests.bench.systems.catalogue import Stage
from tests.bench.systems.system import System
from tests.bench.workloads import WORKLOADS, Measure, Workload

Progress = Callable[[Sequence[Row], Run], None]


def run(
    workloads: Sequence[str],
    systems: Sequence[str],
    wanted: Wanted,
    *,
    folder: Path,
    peers: Peers,
    progress: Progress,
) -> Run:
    """Measure; `progress` gets the rows of each workload, and the run so far.

    A workload that fails is left out with its reason, like a system that cannot
    be started.
    """
    rows: list[Row] = []
    with ExitStack() as stack:
        stage = Stage(stack, stack.enter_context(backends(folder)), peers)
        for key in workloads:
            workload = WORKLOADS[key]
            keys = [each for each in workload.systems if each in systems]
            if not keys:
                continue
            try:
                found = with_ratios(measure(workload, keys, stage, wanted))
            except (RuntimeError, OSError) as error:
                stage.left_out[workload.title] = str(error)
                continue
            rows += found
            progress(
                found, Run(about=about(wanted), left_out=stage.left_out, rows=rows)
            )
        return Run(about=about(wanted), left_out=stage.left_out, rows=rows)


def measure(
    workload: Workload, keys: Sequence[str], stage: Stage, wanted: Wanted
) -> list[Row]:
    """Return the rows of one workload, without ratios."""
    if workload.measure in _MEMORY:
        with stage.afresh() as fresh:
            return _measure(workload, keys, fresh, wanted)
    return _measure(workload, keys, stage, wanted)


_MEMORY: Final = (Measure.IDLE, Measure.IDLE_WEBSOCKETS)


def _measure(
    workload: Workload, keys: Sequence[str], stage: Stage, wanted: Wanted
) -> list[Row]:
    if workload.measure is Measure.START:
        return start(workload, keys, stage, wanted)
    started = [stage.system(key) for key in keys]
    systems = [system for system in started if system is not None]
    if not systems:
        return []
    match workload.measure:
        case Measure.CPU:
            return cpu(workload, systems, wanted, stage)
        case Measure.MESSAGES:
            return messages(workload, systems, wanted)
        case Measure.IDLE:
            return idle(workload, systems, wanted, upgrade=False)
        case Measure.IDLE_WEBSOCKETS:
            return idle(workload, systems, wanted, upgrade=True)
        case Measure.LATENCY:
            return latency(workload, systems, wanted, stage)
        case Measure.DRIFT:
            return drift(workload, systems, wanted, stage)
        case _:
            assert_never(workload.measure)


def cpu(
    workload: Workload, systems: Sequence[System], wanted: Wanted, stage: Stage
) -> list[Row]:
    """CPU time of a request, all systems and loads in turn."""
    names = [(system, name) for name in workload.loads for system in systems]
    jobs = [(system, workload.loads[name]) for system, name in names]
    found = interleave(jobs, wanted.rounds, wanted.seconds, stage.backends.folder)
    rows = []
    for (system, name), samples in zip(names, found, strict=True):
        failures: dict[str, int] = {}
        for each in samples:
            for kind, count in each.failures.items():
                failures[kind] = failures.get(kind, 0) + count
        rows.append(
            Row(
                workload=workload.title,
                system=system.name,
                load=name,
                rounds=[each.cpu_us for each in samples],
                extra={
                    "requests/s": median(each.per_second for each in samples),
                    "p50 ms": median(each.p50 for each in samples),
                    "p99 ms": median(each.p99 for each in samples),
                    "peak MiB": max(each.peak_mib for each in samples),
                },
                failures=failures,
            )
        )
    return rows


def about(wanted: Wanted) -> dict[str, str]:
    """Return what the figures depend on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit,
        "Python": python(),
        "machine": f"{os.cpu_count()} CPUs, {processor()}, {platform.system()} {platform.release()}",
        "rounds": f"{wanted.rounds} of {wanted.seconds:g} s",
        "load average": f"{os.getloadavg()[0]:.1f} at the end",
    }


def python() -> str:
    """Return the version and the build of this Python.

    Debian optimizes by rules of its own, which leave no trace in the configuration.
    """
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    of_debian = sys.base_prefix == "/usr" and Path("/etc/debian_version").exists()
    found = of_debian or "--enable-optimizations" in options
    optimized = "with" if found else "without"
    version = platform.python_version()
    return f"{version}, {optimized} profile-guided optimization"


def processor() -> str:
    """Return the name of the processor, or its kind."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
