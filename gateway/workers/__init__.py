"""Processes and signals: start, stop and reload.

| signal | what |
| --- | --- |
| SIGTERM, SIGINT | drain and stop; a second one stops at once |
| SIGHUP | read the configuration again; so does a change of the file |

With `server.workers` above 1 a supervisor forks that many processes, passes signals
on, and replaces one that dies. The addresses are bound here, before any of them, so
that a second instance is refused and has taken nothing.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import uvloop

from gateway.build.listeners import addresses_of
from gateway.build.ring import build_ring
from gateway.server.descriptors import raise_descriptor_limit
from gateway.server.sockets import Listeners, bind_all
from gateway.workers.supervisor import Supervisor
from gateway.workers.watching import fingerprint
from gateway.workers.worker import Launch, serve

__all__ = ["Launch", "run"]


def run(launch: Launch) -> int:
    """Run the gateway until it is stopped; return the exit code.

    Raises:
        ConfigError: the keys or the configuration cannot be used.
        CannotListen: an address is in use, or cannot be used.
    """
    # Until there is a handler, a reload would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_descriptor_limit()
    config = launch.loaded.config
    known = fingerprint(launch.loaded)
    ring = build_ring(launch.loaded, now=time.time())
    workers = config.server.workers
    count = (os.cpu_count() or 1) if workers == "auto" else workers
    with _bound(launch, workers=count > 1) as listeners:
        if count == 1:
            return uvloop.run(serve(launch, ring, listeners, known=known))
        output = launch.configure_logs()
        supervisor = Supervisor(
            launch=launch,
            ring=ring,
            known=known,
            output=output,
            listeners=listeners,
            count=count,
        )
        try:
            return supervisor.run()
        finally:
            output.sink.close()


@contextlib.contextmanager
def _bound(launch: Launch, *, workers: bool) -> Iterator[Listeners]:
    listeners = bind_all(
        addresses_of(launch.loaded.config),
        share=launch.share_addresses,
        workers=workers,
    )
    try:
        yield listeners
    finally:
        listeners.close()
        listeners.remove_files()
