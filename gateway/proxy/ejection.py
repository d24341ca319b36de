"""What requests meet at the targets of an upstream, and what follows from it."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.proxy.balance import Balance, Slot
from gateway.proxy.health import IN_A_ROW, Cause, TargetChange

_WITHIN: Final = 30.0
"""Seconds in which the failures at one address of a name are counted."""


class Ejection:
    """Ejects targets and takes them back; reports each change.

    `avoid` is called with a target and an address of its name at which requests fail.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        balance: Balance,
        *,
        clock: Callable[[], float],
        on_change: Callable[[TargetChange], None] | None,
        avoid: Callable[[Slot, str], None],
    ) -> None:
        self._balance = balance
        self._clock = clock
        # Of one target there is no choice, and so no news.
        self._on_change = on_change if len(slots) > 1 else None
        self._avoid = avoid
        self._failing: dict[tuple[Slot, str], tuple[int, float]] = {}

    def refused(self, slot: Slot) -> None:
        """Count a connection that could not be made."""
        self._eject(slot, Cause.CONNECT)

    def connected(self, slot: Slot) -> None:
        """Count a connection that was made."""
        if slot.ejected and slot.cause is Cause.CONNECT:
            self._readmit(slot)

    def answered(self, slot: Slot, *, failed: bool) -> None:
        """Count a response head of a target that fails, or has failed before."""
        if failed:
            self._strike(slot, Cause.SERVER_ERROR)
        elif slot.ejected and slot.probing:
            self._readmit(slot)

    def completed(self, slot: Slot) -> None:
        """Forget what has failed before: a whole response has come."""
        if not slot.ejected:
            slot.forget()

    def unanswered(self, slot: Slot, host: str) -> None:
        """Count a request without a response, or without its end.

        Args:
            slot: the target.
            host: the address of its name that was connected to; "" if it has none.
        """
        self._strike(slot, Cause.NO_RESPONSE)
        if not host:
            return
        now = self._clock()
        count, since = self._failing.pop((slot, host), (0, now))
        if now - since > _WITHIN:
            count, since = 0, now
        if count + 1 < IN_A_ROW:
            self._failing[slot, host] = (count + 1, since)
        else:
            self._avoid(slot, host)

    def forget_addresses(self, slot: Slot) -> None:
        """Forget what failed at the addresses that its name had."""
        for each in [each for each in self._failing if each[0] is slot]:
            del self._failing[each]

    def silence(self) -> None:
        """Report nothing from now on."""
        self._on_change = None

    def _strike(self, slot: Slot, cause: Cause) -> None:
        if slot.ejected and not slot.probing:
            return  # a request from before it was ejected
        slot.strikes += 1
        if slot.strikes >= IN_A_ROW and (
            slot.ejected or self._balance.may_eject(slot, cause)
        ):
            self._eject(slot, cause)

    def _eject(self, slot: Slot, cause: Cause) -> None:
        was, now = slot.ejected, self._clock()
        slot.eject(cause, now)
        if self._on_change is not None and not was:
            self._on_change(
                TargetChange(
                    target=str(slot.address),
                    ejected=True,
                    cause=cause,
                    failures=1 if cause is Cause.CONNECT else slot.strikes,
                    seconds=slot.down_until - now,
                )
            )

    def _readmit(self, slot: Slot) -> None:
        slot.readmit()
        if self._on_change is not None:
            change = TargetChange(
                target=str(slot.address), ejected=False, cause=slot.cause
            )
            self._on_change(change)
