"""Which target of an upstream is next, by what is in use and what is ejected. Pure."""

from collections.abc import Sequence

from gateway.proxy.health import Cause, Health
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream_connection import Connection


class Slot(Health):
    """One target, what is open to it, and how it has been doing."""

    __slots__ = ("address", "hosts", "idle", "in_use")

    def __init__(self, address: TargetAddress) -> None:
        super().__init__()
        self.address = address
        self.hosts: tuple[str, ...] = ()  # what its name was resolved to
        self.idle: list[Connection] = []  # the one used last is taken first
        self.in_use = 0


class Balance:
    """The order in which targets are asked."""

    __slots__ = ("_next", "_slots")

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = list(slots)
        self._next = 0

    def choose(self, tried: Sequence[Slot], now: float, *, safe: bool = True) -> Slot:
        """Return the healthy target with the least in use, that was not tried yet.

        A target that was ejected is offered to one request when its time is over; if
        it takes connections but fails the requests, to a `safe` one (RFC 9110 section
        9.2.1). When none is healthy it is one that takes connections, or the one that
        has been down longest; when all that are healthy were tried, one that was tried.
        """
        slots = self._slots
        if len(slots) == 1:
            return slots[0]
        self._next = (self._next + 1) % len(slots)
        turned = slots[self._next :] + slots[: self._next]
        left = [
            slot for slot in turned if slot not in tried and slot.is_open(now, safe)
        ]
        if left:
            slot = min(left, key=_in_use)
            if slot.ejected:
                slot.probe(now)
            return slot
        answering = [
            slot
            for slot in turned
            if slot not in tried and slot.ejected and slot.cause is not Cause.CONNECT
        ]
        if tried and not answering:
            return tried[-1]
        slot = min(answering or turned, key=_down_until)
        slot.probing = True
        return slot

    def may_eject(self, slot: Slot, cause: Cause) -> bool:
        """Return whether the others can do without this target.

        One target always stays. Errors (5xx) may be those of the requests, or of what
        all targets share: they take out half of the targets at most.
        """
        others = [each for each in self._slots if each is not slot]
        if not any(not each.ejected for each in others):
            return False
        failing = sum(
            1 for each in others if each.ejected and each.cause is Cause.SERVER_ERROR
        )
        return cause is not Cause.SERVER_ERROR or failing < len(self._slots) // 2


def _in_use(slot: Slot) -> int:
    return slot.in_use


def _down_until(slot: Slot) -> float:
    return slot.down_until
