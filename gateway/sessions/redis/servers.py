"""The servers at one address, and the bounds of every call to them.

The library's defaults (ten retries with pauses, five seconds for each) would hold a
request for half a minute. Here a call ends within `timeout`, pauses included, and
is repeated once, at once, and only where a kept connection turned out to be dead.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, RedisError

from gateway.errors import NotPermitted, StoreUnavailable
from gateway.sessions.redis.address import AddressSupervisor
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.cluster_hold import ClusterWatch
from gateway.sessions.redis.connect import MAX_CONNECTIONS, make_cluster, make_server
from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.events import (
    OnEvent,
    ReadRefused,
    ServerSwitched,
    StoreEvent,
)
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.sentinel import SentinelSupervisor
from gateway.sessions.redis.supervisor import Supervisor
from gateway.sessions.redis.url import RedisAddress, RedisKind

T = TypeVar("T")

Replay: TypeAlias = Callable[[Execute | None], Awaitable[None]]
"""Writes on a new master what it may not have; None: on the node of each key."""


class RedisServers:
    """A server, socket, Sentinel or Cluster: opened at the first call, then supervised.

    `replay` is awaited with a function that sends commands to a new master, before
    anything else is sent there.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float,
        on_event: OnEvent | None,
    ) -> None:
        self.address, self.timeout = address, timeout
        self.free = asyncio.Semaphore(MAX_CONNECTIONS)
        self.supervisor: Supervisor | None = None
        """None: nothing was sent yet, or it is a Cluster."""
        self._cluster: tuple[RedisCluster, ClusterWatch] | None = None
        self._on_event = on_event
        self.replay: Replay | None = None
        self._closed = False

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several masters."""
        return self.address.kind is RedisKind.CLUSTER

    def supervise(self) -> Supervisor:
        """Return the supervisor of the server in use.

        Raises:
            StoreUnavailable: the store is closed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self.supervisor is None:
            kind = (
                SentinelSupervisor
                if self.address.kind is RedisKind.SENTINEL
                else AddressSupervisor
            )
            supervisor = kind(
                self.address, timeout=self.timeout, on_event=self._on_event
            )
            supervisor.replay = self._replay_on
            supervisor.start()
            self.supervisor = supervisor
        return self.supervisor

    def open_cluster(self) -> tuple[RedisCluster, ClusterWatch]:
        """Return the client of a Cluster, and what watches its masters.

        Raises:
            StoreUnavailable: the store is closed, or a certificate file cannot be read.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._cluster is None:
            try:
                cluster = make_cluster(self.address, self.timeout)
            except (OSError, ValueError) as error:  # a certificate file, say
                raise StoreUnavailable(describe_error(error)) from error
            watch = ClusterWatch(
                cluster,
                lambda place: make_server(self.address, self.timeout, place),
                self._replay_anywhere,
            )
            self._cluster = cluster, watch
        return self._cluster

    async def within(
        self, work: Callable[[], Awaitable[T]], patience: float | None = None
    ) -> T:
        """Return the result of a call that may take `patience` seconds.

        Raises:
            StoreUnavailable: it took longer, or it failed.
        """
        try:
            async with Patience(patience or self.timeout), self.free:
                return await translated(work)
        except TimeoutError as error:
            raise self.too_late() from error

    def give_up(self, connection: RedisConnection) -> StoreUnavailable:
        """Close a connection that did not answer in time; return the failure."""
        connection.close()
        return self.too_late()

    def too_late(self) -> StoreUnavailable:
        """Return the failure of a call that was not answered in time."""
        supervisor = self.supervisor
        if supervisor is not None and supervisor.usable() is None:
            self.emit(ReadRefused(supervisor.failure))
            return StoreUnavailable(supervisor.failure)
        return StoreUnavailable(f"no answer within {self.timeout * 1000:.0f} ms")

    def emit(self, event: StoreEvent) -> None:
        """Report an event to the owner of the store."""
        if self._on_event is not None:
            self._on_event(event)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self.supervisor is not None:
            await self.supervisor.close()
        opened, self._cluster = self._cluster, None
        if opened is not None:
            cluster, watch = opened
            await watch.close()
            await quietly(cluster.aclose())

    async def _replay_on(self, connections: Connections) -> None:
        if self.replay is not None:
            async with connections.lend() as connection:
                await self.replay(connection.execute)

    async def _replay_anywhere(self) -> None:
        self.emit(ServerSwitched())
        if self.replay is not None:
            await self.replay(None)


async def translated(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a call.

    Raises:
        NotPermitted: the user of the connection lacks a right.
        StoreUnavailable: any other failure, also an unexpected one of the library.
    """
    try:
        return await work()
    except StoreUnavailable:
        raise
    except NoPermissionError as error:
        raise NotPermitted(describe_error(error)) from error
    except Exception as error:
        # Also what the library raises by mistake: not knowing is an outage.
        raise StoreUnavailable(describe_error(error)) from error


async def send_to_node(cluster: RedisCluster, *words: str | bytes | float) -> Any:
    """Send one command to the node of its first key."""
    return await cluster.execute_command(*words)


async def quietly(closing: Awaitable[None]) -> None:
    """Close something that is closed either way; an error of it is ignored."""
    with contextlib.suppress(RedisError, OSError):
        await closing
