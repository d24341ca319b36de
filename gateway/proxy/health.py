"""Health of one target: passive outlier detection. Pure.

| event | effect |
| --- | --- |
| a connection attempt fails or times out | ejected at once |
| no response: closed, reset, timed out, invalid | ejected after 5 in a row |
| a response of 500 or above, but 501 and 505 | ejected after 5 in a row |
| ejected | for 1 s, then 2, 4 … 30 s; then one request probes it |
| the probe succeeds | readmitted; the next failure ejects it again |
| a complete response | all counters are reset |
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

IN_A_ROW: Final = 5
"""Failures without a success in between; as in Envoy's outlier detection."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Cause(StrEnum):
    """Why a target is ejected."""

    CONNECT = "connect"
    NO_RESPONSE = "no_response"
    SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """A target was ejected or readmitted; `seconds` until it is probed."""

    target: str
    ejected: bool
    cause: Cause
    failures: int = 0
    seconds: float = 0.0


class Health:
    """The state of one target."""

    __slots__ = ("cause", "down_until", "ejected", "failures", "probing", "strikes")

    def __init__(self) -> None:
        self.strikes = 0  # consecutive failures; not zero while ejected
        self.failures = 0  # ejections since the last complete response
        self.ejected = False
        self.probing = False
        self.down_until = 0.0
        self.cause = Cause.CONNECT

    def is_open(self, now: float, safe: bool) -> bool:
        """Return whether the target may receive the next request.

        An unsafe request may probe only if no safe one did for a second pause.
        """
        if not self.ejected:
            return True
        if safe or self.cause is Cause.CONNECT:
            return self.down_until <= now
        return self.down_until + self._pause() <= now

    def probe(self, now: float) -> None:
        """Allow one probing request; another one after a further pause."""
        self.probing = True
        self.down_until = now + self._pause()

    def eject(self, cause: Cause, now: float) -> None:
        """Eject the target for a pause that doubles each time."""
        self.failures += 1
        self.strikes = max(self.strikes, IN_A_ROW)
        self.ejected = True
        self.probing = False
        self.cause = cause
        self.down_until = now + self._pause()

    def readmit(self) -> None:
        """Readmit the target; one more failure ejects it again."""
        self.ejected = self.probing = False
        self.down_until = 0.0
        self.strikes = IN_A_ROW - 1

    def forget(self) -> None:
        """Reset the counters of failures."""
        self.strikes = self.failures = 0

    def _pause(self) -> float:
        doubled = _FIRST_PAUSE * 2 ** min(max(self.failures - 1, 0), 10)
        return float(min(doubled, _LONGEST_PAUSE))
