"""How many instructions a request takes in the gateway, counted by callgrind.

    python -m tests.bench.instructions [TREE ...] [--workload small post newconn]

A tree is a checkout or a revision, as in `tests.bench.ab`. The count varies by a few
percent, whatever else the machine does; it leaves the kernel out, and it holds for one
build of Python. The program runs about fifty times slower meanwhile.
"""

import argparse
import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Final

import yaml

from tests.bench.ab import checkout
from tests.bench.backends import Backends, backends
from tests.bench.client import FIELDS, Load
from tests.bench.processes import Program, prepare, running, wait_until
from tests.bench.systems.gateway import HERE, TOKEN, USUAL, command, config
from tests.bench.systems.system import System, UnavailableError
from tests.servers import free_port

COUNTED: Final[Mapping[str, Load]] = {
    "small": Load(),
    "post": Load(method="POST", page="/upload", body_bytes=256),
    "newconn": Load(new_connections=True),
}
_REQUESTS: Final = 40
_DUMPS: Final = 5
_IDLE_SECONDS: Final = 4
_START_SECONDS: Final = 240.0


def count(
    tree: Path, back: Backends, workloads: Sequence[str] = tuple(COUNTED)
) -> dict[str, float]:
    """Return the instructions of one request, for each workload.

    Raises:
        UnavailableError: valgrind is missing, or the gateway does not answer in it.
    """
    if shutil.which("valgrind") is None:
        raise UnavailableError("valgrind is not installed: apt-get install valgrind")
    port, folder = free_port(), Path(tempfile.mkdtemp(dir=back.folder))
    file = folder / "gateway.yaml"
    found = config(back, port, USUAL)
    # At this speed the default would often be exceeded: that is a 503.
    found["redis"]["timeout"] = "10s"
    file.write_text(yaml.safe_dump(found))
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    valgrind += [f"--callgrind-out-file={folder}/counts", *command(tree, file)]
    # Where a dict puts its keys would else differ from start to start.
    seed = {"PYTHONHASHSEED": "0"}
    with running("callgrind", valgrind, folder, cwd=tree, env=seed) as program:
        system = System(
            name="gateway",
            port=port,
            program=program,
            path=TOKEN,
            cookies=back.gateway_cookies[:1],
        )
        if not wait_until(lambda: system.status() == 200, program, _START_SECONDS):
            raise UnavailableError(f"it does not start: {program.last_words()}")
        return {name: _count(system, COUNTED[name], folder) for name in workloads}


def _count(system: System, load: Load, folder: Path) -> float:
    """Return the median of some dumps, each of the same number of requests.

    What the program does in the same time without requests is taken off: its timers
    run by the clock, and a slow run has more of them.
    """
    ask(system, load, _REQUESTS)
    _control(system.program, "--instr=on")
    idle, seconds = _counted(folder, system.program, lambda: time.sleep(_IDLE_SECONDS))
    rate = idle / seconds
    found = []
    for _ in range(_DUMPS):
        number, seconds = _counted(
            folder, system.program, lambda: ask(system, load, _REQUESTS)
        )
        found.append((number - rate * seconds) / _REQUESTS)
    _control(system.program, "--instr=off")
    return median(found)


def _counted(
    folder: Path, program: Program, work: Callable[[], None]
) -> tuple[int, float]:
    """Return the instructions meanwhile, and the seconds."""
    before = set(folder.glob("counts.*"))
    _control(program, "--zero")
    start = time.monotonic()
    work()
    _control(program, "--dump")
    seconds = time.monotonic() - start
    dumps = set(folder.glob("counts.*")) - before
    return sum(total(dump.read_text()) for dump in dumps), seconds


def total(dump: str) -> int:
    """Return the instructions of a dump of callgrind."""
    for line in dump.splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    return 0


def _control(program: Program, what: str) -> None:
    subprocess.run(
        ["callgrind_control", what, str(program.pid)], check=True, capture_output=True
    )


def ask(system: System, load: Load, number: int) -> None:
    """Send requests one after the other.

    Raises:
        RuntimeError: one was not answered with 200.
    """
    fields = {**FIELDS, "Cookie": system.cookies[0]}
    if load.new_connections:
        fields["Connection"] = "close"
    body = b"x" * load.body_bytes or None
    line = http.client.HTTPConnection("127.0.0.1", system.port, timeout=60)
    with closing(line):
        for _ in range(number):
            line.request(load.method, system.path + load.page, body, fields)
            answer = line.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the gateway answered {answer.status}")


def main() -> None:
    """Count for one tree or several."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="*", metavar="TREE", default=[str(HERE)])
    parser.add_argument("--workload", nargs="+", choices=COUNTED, default=list(COUNTED))
    wanted = parser.parse_args()
    prepare()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory())
        back = stack.enter_context(backends(Path(name), sessions=1))
        first: dict[str, float] = {}
        for tree in wanted.trees:
            found = count(checkout(tree, Path(name)), back, wanted.workload)
            first = first or found
            for workload, number in found.items():
                by = number / first[workload]
                print(f"{tree}  {workload}: {number:,.0f} instructions  {by:.3f}")


if __name__ == "__main__":
    main()
