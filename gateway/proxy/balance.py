"""Which target of an upstream is next, by what is in use and what has failed. Pure."""

from collections.abc import Sequence

from gateway.proxy.connection import Connection
from gateway.proxy.target import TargetAddress

_FIRST_PAUSE = 1.0  # seconds for which a target is left out after a failed connect
_LONGEST_PAUSE = 30.0


class Slot:
    """One target, what is open to it, and how it has been doing."""

    __slots__ = ("address", "down_until", "failures", "idle", "in_use")

    def __init__(self, address: TargetAddress) -> None:
        self.address = address
        self.idle: list[Connection] = []  # the one used last is taken first
        self.in_use = 0
        self.failures = 0
        self.down_until = 0.0

    def failed(self, now: float) -> None:
        """Leave the target out for a while, longer each time."""
        self.failures += 1
        self.down_until = now + _pause(self.failures)

    def works(self) -> None:
        """Take it back."""
        self.failures = 0
        self.down_until = 0.0


class Balance:
    """The order in which targets are asked."""

    __slots__ = ("_next", "_slots")

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = list(slots)
        self._next = 0

    def choose(self, tried: Sequence[Slot], now: float) -> Slot:
        """Return the healthy target with the least in use, that was not tried yet.

        A target that failed is offered to one request when its pause is over. When
        none is healthy it is the one that has been down longest; when all that are
        healthy were tried, one that was tried.
        """
        slots = self._slots
        if len(slots) == 1:
            return slots[0]
        self._next = (self._next + 1) % len(slots)
        turned = slots[self._next :] + slots[: self._next]
        healthy = [slot for slot in turned if slot.down_until <= now]
        left = [slot for slot in healthy if slot not in tried]
        if left:
            slot = min(left, key=_in_use)
            if slot.failures:
                slot.down_until = now + _pause(slot.failures)
            return slot
        return tried[-1] if tried else min(turned, key=_down_until)


def _in_use(slot: Slot) -> int:
    return slot.in_use


def _down_until(slot: Slot) -> float:
    return slot.down_until


def _pause(failures: int) -> float:
    return float(min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE))
