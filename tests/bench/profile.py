"""Where the CPU time of a request goes, by stage: samples of py-spy.

    python -m tests.bench.profile [TREE ...] [--workload small] [--seconds 10]

A tree is a checkout or a revision, as in `tests.bench.ab`; several are columns of one
table. A sample counts for the innermost function of the gateway on its stack, so that
a library's time is that of the stage that called it. py-spy is installed with the
peers: `python -m tests.bench install`.
"""

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.ab import WORKLOADS, checkout
from tests.bench.backends import Backends, backends
from tests.bench.install import Peers, default_folder
from tests.bench.measuring import Sample, sample
from tests.bench.processes import OTHER_CORE, Program, prepare
from tests.bench.systems.gateway import HERE, gateway
from tests.bench.systems.system import UnavailableError

# By the start of a path below gateway/; the longest that fits counts.
STAGES: Final[Mapping[str, str]] = {
    "server/request_reader": "read and parse the request",
    "server/read_request": "read and parse the request",
    "server/body": "read and parse the request",
    "http": "read and parse the request",
    "server/client_connection": "connection",
    "server/listener": "connection",
    "net": "connection",
    "server": "pipeline",
    "spine": "decide",
    "decision": "decide",
    "tenants": "decide",
    "routes": "decide",
    "sessions": "session, identity, token",
    "tokens": "session, identity, token",
    "sessions/redis": "Redis",
    "outbound": "outbound head",
    "proxy": "upstream exchange",
    "server/sending": "send the response",
    "server/response_head": "send the response",
    "observe": "access log and metrics",
}
OTHER: Final = "event loop, kernel, other"
_FRAME: Final = re.compile(r"\(([^():]*\bgateway/([a-z0-9_/]+)\.py)(?::\d+)?\)")
_RATE: Final = 250


def stage_of(stack: str) -> str:
    """Return the stage of a stack: frames from the outermost, joined by semicolons."""
    frames = _FRAME.findall(stack)
    if not frames:
        return OTHER
    module = frames[-1][1]
    fitting = [each for each in STAGES if _below(module, each)]
    return STAGES[max(fitting, key=len)] if fitting else OTHER


def _below(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith((f"{prefix}/", f"{prefix}_"))


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Return the part of each stage, of lines of a stack and its number of samples.

    Raises:
        ValueError: there is no sample.
    """
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if stack:
            found[stage_of(stack)] += int(number)
    if not found:
        raise ValueError("the profiler took no sample")
    return {stage: n / found.total() for stage, n in found.most_common()}


def table(columns: Mapping[str, tuple[Sample, Mapping[str, float]]]) -> str:
    """Return a Markdown table: stages by their part in the first column."""
    stages: dict[str, None] = {}
    for _, parts in columns.values():
        stages.update(dict.fromkeys(parts))
    head = ["Stage"]
    for name in columns:
        head += [f"{name}: %", "µs"]
    rows = [head, ["---"] * len(head)]
    for stage in stages:
        row = [stage]
        for taken, parts in columns.values():
            part = parts.get(stage, 0.0)
            row += [f"{part * 100:.0f}", f"{part * taken.cpu_us:.1f}"]
        rows.append(row)
    total = ["all"]
    for taken, _ in columns.values():
        total += ["100", f"{taken.cpu_us:.1f}"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*rows, total])


def record(
    tree: Path, workload: str, seconds: int, back: Backends, spy: Path
) -> tuple[Sample, dict[str, float]]:
    """Load the gateway of a tree and sample it meanwhile.

    Raises:
        UnavailableError: py-spy failed.
    """
    path, load, options = WORKLOADS[workload]
    raw = back.folder / f"{tree.name}.raw"
    with gateway(back, tree=tree, options=options, name=f"profiled {tree}") as started:
        system = started.at(path, "gateway")
        sample(system, load, 2, back.folder)
        with _sampling(spy, system.program, seconds, raw) as process:
            taken = sample(system, load, seconds + 1, back.folder)
            _, error = process.communicate(timeout=60)
    if process.returncode:
        raise UnavailableError(f"py-spy failed: {error.decode()[-300:]}")
    return taken, shares(raw.read_text().splitlines())


def _sampling(
    spy: Path, program: Program, seconds: int, raw: Path
) -> "subprocess.Popen[bytes]":
    """Sample for some seconds, from the other core and without stopping the program."""
    command = ["taskset", "-c", str(OTHER_CORE[0]), str(spy), "record", "--nonblocking"]
    command += ["--format", "raw", "--full-filenames", "--rate", str(_RATE)]
    command += ["--duration", str(seconds), "--pid", str(program.pid), "-o", str(raw)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def main() -> None:
    """Profile one tree or several."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="*", metavar="TREE", default=[str(HERE)])
    parser.add_argument("--workload", choices=WORKLOADS, default="small")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=default_folder())
    wanted = parser.parse_args()
    prepare()
    spy = Peers(wanted.cache).program("py-spy")
    columns = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        back = stack.enter_context(backends(folder))
        for tree in wanted.trees:
            found = checkout(tree, folder)
            taken = record(found, wanted.workload, wanted.seconds, back, spy)
            columns[found.name] = taken
    print(table(columns))


if __name__ == "__main__":
    main()
