"""Memory that was freed is used again without page faults."""

import subprocess
import sys
from typing import Final

PROGRAM: Final = """
import resource, sys
from gateway.workers.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def burst():
    return [bytes(256 * 1024) for _ in range(32)]
for _ in range(3):
    burst()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    burst()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Return the page faults of bursts of large buffers in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_bursts_of_large_buffers_cost_no_page_faults() -> None:
    kept, by_default = faults("keep"), faults("default")

    assert kept * 10 < by_default
