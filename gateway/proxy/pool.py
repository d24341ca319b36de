"""The connection pool of one upstream."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gateway.errors import SHORT_OF, ConnectFailed, UpstreamBusy
from gateway.proxy.balance import Backend, Balance
from gateway.proxy.dial import Dialer
from gateway.proxy.ejection import Ejection
from gateway.proxy.health import TargetChange
from gateway.proxy.places import Places
from gateway.proxy.target import TargetAddress
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream_connection import Connection

_TICK = 0.25  # seconds between checks of deadlines while requests are in flight
_SLOW_TICK = 5.0  # the same with idle connections only
_CLOSE_PATIENCE = 1.0
_SPREAD = 10  # percent of the lifetime over which expiries are spread
_OURS = frozenset((*SHORT_OF, errno.EADDRNOTAVAIL))
"""Errors of connect(2) for a resource that this machine has exhausted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStats:
    """The connections to one target at one moment."""

    target: str
    open: int
    idle: int
    in_use: int
    down: bool


class Pool:
    """Provides connections; `max_connections` includes those in use and tunnels."""

    def __init__(
        self,
        *,
        targets: Sequence[TargetAddress],
        dialer: Dialer,
        connect_timeout: float,
        response_timeout: float,
        idle_timeout: float,
        max_idle: int,
        max_connections: int,
        keepalive: float,
        lifetime: float,
        on_change: Callable[[TargetChange], None] | None,
        clock: Callable[[], float] | None,
    ) -> None:
        if not targets:
            raise ValueError("an upstream has at least one target")
        self.loop = asyncio.get_running_loop()
        self.clock = clock or self.loop.time
        self.response_timeout = response_timeout
        self.idle_timeout = idle_timeout
        self._max_idle = max_idle
        self._keepalive = keepalive
        self._lifetime = lifetime
        self._dialer = dialer
        self._made = 0
        self._backends = [Backend(address) for address in targets]
        self.take_idle: Callable[[], Connection | None] = (
            partial(self._take_from, self._backends[0]) if len(targets) == 1 else _none
        )
        """Return an idle connection of the only target; None if there is none."""
        self._balance = Balance(self._backends)
        self._ejection = Ejection(
            self._backends,
            self._balance,
            clock=self.clock,
            on_change=on_change,
            avoid=lambda backend, host: dialer.avoid(backend.address, host),
        )
        self._places = Places(
            max_connections,
            patience=connect_timeout,
            loop=self.loop,
            returned=self.connection_reusable,
        )
        self._idle = 0
        self._sockets = 0
        self._busy: set[Connection] = set()
        self._tunnels: set[Tunnel] = set()
        self._tick = min(_TICK, response_timeout / 4, idle_timeout / 4)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_is_slow = False
        self._draining = False
        self._all_closed = asyncio.Event()

    # Acquiring a connection

    async def take(self, *, fresh: bool, safe: bool = True) -> Connection:
        """Return a connection: an idle one, a new one, or one that becomes free.

        Args:
            fresh: return a connection that has not carried a request.
            safe: the request may probe a target that failed other requests.

        Raises:
            ConnectFailed: no target accepted a connection.
            UpstreamBusy: no connection became free within the connect timeout.
        """
        backend = self._balance.choose((), self.clock(), safe=safe)
        while True:
            if not fresh and (connection := self._take_from(backend)) is not None:
                return connection
            if self._places.free or self._make_room():
                self._places.taken += 1
                return await self._connect(backend, safe)
            given = await self._places.wait()
            if given is None:
                return await self._connect(backend, safe)
            if not given.closed:
                if not fresh:
                    return given
                given.close()

    def is_crowded(self) -> bool:
        """Return whether more than half of the connections are in use."""
        return self._places.is_crowded(self._idle)

    def _take_from(self, backend: Backend) -> Connection | None:
        now = self.clock()
        while backend.idle:
            connection = backend.idle.pop()
            self._idle -= 1
            backend.in_use += 1
            self._busy.add(connection)
            if connection.expires > now:
                if self._timer is None or self._timer_is_slow:
                    self._arm()
                return connection
            connection.close()
        return None

    def _make_room(self) -> bool:
        """Close an idle connection to another target; return whether there is room."""
        for backend in self._backends:
            if backend.idle:
                backend.idle[0].close()
                return self._places.free
        return False

    # Opening a connection

    async def _connect(self, backend: Backend, safe: bool) -> Connection:
        """Connect to `backend`, or to the next best; the connection is counted already."""
        tried: list[Backend] = []
        failure: Exception | None = None
        try:
            while backend not in tried:
                tried.append(backend)
                try:
                    connection = await self._connect_to(backend)
                except (OSError, UnicodeError) as error:
                    if isinstance(error, OSError) and error.errno in _OURS:
                        # Not a failure of the target, so it is not ejected.
                        raise UpstreamBusy(
                            "there is no free descriptor or port for a connection"
                        ) from error
                    failure = error
                    self._ejection.refused(backend)
                    backend = self._balance.choose(tried, self.clock(), safe=safe)
                else:
                    self._ejection.connected(backend)
                    return connection
        except BaseException:
            self._places.give_back()
            raise
        self._places.give_back()
        why = f": {failure}" if str(failure) else ""
        raise ConnectFailed(f"could not connect to any target{why}") from failure

    async def _connect_to(self, backend: Backend) -> Connection:
        backend.in_use += 1
        connection = Connection(self, backend)
        try:
            await self._dialer.dial(connection, backend.address)
        except BaseException:
            backend.in_use -= 1
            raise
        # Connections opened together must not all expire together.
        self._made += 1
        connection.lives_until = self.clock() + self._lifetime * (
            1 - self._made % _SPREAD / 100
        )
        self._busy.add(connection)
        if self._timer is None or self._timer_is_slow:
            self._arm()
        return connection

    # Callbacks of connections

    def connection_reusable(self, connection: Connection) -> None:
        """Pass a connection to the longest-waiting request; else keep or close it."""
        now = self.clock()
        backend = connection.backend
        if not isinstance(backend, Backend):
            raise TypeError(_NOT_OURS)
        expires = min(connection.expires, connection.lives_until, now + self._keepalive)
        if self._draining or backend.ejected or expires <= now:
            connection.close()
            return
        places = self._places
        if places.waiting and places.offer(connection):
            return
        if self._idle >= self._max_idle:
            connection.close()
            return
        self._busy.discard(connection)
        backend.in_use -= 1
        connection.expires = expires
        backend.idle.append(connection)
        self._idle += 1

    def connection_closed(self, connection: Connection) -> None:
        """Release a connection that is closing."""
        backend = _backend_of(connection)
        if connection in self._busy:
            self._busy.discard(connection)
            backend.in_use -= 1
        elif connection in backend.idle:
            backend.idle.remove(connection)
            self._idle -= 1
        else:
            return
        self._places.give_back()

    def connection_tunneled(self, connection: Connection, tunnel: Tunnel) -> None:
        """Count the connection until the tunnel ends; it has no deadline."""
        self._busy.discard(connection)
        self._tunnels.add(tunnel)
        backend = _backend_of(connection)

        def over() -> None:
            self._tunnels.discard(tunnel)
            backend.in_use -= 1
            self._places.give_back()
            self.socket_closed()

        tunnel.add_closed_callback(over)

    def response_started(self, connection: Connection, *, failed: bool) -> None:
        """See ConnectionManager."""
        self._ejection.response_started(_backend_of(connection), failed=failed)

    def response_completed(self, connection: Connection) -> None:
        """See ConnectionManager."""
        self._ejection.response_completed(_backend_of(connection))

    def request_failed(self, connection: Connection) -> None:
        """See ConnectionManager."""
        self._ejection.request_failed(_backend_of(connection), connection.host)

    def socket_opened(self) -> None:
        """Count an open socket."""
        self._sockets += 1

    def socket_closed(self) -> None:
        """Count a closed socket."""
        self._sockets -= 1
        if self._sockets == 0:
            self._all_closed.set()

    # Deadlines: one timer for all connections

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_is_slow = not self._busy
        delay = _SLOW_TICK if self._timer_is_slow else self._tick
        self._timer = self.loop.call_later(delay, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self.clock()
        for connection in [c for c in self._busy if c.deadline < now]:
            connection.time_out()
        for backend in self._backends:
            for connection in [c for c in backend.idle if c.expires < now]:
                connection.close()
            if not self._draining:
                self._follow(backend)
        if self._busy or self._idle:
            self._arm()

    def _follow(self, backend: Backend) -> None:
        """Close connections to addresses that the target's name no longer has."""
        hosts = self._dialer.addresses(backend.address)
        if hosts == backend.hosts:
            return
        backend.hosts = hosts
        self._ejection.forget_addresses(backend)
        if not hosts:  # unknown is not changed
            return
        for connection in [c for c in backend.idle if c.host not in hosts]:
            connection.close()
        for connection in self._busy:
            if connection.backend is backend and connection.host not in hosts:
                connection.lives_until = 0.0

    # Closing

    def drain(self) -> None:
        """Close idle connections; exchanges and tunnels in progress may finish."""
        self._draining = True
        self._ejection.silence()  # the new configuration reports its own
        for backend in self._backends:
            for connection in list(backend.idle):
                connection.close()

    async def close(self) -> None:
        """Close every connection at once; wait up to 1 s for the sockets."""
        self.drain()
        for connection in list(self._busy):
            connection.shut_down()
        for tunnel in list(self._tunnels):
            tunnel.abort()
        if self._sockets:
            self._all_closed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_PATIENCE):
                    await self._all_closed.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stats(self) -> tuple[TargetStats, ...]:
        """Return the number of connections of each target."""
        now = self.clock()
        return tuple(
            TargetStats(
                target=str(backend.address),
                open=backend.in_use + len(backend.idle),
                idle=len(backend.idle),
                in_use=backend.in_use,
                down=backend.down_until > now,
            )
            for backend in self._backends
        )


def _none() -> None:
    return None


def _backend_of(connection: Connection) -> Backend:
    backend = connection.backend
    if not isinstance(backend, Backend):
        raise TypeError(_NOT_OURS)
    return backend


_NOT_OURS = "a connection of another pool"
