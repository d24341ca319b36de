"""The parent of several workers: holds their sockets, forks and restarts them.

It runs no event loop and no thread, so that it can always fork, and it waits for
only signals and the next moment at which there is something to do. What it
logs goes through the same nonblocking sink as everything else: neither a full disk
nor a reader that is gone can end it.

| signal | what |
| --- | --- |
| SIGTERM, SIGINT | SIGTERM to the workers; the second one is SIGKILL |
| SIGHUP | the same to the workers |
| SIGCHLD | a worker ended, or a process that was left to PID 1 |
| SIGUSR1, from a worker | it was asked to stop on its own, and wants a successor |
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import uvloop

from gateway.errors import CannotListen
from gateway.observe.logs import LogOutput
from gateway.observe.shared import SharedCounts
from gateway.observe.tally import retain_counters
from gateway.server.sockets import Listeners
from gateway.tokens.ring import KeyRing
from gateway.workers.failure import UNUSABLE, exit_code_of
from gateway.workers.parent import end_with
from gateway.workers.watching import Fingerprint
from gateway.workers.worker import Launch, Post, serve

_QUICK: Final = 5.0
"""Seconds of life below which a worker is taken to have failed."""
_PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a worker is started again, by how often it failed in a row."""
_KILL_AFTER: Final = 4.0
"""Seconds after `drain` in which workers that are left are killed."""
_SIGNALS: Final = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGCHLD,
        signal.SIGUSR1,
    }
)


@dataclass(slots=True, kw_only=True)
class _Slot:
    """One of the workers that there have to be: it runs, or is due to be started."""

    first: bool
    listeners: Listeners | None = None
    pid: int = 0
    place: int = 0
    born: float = 0.0
    again: bool = False
    """Whether the worker replaces one that ended."""
    failures: int = 0
    due: float = 0.0


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Keeps a number of workers alive until it is stopped."""

    launch: Launch
    ring: KeyRing
    known: Fingerprint
    output: LogOutput
    listeners: Listeners
    """Claimed for this instance; they become the first worker's."""
    count: int
    _slots: list[_Slot] = field(default_factory=list)
    _leaving: dict[int, int] = field(default_factory=dict)
    """Workers that have a successor: process id to place."""
    _shared: SharedCounts | None = None
    _stopping: bool = False
    _unusable: bool = False
    _kill_at: float = float("inf")
    _code: int = 0
    _mask: set[int] = field(default_factory=set)
    _parent: int = field(default_factory=os.getpid)
    _log: Any = field(default_factory=lambda: structlog.get_logger("gateway"))

    def run(self) -> int:
        """Supervise until stopped; return the exit code."""
        try:
            # Two places each: a worker that drains has a successor already.
            self._shared = SharedCounts(2 * self.count)
        except OSError as error:
            self._log.warning(
                "metrics are per worker: no shared memory", error=error.strerror
            )
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))
        self._slots = [_Slot(first=at == 0) for at in range(self.count)]
        self._slots[0].listeners = self.listeners
        for slot in self._slots:
            self._start(slot)
        while self._leaving or not self._stopping or any(s.pid for s in self._slots):
            self._take_signal()
            self._bury()
            self._act_on_time()
        return 1 if self._unusable else self._code

    # What is waited for

    def _take_signal(self) -> None:
        due = [slot.due for slot in self._slots if not slot.pid]
        moment = min([self._kill_at] if self._stopping else [self._kill_at, *due])
        wait = min(max(0.0, moment - time.monotonic()), 3600.0)
        found = signal.sigtimedwait(_SIGNALS, wait)
        if found is None:
            return
        match found.si_signo:
            case signal.SIGTERM | signal.SIGINT:
                self._stop(found.si_signo)
            case signal.SIGHUP:
                self._send(signal.SIGHUP)
            case signal.SIGUSR1:
                self._succeed(found.si_pid)
            case _:
                return

    def _act_on_time(self) -> None:
        now = time.monotonic()
        if now >= self._kill_at:
            self._kill_at = float("inf")
            self._log.error("workers did not stop in time; killing them")
            self._send(signal.SIGKILL)
        if self._stopping:
            return
        for slot in self._slots:
            if not slot.pid and now >= slot.due:
                self._start(slot, again=True)

    def _stop(self, number: int) -> None:
        if self._stopping:
            # SIGKILL, and not the signal again: it ends a stopped worker, too.
            self._code = 128 + number
            self._send(signal.SIGKILL)
            return
        self._stopping = True
        drain = self.launch.loaded.config.server.timeouts.drain
        self._kill_at = time.monotonic() + drain + _KILL_AFTER
        for slot in self._slots:
            if slot.listeners is not None:
                slot.listeners.close()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for pid in (*self._leaving, *(slot.pid for slot in self._slots if slot.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _succeed(self, pid: int) -> None:
        """Start a successor for a worker that was asked to stop by someone else."""
        if self._stopping or signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
            return
        for slot in self._slots:
            if slot.pid == pid and pid:
                self._log.info("worker is stopping; starting another", worker=pid)
                self._leaving[pid] = slot.place
                slot.pid, slot.failures = 0, 0
                self._start(slot, again=True)

    # Ends

    def _bury(self) -> None:
        """Collect every child that ended; some are none of the workers (PID 1)."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._ended(found[0], os.waitstatus_to_exitcode(found[1]))

    def _ended(self, pid: int, code: int) -> None:
        if (place := self._leaving.pop(pid, None)) is not None:
            self._retire(place)
            return
        for slot in self._slots:
            if slot.pid == pid:
                slot.pid = 0
                self._retire(slot.place)
                if not self._stopping:
                    self._plan(slot, pid, code)

    def _retire(self, place: int) -> None:
        if self._shared is not None:
            with contextlib.suppress(OSError, ValueError):
                self._shared.retire(place, retain_counters)

    def _plan(self, slot: _Slot, pid: int, code: int) -> None:
        """Decide when the successor of a worker starts."""
        now = time.monotonic()
        if code == UNUSABLE and not slot.again:
            # It said why. The next one would say the same.
            self._unusable = True
            self._stop(signal.SIGTERM)
            return
        slot.failures = slot.failures + 1 if now - slot.born < _QUICK else 1
        self._wait(slot, worker=pid, ended=_ending(code))

    def _wait(self, slot: _Slot, **fields: object) -> None:
        pause = _PAUSES[min(slot.failures, len(_PAUSES)) - 1]
        slot.due = time.monotonic() + pause
        log = self._log.error if slot.failures > 2 else self._log.warning
        log(
            "worker ended; starting another",
            **fields,
            failures=slot.failures,
            pause_seconds=pause,
        )
        others = [one for one in self._slots if one.listeners and one is not slot]
        if pause and others and slot.listeners is not None:
            # Clients that connect to it meanwhile would wait: the others are there.
            # The last sockets stay, as they claim the addresses for this instance.
            slot.listeners.close()
            slot.listeners = None

    # Beginnings

    def _start(self, slot: _Slot, *, again: bool = False) -> None:
        slot.born, slot.again = time.monotonic(), again
        try:
            if slot.listeners is None:
                slot.listeners = self._sibling()
            slot.place = self._free_place()
            pid = os.fork()
        except (OSError, CannotListen) as error:
            slot.failures += 1
            self._wait(slot, error=getattr(error, "strerror", None) or str(error))
            return
        if pid == 0:
            self._be_worker(slot)
        slot.pid = pid

    def _sibling(self) -> Listeners:
        opened = [one.listeners for one in self._slots if one.listeners is not None]
        return opened[0].sibling()

    def _free_place(self) -> int:
        taken = {slot.place for slot in self._slots if slot.pid}
        taken.update(self._leaving.values())
        return next(at for at in range(1, 2 * self.count + 1) if at not in taken)

    def _be_worker(self, slot: _Slot) -> None:
        """Serve in the child; never returns."""
        code = 1
        try:
            parent = self._parent
            end_with(parent)
            self.output.sink.discard()
            for other in self._slots:
                if other is not slot and other.listeners is not None:
                    other.listeners.close()
            # A reload that comes before its handler must not end it; what it has
            # read is compared with the files as soon as it serves.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            listeners = slot.listeners
            assert listeners is not None  # noqa: S101 - by _start
            post = Post(
                shared=self._shared,
                place=slot.place,
                first=slot.first,
                again=slot.again,
                stopping=lambda: os.kill(parent, signal.SIGUSR1),
            )
            code = uvloop.run(
                serve(self.launch, self.ring, listeners, known=self.known, post=post)
            )
        except BaseException as error:  # noqa: BLE001 - the last frame of a process
            code = exit_code_of(error)
        finally:
            os._exit(code)


def _ending(code: int) -> str:
    """Describe how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
