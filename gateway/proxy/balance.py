"""Which target of an upstream is next, by what is in use and what is ejected. Pure."""

from collections.abc import Sequence

from gateway.proxy.health import Cause, Health
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream_connection import Connection


class Backend(Health):
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

    __slots__ = ("_backends", "_next")

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = list(backends)
        self._next = 0

    def choose(
        self, tried: Sequence[Backend], now: float, *, safe: bool = True
    ) -> Backend:
        """Return the healthy target with the least in use, that was not tried yet.

        A target that was ejected is offered to one request when its time is over; if
        it takes connections but fails the requests, to a `safe` one (RFC 9110 section
        9.2.1). When none is healthy it is one that takes connections, or the one that
        has been down longest; when all that are healthy were tried, one that was tried.
        """
        backends = self._backends
        if len(backends) == 1:
            return backends[0]
        self._next = (self._next + 1) % len(backends)
        turned = backends[self._next :] + backends[: self._next]
        left = [
            backend
            for backend in turned
            if backend not in tried and backend.is_open(now, safe)
        ]
        if left:
            backend = min(left, key=_in_use)
            if backend.ejected:
                backend.probe(now)
            return backend
        answering = [
            backend
            for backend in turned
            if backend not in tried
            and backend.ejected
            and backend.cause is not Cause.CONNECT
        ]
        if tried and not answering:
            return tried[-1]
        backend = min(answering or turned, key=_down_until)
        backend.probing = True
        return backend

    def may_eject(self, backend: Backend, cause: Cause) -> bool:
        """Return whether the others can do without this target.

        One target always stays. Errors (5xx) may be those of the requests, or of what
        all targets share: they take out half of the targets at most.
        """
        others = [each for each in self._backends if each is not backend]
        if not any(not each.ejected for each in others):
            return False
        failing = sum(
            1 for each in others if each.ejected and each.cause is Cause.SERVER_ERROR
        )
        return cause is not Cause.SERVER_ERROR or failing < len(self._backends) // 2


def _in_use(backend: Backend) -> int:
    return backend.in_use


def _down_until(backend: Backend) -> float:
    return backend.down_until
