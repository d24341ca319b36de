import sys
import time
from pathlib import Path

from tests.bench.processes import running, tree, wait_until

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "sum(range(20_000_000)); print('done', flush=True); import time; time.sleep(600)"])
child.wait()
"""


def test_the_work_of_a_child_counts(tmp_path: Path) -> None:
    with running("parent", [sys.executable, "-c", PARENT], tmp_path) as program:
        assert wait_until(lambda: "done" in program.log.read_text(), program)

        assert len(list(tree(program.pid))) == 2
        assert program.cpu_seconds() > 0.05
        assert program.peak_mib() > program.memory_mib() > 5


def test_a_program_ends_with_its_children(tmp_path: Path) -> None:
    with running("parent", [sys.executable, "-c", PARENT], tmp_path) as program:
        assert wait_until(lambda: len(list(tree(program.pid))) == 2, program)
        started = list(tree(program.pid))

    end = time.monotonic() + 10
    while any(map(_runs, started)) and time.monotonic() < end:
        time.sleep(0.005)  # a killed child is not ours to wait for
    assert not any(map(_runs, started))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_an_ended_program_is_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such file')"]
    with running("short", command, tmp_path) as program:
        assert not wait_until(lambda: False, program)

    assert program.last_words() == "no such file"
    assert program.cpu_seconds() == 0.0
