"""Outlier ejection: counts failures of targets, ejects and readmits them."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.proxy.balance import Backend, Balance
from gateway.proxy.health import IN_A_ROW, Cause, TargetChange

_WITHIN: Final = 30.0
"""Seconds within which failures at one address of a name are counted."""


class Ejection:
    """Ejects and readmits targets; reports each change.

    `avoid` is called with a target and the address of its name at which requests fail.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        balance: Balance,
        *,
        clock: Callable[[], float],
        on_change: Callable[[TargetChange], None] | None,
        avoid: Callable[[Backend, str], None],
    ) -> None:
        self._balance = balance
        self._clock = clock
        # A single target is never left out, so there is nothing to report.
        self._on_change = on_change if len(backends) > 1 else None
        self._avoid = avoid
        self._failing: dict[tuple[Backend, str], tuple[int, float]] = {}

    def refused(self, backend: Backend) -> None:
        """Count a failed connection attempt."""
        self._eject(backend, Cause.CONNECT)

    def connected(self, backend: Backend) -> None:
        """Count an established connection."""
        if backend.ejected and backend.cause is Cause.CONNECT:
            self._readmit(backend)

    def response_started(self, backend: Backend, *, failed: bool) -> None:
        """Count a response head of a target that fails, or had failed before."""
        if failed:
            self._strike(backend, Cause.SERVER_ERROR)
        elif backend.ejected and backend.probing:
            self._readmit(backend)

    def response_completed(self, backend: Backend) -> None:
        """Reset the failures of a target after a complete response."""
        if not backend.ejected:
            backend.forget()

    def request_failed(self, backend: Backend, host: str) -> None:
        """Count a request without a complete response.

        Args:
            backend: the target.
            host: the resolved address of the connection; "" for a target without a name.
        """
        self._strike(backend, Cause.NO_RESPONSE)
        if not host:
            return
        now = self._clock()
        count, since = self._failing.pop((backend, host), (0, now))
        if now - since > _WITHIN:
            count, since = 0, now
        if count + 1 < IN_A_ROW:
            self._failing[backend, host] = (count + 1, since)
        else:
            self._avoid(backend, host)

    def forget_addresses(self, backend: Backend) -> None:
        """Reset the failures by address: the name has other addresses now."""
        for each in [each for each in self._failing if each[0] is backend]:
            del self._failing[each]

    def silence(self) -> None:
        """Report nothing from now on."""
        self._on_change = None

    def _strike(self, backend: Backend, cause: Cause) -> None:
        if backend.ejected and not backend.probing:
            return  # sent before the ejection
        backend.strikes += 1
        if backend.strikes >= IN_A_ROW and (
            backend.ejected or self._balance.may_eject(backend, cause)
        ):
            self._eject(backend, cause)

    def _eject(self, backend: Backend, cause: Cause) -> None:
        was, now = backend.ejected, self._clock()
        backend.eject(cause, now)
        if self._on_change is not None and not was:
            self._on_change(
                TargetChange(
                    target=str(backend.address),
                    ejected=True,
                    cause=cause,
                    failures=1 if cause is Cause.CONNECT else backend.strikes,
                    seconds=backend.down_until - now,
                )
            )

    def _readmit(self, backend: Backend) -> None:
        backend.readmit()
        if self._on_change is not None:
            change = TargetChange(
                target=str(backend.address), ejected=False, cause=backend.cause
            )
            self._on_change(change)
