"""The time that decides: the wall clock, without its steps back.

A wall clock is set: by NTP, by an operator, when a virtual machine goes on. What ended
by it must not live again when it is set back, and a wrong step forward must not end
everything for good.

| the wall clock | what `Clock.now` does |
| --- | --- |
| runs, is slewed, steps forward by a second or less | follows it |
| steps forward by more | follows it, and keeps the line of before in mind |
| returns to within a minute of that line | goes on with that line: the step was undone |
| steps back otherwise | runs at half speed until the wall clock has caught up |
"""

import time
from collections.abc import Callable
from typing import Final

from gateway.sessions.authenticate import DOUBTED

SMALL: Final = 1.0
"""Seconds of a step forward that needs no second opinion."""
UNDONE: Final = 60.0
"""Seconds by which a wall clock that was corrected may miss the line of before."""
_SLEWED: Final = 0.5


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# Counts the time asleep, where there is such a clock: after it, expired is expired.
SINCE_BOOT: Final[Callable[[], float]] = (
    _since_boot if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Clock:
    """One process's notion of now, in seconds since the epoch.

    `wall` and `steady` are the clocks of the machine: the one that is set, and the one
    that only counts.
    """

    __slots__ = ("_at", "_before", "_line", "_steady", "_stepped", "_wall")

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = SINCE_BOOT,
    ) -> None:
        self._wall, self._steady = wall, steady
        # Always in this order: a pause between the two reads moves nothing ahead.
        self._line = wall()
        self._at = steady()
        self._before: float | None = None
        self._stepped = 0.0

    def now(self) -> float:
        """Return the time; never less than before, but for a step that was undone."""
        wall, steady = self._wall(), self._steady()
        # A machine that is moved to another host may have a count that starts anew.
        elapsed = max(0.0, steady - self._at)
        self._at = steady
        if self._before is not None:
            self._before += elapsed
        expected = self._line + elapsed
        ahead = wall - expected
        if ahead > SMALL:
            if self._before is None:
                self._before = expected
            self._stepped = steady
            self._line = wall
        elif ahead >= 0.0:
            self._line = wall
        elif self._before is not None and wall <= self._before + UNDONE:
            self._line, self._before = max(wall, self._before), None
        else:
            self._line = max(wall, self._line + elapsed * _SLEWED)
        return self._line

    def doubted(self) -> bool:
        """Tell whether the time stepped forward so lately that it may be undone."""
        return self._before is not None and self._steady() - self._stepped < DOUBTED
