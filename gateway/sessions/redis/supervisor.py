"""Base of supervisors: the current server of an address, and when it changed.

| word | meaning |
| --- | --- |
| generation | the time between two changes of the server; all connections are of one |
| gate | closed from a change until the new server has the endings of the journal |
| lease | until when the server may be read; renewed by who knows that it is the master |

The two kinds: `SentinelSupervisor` follows a master by its Sentinels,
`AddressSupervisor` compares what answers at a plain address. Redis Cluster has a
server for each slot, and its own way (cluster_hold.py).
"""

import abc
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias

from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
)

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connect import make_server
from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.events import (
    OnEvent,
    ServerSuspected,
    ServerSwitched,
    StoreEvent,
)
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import Place, Replication, read_replication
from gateway.sessions.redis.url import RedisAddress

# Seconds. What a server says in answer to a question holds for so long after it was
# asked. Below Sentinel's `down-after-milliseconds` and what a switch takes after it.
LEASE: Final = 1.0
# Seconds between two tries to reach a server that is not ready yet.
PAUSE: Final = 0.05
# Seconds in which all connections are given up at most once for what a server says.
SUSPECT_EVERY: Final = 0.5

# The errors of a server that must not be queried any more: it is not the master.
NOT_THE_MASTER: Final = (ReadOnlyError, MasterDownError, BusyLoadingError)

Replay: TypeAlias = Callable[[Connections], Awaitable[None]]


class Supervisor(abc.ABC):
    """Follows the server of one address; hands out connections to it.

    `replay` is awaited with the connections of every server but the first, before
    anything else is asked there.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float,
        on_event: OnEvent | None = None,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._on_event = on_event
        self.replay: Replay | None = None
        self.generation = 0
        self.settled_at = 0.0
        self.failure = "the server is not known yet"
        self._connections: Connections | None = None
        self._open = False
        self._moved = asyncio.Event()
        self._lease_until = 0.0
        self._suspected_at = float("-inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._closed = False
        self._started = False

    # what the others see

    @property
    def switching(self) -> bool:
        """Whether a change of the server is known to be under way."""
        return not self._open

    def start(self) -> None:
        """Begin to follow; needs the event loop, so not when it is made."""
        if not self._started:
            self._started = True
            self._start()

    def usable(self) -> Connections | None:
        """Return connections that may be read from now, or None."""
        if self._open and self._lease_until > asyncio.get_running_loop().time():
            return self._connections
        return None

    async def wait_usable(self) -> Connections:
        """Wait until a server may be read; the caller has the deadline.

        Raises:
            StoreUnavailable: it is certain that waiting is of no use.
        """
        while (connections := self.usable()) is None:
            self.check()
            await self.moved()
        return connections

    def check(self) -> None:
        """Raise StoreUnavailable where waiting would be of no use."""
        if self._closed:
            raise StoreUnavailable("the store is closed")

    async def moved(self, patience: float = PAUSE) -> None:
        """Return when something has changed, or after `patience` seconds."""
        moved = self._moved
        try:
            async with asyncio.timeout(patience):
                await moved.wait()
        except TimeoutError:
            return

    def is_current(self, connections: Connections) -> bool:
        """Return whether a reply on these connections is valid."""
        return connections is self._connections and not connections.closed

    @abc.abstractmethod
    def needed(self, seen: Replication) -> int:
        """Return how many replicas must confirm a write, given what `seen` reports."""

    @abc.abstractmethod
    async def confirm(self, connections: Connections) -> None:
        """Check again that these connections lead to the current server."""

    def suspect(self, why: str) -> None:
        """Drop all connections: their server reports that it is not the master."""
        now = asyncio.get_running_loop().time()
        if now - self._suspected_at >= SUSPECT_EVERY and self._connections is not None:
            self._suspected_at = now
            self.emit(ServerSuspected(why))
            self._reopen()

    async def close(self) -> None:
        """Close every connection; nothing is followed any more."""
        self._closed = True
        self._open = False
        if self._opening is not None:
            self._opening.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connections is not None:
            self._connections.close()
            await self._connections.disconnect()
            self._connections = None
        self._wake()

    def emit(self, event: StoreEvent) -> None:
        """Pass an event to the log and the metrics."""
        if self._on_event is not None:
            self._on_event(event)

    # what the two kinds have

    @abc.abstractmethod
    def _start(self) -> None: ...

    @abc.abstractmethod
    def _reopen(self) -> None: ...

    @abc.abstractmethod
    async def _greet(self, connection: RedisConnection) -> None: ...

    def _adopt(self, place: Place | None, *, master: bool) -> None:
        """Switch to another server, or to the same one again, with new connections.

        `master`: nothing is queried there before it reports that it is the master.
        """
        old, self._connections = self._connections, None
        if old is not None:
            old.close()
            self.spawn(old.disconnect())
        self.generation += 1
        first = self.generation == 1
        try:
            client = make_server(self._address, self._timeout, place)
        except (OSError, ValueError) as error:  # a certificate file, say
            self.failure = describe_error(error)
            self.generation -= 1
            raise StoreUnavailable(self.failure) from error
        self._connections = Connections(client, self._greet)
        if self._opening is not None:
            self._opening.cancel()
        self._open = first and not master
        if not self._open:
            opening = self._make_ready(self._connections, master=master, first=first)
            self._opening = self._run(opening)
        self._wake()

    async def _make_ready(
        self, connections: Connections, *, master: bool, first: bool
    ) -> None:
        while self.is_current(connections):
            try:
                async with Patience(max(self._timeout, LEASE)):
                    if master:
                        await self._demand_master(connections)
                    if self.replay is not None and not first:
                        await self.replay(connections)
            except Exception as error:  # noqa: BLE001 - tried until it is another
                self.failure = describe_error(error)
                await asyncio.sleep(PAUSE)
            else:
                break
        if self.is_current(connections):
            self._open = True
            self.settled_at = asyncio.get_running_loop().time()
            if not first:
                self.emit(ServerSwitched())
            self._renew()
            self._wake()

    async def _demand_master(self, connections: Connections) -> None:
        async with connections.lend() as connection:
            seen = await query_replication(connection)
        if seen is not None and seen.role != "master":
            raise StoreUnavailable(f"the server is a {seen.role}, not the master yet")

    @abc.abstractmethod
    def _renew(self) -> None: ...

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the supervisor."""
        _ = self._run(work)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def query_replication(connection: RedisConnection) -> Replication | None:
    """Return the replication state of a server; None if INFO is not permitted."""
    try:
        return read_replication(await connection.execute("INFO", "replication"))
    except NoPermissionError:
        return None
