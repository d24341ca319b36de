"""Processes and signals: who runs the app, what ends it, what reloads it.

| signal | what |
| --- | --- |
| SIGTERM, SIGINT | drain and stop; a second one stops at once |
| SIGHUP | read the configuration again; so does a change of the file |

With `server.workers` above 1 a supervisor forks that many processes, which share
the ports by SO_REUSEPORT, passes signals on, and replaces one that dies. It runs
no event loop and no thread, so that it can always fork.
"""

import os
import tempfile
import time
from pathlib import Path

import uvloop

from gateway.build import build_ring
from gateway.workers.supervisor import Supervisor
from gateway.workers.watching import fingerprint
from gateway.workers.worker import Launch, serve

__all__ = ["Launch", "run"]


def run(launch: Launch) -> int:
    """Run the gateway until it is told to stop; answers the exit code.

    Raises:
        ConfigError: the keys or the configuration cannot be used.
        OSError: an address cannot be listened on.
    """
    known = fingerprint(launch.loaded)
    ring = build_ring(launch.loaded, now=time.time())
    workers = launch.loaded.config.server.workers
    count = (os.cpu_count() or 1) if workers == "auto" else workers
    if count == 1:
        served = serve(launch, ring, known=known, reuse_port=False, folder=None)
        return uvloop.run(served)
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        return Supervisor(launch, ring, known, count, Path(folder)).run()
