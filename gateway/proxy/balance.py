"""Load balancing: the healthy target with the fewest connections in use. Pure."""

from collections.abc import Sequence

from gateway.proxy.health import Cause, Health
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream_connection import Connection


class Backend(Health):
    """One target: its address, its connections and its health."""

    __slots__ = ("address", "hosts", "idle", "in_use")

    def __init__(self, address: TargetAddress) -> None:
        super().__init__()
        self.address = address
        self.hosts: tuple[str, ...] = ()  # addresses of its name
        self.idle: list[Connection] = []  # last in, first out
        self.in_use = 0


class Balance:
    """Chooses the target of the next request."""

    __slots__ = ("_backends", "_next")

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = list(backends)
        self._next = 0

    def choose(
        self, tried: Sequence[Backend], now: float, *, safe: bool = True
    ) -> Backend:
        """Return a target that was not tried yet: healthy, with the fewest in use.

        An ejected target is probed by one request when its pause has passed. If it
        accepts connections but fails requests, the probe is a `safe` one (RFC 9110
        section 9.2.1). Without a healthy target, prefer one that accepts connections,
        then the one whose pause ends first. If every healthy target was tried, return
        the last of them again.
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
        """Return whether this target may be ejected.

        One target always stays. Server errors (5xx) may come from the requests or from
        a shared dependency, so they eject at most half of the targets.
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
