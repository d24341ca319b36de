"""The clock for session lifetimes: the wall clock without its steps back.

A wall clock is adjusted by NTP, by an operator, and when a virtual machine resumes. An
expired session must stay expired when the clock is set back, and a wrong step forward
must not end every session permanently.

| the wall clock | what `Clock.now` does |
| --- | --- |
| runs, is slewed, steps forward by a second or less | follows it |
| steps forward by more | follows it, and remembers the previous time line |
| returns to within a minute of that line | returns to it: the step was undone |
| steps back otherwise | runs at half speed until the wall clock has caught up |
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.sessions.authenticate import DOUBTED

SMALL: Final = 1.0
"""Seconds of a step forward that is accepted as correct."""
UNDONE: Final = 60.0
"""Seconds by which a corrected wall clock may differ from the previous time line."""
_SLEWED: Final = 0.5


# CLOCK_BOOTTIME includes suspended time, so sessions expire during it.
SINCE_BOOT: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


class Clock:
    """The current time of one process, in seconds since the epoch.

    `wall` and `steady` are the adjustable and the monotonic clock of the machine;
    `before` is the previous time line, after a step forward that may be undone.
    """

    __slots__ = ("_at", "_line", "_steady", "_stepped", "_wall", "before")

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = SINCE_BOOT,
    ) -> None:
        self._wall, self._steady = wall, steady
        # In this order, so that a pause between the two reads never looks like a step.
        self._line = wall()
        self._at = steady()
        self.before: float | None = None
        self._stepped = 0.0

    def now(self) -> float:
        """Return the time; it decreases only when a step forward is undone."""
        wall, steady = self._wall(), self._steady()
        # After a migration to another host the monotonic clock may restart.
        elapsed = max(0.0, steady - self._at)
        self._at = steady
        if self.before is not None:
            self.before += elapsed
        expected = self._line + elapsed
        ahead = wall - expected
        if ahead > SMALL:
            if self.before is None:
                self.before = expected
            self._stepped = steady
            self._line = wall
        elif ahead >= 0.0:
            self._line = wall
        elif self.before is not None and wall <= self.before + UNDONE:
            self._line, self.before = max(wall, self.before), None
        else:
            self._line = max(wall, self._line + elapsed * _SLEWED)
        return self._line

    def doubted(self) -> bool:
        """Return whether the time stepped forward so recently that it may be undone."""
        return self.before is not None and self._steady() - self._stepped < DOUBTED
