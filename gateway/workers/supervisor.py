"""The parent of several workers: it forks them, passes signals on, replaces one that dies."""

import os
import signal
import sys
import time
from pathlib import Path

import uvloop

from gateway.observe.metrics import legacy
from gateway.tokens.ring import KeyRing
from gateway.workers.watching import Fingerprint
from gateway.workers.worker import Launch, serve

_QUICK = 1.0
"""Seconds of life below which a worker is taken to have failed at its start."""
_PAUSE = 1.0
"""Seconds before a worker that failed at its start is started again."""


class Supervisor:
    """Keeps a number of workers alive until it is stopped."""

    def __init__(
        self,
        launch: Launch,
        ring: KeyRing,
        known: Fingerprint,
        count: int,
        folder: Path,
    ) -> None:
        self._launch = launch
        self._ring = ring
        self._known = known
        self._count = count
        self._folder = folder
        self._born: dict[int, float] = {}
        self._first = 0
        self._stopping = False

    def run(self) -> int:
        """Keep `count` workers alive until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        for place in range(self._count):
            self._fork(first=place == 0)
        while self._born:
            try:
                pid, status = os.waitpid(-1, 0)
            except InterruptedError:
                continue
            except ChildProcessError:
                break
            self._buried(pid, os.waitstatus_to_exitcode(status))
        return 0 if self._stopping else 1

    def _buried(self, pid: int, code: int) -> None:
        lived = time.monotonic() - self._born.pop(pid, 0.0)
        if self._stopping:
            return
        sys.stderr.write(f"gateway: worker {pid} ended with {code}, replacing it\n")
        left = self._folder / f"{pid}.metrics"
        if left.exists():
            # Its counters stay in the sum, or they would seem to be reset; what it
            # had open is gone with it.
            fresh = left.with_suffix(".new")
            fresh.write_bytes(legacy(left.read_bytes()))
            fresh.replace(left)
        if lived < _QUICK:
            time.sleep(_PAUSE)
        if not self._stopping:
            self._fork(first=pid == self._first, again=True)

    def _fork(self, *, first: bool, again: bool = False) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(first, again)
        self._born[pid] = time.monotonic()
        if first:
            self._first = pid

    def _be_worker(self, first: bool, again: bool) -> None:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            code = uvloop.run(
                serve(
                    self._launch,
                    self._ring,
                    known=self._known,
                    reuse_port=True,
                    folder=self._folder,
                    first=first,
                    again=again,
                )
            )
        except Exception as error:  # noqa: BLE001 - the last frame of a process
            sys.stderr.write(f"gateway: {type(error).__name__}: {error}\n")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _pass_on(self, number: int, _frame: object) -> None:
        if number != signal.SIGHUP:
            self._stopping = True
        for pid in tuple(self._born):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
