"""Redis client wrapper: every call has a deadline and raises StoreUnavailable.

The library's defaults (ten retries with pauses, five seconds for each) would hold a
request for half a minute. Here a call ends within `timeout`, pauses included, and
is repeated once, at once, and only where a kept connection turned out to be dead.
The supervisor selects the server; an answer that comes after a change of the server
is discarded.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, RedisError

from gateway.errors import NotPermitted, StoreUnavailable
from gateway.sessions.redis.address import AddressSupervisor
from gateway.sessions.redis.cluster import (
    describe_error,
    fetch_from_cluster,
    send_to_cluster,
    value_of,
)
from gateway.sessions.redis.cluster_hold import ClusterWatch, hold_on_cluster
from gateway.sessions.redis.connect import (
    MAX_CONNECTIONS,
    common_options,
    make_cluster,
    make_server,
)
from gateway.sessions.redis.connections import CHANGED, Connections
from gateway.sessions.redis.diagnosis import (
    StoreWarning,
    cluster_warnings,
    server_warnings,
)
from gateway.sessions.redis.direct import (
    OnReplies,
    WrongType,
    is_wrong_type,
    send_now,
)
from gateway.sessions.redis.events import (
    OnEvent,
    ReadRefused,
    ServerSwitched,
    StoreEvent,
    WriteNotHeld,
)
from gateway.sessions.redis.hold import Execute, NotHeld, Write, hold
from gateway.sessions.redis.names import resolving
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import Command, RedisConnection
from gateway.sessions.redis.sentinel import SentinelSupervisor
from gateway.sessions.redis.subscription import next_of, subscribe, unless
from gateway.sessions.redis.supervisor import NOT_THE_MASTER, Supervisor
from gateway.sessions.redis.url import RedisAddress, RedisKind

SCAN_STEP: Final = 1000


Read: TypeAlias = bytes | int | WrongType | StoreUnavailable

T = TypeVar("T")


class RedisClient:
    """Redis by address: server, socket, Sentinel or Cluster, all the same here.

    Every method raises StoreUnavailable, and nothing else, when Redis cannot be
    reached, does not answer in time, or answers that it cannot serve.
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
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._cluster: RedisCluster | None = None
        self._watch: ClusterWatch | None = None
        self._supervisor: Supervisor | None = None
        self._on_event = on_event
        self._closed = False
        # Awaited with what asks a new master, before anything else is asked there.
        self.replay: Callable[[Execute | None], Awaitable[None]] | None = None

    def send_now(
        self, commands: Sequence[Command], done: OnReplies
    ) -> Callable[[], StoreUnavailable] | None:
        """Send read commands the direct way; see `direct.send_now`, `lookup.SendNow`."""
        supervisor = self._supervisor
        if supervisor is None:  # nothing was sent yet, or it is a Cluster
            return None
        connection = send_now(supervisor, commands, done)
        return None if connection is None else partial(self._give_up, connection)

    async def fetch(
        self, keys: list[str], patience: float | None = None
    ) -> list[bytes | StoreUnavailable | None]:
        """Return the values of distinct keys, in one round trip (one per node).

        `patience` is in seconds, the time-out unless it is given.
        """
        if self._is_cluster:
            cluster = self._open_cluster()
            return await self._within(
                lambda: fetch_from_cluster(cluster, keys, self._timeout), patience
            )
        supervisor = self._supervise()
        return await self._within(
            lambda: self._look(
                supervisor, lambda connection: connection.execute("MGET", *keys)
            ),
            patience,
        )

    async def read_with(
        self, commands: Sequence[Command], keys: Sequence[str], patience: float
    ) -> tuple[list[Read], list[bytes | StoreUnavailable | None]]:
        """Send read commands, and read the values of distinct keys.

        All in one round trip (one per node). Each has its answer, in their order,
        or its own failure: a key that holds something else than a command asks for,
        or a node that is away, takes nothing from the others.
        """
        if self._is_cluster:
            cluster = self._open_cluster()
            gets: list[Command] = [("GET", key) for key in keys]
            answers = await self._within(
                lambda: send_to_cluster(cluster, [*commands, *gets], self._timeout),
                patience,
            )
            values = [value_of(each) for each in answers[len(commands) :]]
        else:
            supervisor = self._supervise()
            mget: list[Command] = [("MGET", *keys)] if keys else []
            answers = await self._within(
                lambda: self._look(
                    supervisor,
                    lambda connection: _all_on(connection, [*commands, *mget]),
                ),
                patience,
            )
            for each in answers:
                if isinstance(each, NOT_THE_MASTER):
                    supervisor.suspect(describe_error(each))
            all_answers = answers[-1] if keys else []
            if isinstance(all_answers, Exception):
                failure = StoreUnavailable(describe_error(all_answers))
                values = [failure for _ in keys]
            else:
                values = all_answers
        return [_answer(each) for each in answers[: len(commands)]], values

    async def _look(
        self, supervisor: Supervisor, work: Callable[[RedisConnection], Awaitable[T]]
    ) -> T:
        """Use the shared connection; retry on that of a new server after a change."""
        while True:
            connections = supervisor.usable() or await supervisor.wait_usable()
            try:
                answer = await connections.shared(work)
            except NOT_THE_MASTER as error:
                supervisor.suspect(describe_error(error))
                raise
            except (OSError, StoreUnavailable):
                if supervisor.is_current(connections):
                    raise
                continue
            if supervisor.is_current(connections):
                return answer

    async def get(self, key: str) -> bytes | None:
        """Return one value; None if there is none or the key holds another type."""
        (value,) = await self.fetch([key])
        if isinstance(value, StoreUnavailable):
            raise value
        return value

    async def call(self, *command: str | bytes | float) -> Any:
        """Send one command; on Cluster to the node of its first key."""
        if self._is_cluster:
            cluster = self._open_cluster()
            return await self._within(lambda: _command(cluster, *command))
        supervisor = self._supervise()

        async def on_its_own() -> Any:
            connections = supervisor.usable() or await supervisor.wait_usable()
            try:
                answer = await connections.call(
                    lambda connection: connection.execute(*command)
                )
            except NOT_THE_MASTER as error:
                supervisor.suspect(describe_error(error))
                raise
            if not supervisor.is_current(connections):
                # It may have been done where it counts for nothing any more.
                raise StoreUnavailable(CHANGED)
            return answer

        return await self._within(on_its_own)

    async def hold(self, key: str, write: Write[T]) -> T:
        """Write to one key, and return once the write is durable (hold.py).

        Raises:
            StoreUnavailable: it is not certain that it is held.
        """
        try:
            async with self._free:
                if self._is_cluster:
                    cluster, watch = self._open_cluster(), self._watch
                    assert watch is not None  # noqa: S101 - made with the client
                    return await hold_on_cluster(
                        cluster, watch, key, write, patience=self._timeout
                    )
                return await hold(self._supervise(), write, patience=self._timeout)
        except NotHeld as error:
            self._emit(WriteNotHeld(str(error)))
            raise
        except StoreUnavailable:
            raise
        except TimeoutError as error:
            raise self._too_late() from error
        except Exception as error:
            raise StoreUnavailable(describe_error(error)) from error

    async def scan(self, pattern: str) -> list[str]:
        """Return the matching keys. Scans all keys, so for operators only.

        No deadline as a whole, which grows with the keys; each step has its own.
        """
        found: list[str] = []
        if self._is_cluster:
            steps = self._open_cluster().scan_iter(match=pattern, count=SCAN_STEP)
            while (key := await self._within(lambda: anext(steps, None))) is not None:
                found.append(_text(key))
            return found
        cursor: bytes | str = "0"
        while True:
            cursor, keys = await self.call(
                "SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_STEP
            )
            found += map(_text, keys)
            if cursor == b"0":
                return list(dict.fromkeys(found))

    async def scan_step(
        self, pattern: str, cursor: str, count: int
    ) -> tuple[str, list[str]]:
        """Look at some `count` keys; return the next cursor and the matching keys.

        A scan begins and ends with "0". The cursor of a Cluster is NODE-CURSOR: its
        masters are scanned one after the other, in the order of their names.
        """
        step = ("MATCH", pattern, "COUNT", count)
        if not self._is_cluster:
            after, keys = await self.call("SCAN", cursor, *step)
            return after.decode(), [_text(key) for key in keys]
        cluster = self._open_cluster()
        nodes = await self._within(lambda: _masters(cluster))
        number, _, inside = cursor.rpartition("-")
        index = int(number or 0)
        if index >= len(nodes):
            return "0", []
        after, keys = await self._within(
            lambda: nodes[index].execute_command("SCAN", inside, *step)
        )
        if int(after):
            return f"{index}-{int(after)}", [_text(key) for key in keys]
        follower = f"{index + 1}-0" if index + 1 < len(nodes) else "0"
        return follower, [_text(key) for key in keys]

    async def ping(self) -> None:
        """Return if Redis can serve reads now."""
        # A read, not PING: a Cluster that is down still answers PING.
        await self.call("EXISTS", "gateway:ping")

    async def warnings(self) -> list[StoreWarning]:
        """Examine settings and rights that sessions depend on (diagnosis.py)."""
        found = (
            cluster_warnings(
                self._open_cluster(), self._address, patience=self._timeout
            )
            if self._is_cluster
            else server_warnings(self._supervise(), patience=self._timeout)
        )
        try:
            return await self._translated(lambda: _listed(found))
        except TimeoutError as error:
            raise self._too_late() from error

    @contextlib.asynccontextmanager
    async def subscription(
        self, channel: str
    ) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
        """Subscribe; give a function that waits for the next message.

        That function raises StoreUnavailable when the subscription is lost, or the
        server has changed.
        """
        own: Redis | None = None
        if self._is_cluster:
            # PUBLISH reaches every node, so any node will do.
            await self.ping()  # which learns the nodes
            node = self._open_cluster().get_random_node()
            own = resolving(
                Redis(
                    host=node.host,
                    port=int(node.port),
                    **common_options(self._address, self._timeout),
                ),
                self._address.resolver,
            )
            assert self._watch is not None  # noqa: S101 - made with the client
            pubsub, gone = own.pubsub(), self._watch.changed
        else:
            connections = await self._within(self._supervise().wait_usable)
            pubsub, gone = connections.client.pubsub(), connections.gone
        try:
            await self._within(lambda: subscribe(pubsub, channel))

            async def next_message() -> bytes:
                return await self._translated(
                    lambda: unless(gone, next_of(pubsub, self._timeout))
                )

            yield next_message
        finally:
            await _quietly(pubsub.aclose())  # type: ignore[no-untyped-call]
            if own is not None:
                await _quietly(own.aclose())

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._supervisor is not None:
            await self._supervisor.close()
        if self._watch is not None:
            await self._watch.close()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await _quietly(cluster.aclose())

    @property
    def _is_cluster(self) -> bool:
        return self._address.kind is RedisKind.CLUSTER

    def _supervise(self) -> Supervisor:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._supervisor is None:
            kind = (
                SentinelSupervisor
                if self._address.kind is RedisKind.SENTINEL
                else AddressSupervisor
            )
            supervisor = kind(
                self._address, timeout=self._timeout, on_event=self._on_event
            )
            supervisor.replay = self._replay_on
            supervisor.start()
            self._supervisor = supervisor
        return self._supervisor

    def _open_cluster(self) -> RedisCluster:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._cluster is None:
            try:
                self._cluster = make_cluster(self._address, self._timeout)
            except (OSError, ValueError) as error:  # a certificate file, say
                raise StoreUnavailable(describe_error(error)) from error
            self._watch = ClusterWatch(
                self._cluster,
                lambda place: make_server(self._address, self._timeout, place),
                self._replay_anywhere,
            )
        return self._cluster

    async def _replay_on(self, connections: Connections) -> None:
        if self.replay is not None:
            async with connections.lend() as connection:
                await self.replay(connection.execute)

    async def _replay_anywhere(self) -> None:
        self._emit(ServerSwitched())
        if self.replay is not None:
            await self.replay(None)

    def _emit(self, event: StoreEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)

    async def _within(
        self, work: Callable[[], Awaitable[T]], patience: float | None = None
    ) -> T:
        try:
            async with Patience(patience or self._timeout), self._free:
                return await self._translated(work)
        except TimeoutError as error:
            raise self._too_late() from error

    def _give_up(self, connection: RedisConnection) -> StoreUnavailable:
        connection.close()
        return self._too_late()

    def _too_late(self) -> StoreUnavailable:
        supervisor = self._supervisor
        if supervisor is not None and supervisor.usable() is None:
            self._emit(ReadRefused(supervisor.failure))
            return StoreUnavailable(supervisor.failure)
        return StoreUnavailable(f"no answer within {self._timeout * 1000:.0f} ms")

    async def _translated(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except StoreUnavailable:
            raise
        except NoPermissionError as error:
            raise NotPermitted(describe_error(error)) from error
        except Exception as error:
            # Also what the library raises by mistake: not knowing is an outage.
            raise StoreUnavailable(describe_error(error)) from error


async def _all_on(
    connection: RedisConnection, commands: Sequence[Command]
) -> list[Any]:
    answers = await connection.execute_all(commands)
    if any(isinstance(each, Exception) and not _is_meant(each) for each in answers):
        # As above: what no healthy Redis says. What it did answer is good.
        connection.close()
    return answers


def _is_meant(refusal: Exception) -> bool:
    """Return whether the error concerns the key, so that a retry would fail alike."""
    return is_wrong_type(refusal) or isinstance(refusal, NoPermissionError)


def _answer(answer: Any) -> Read:
    if isinstance(answer, bytes | int):
        return answer
    if is_wrong_type(answer):
        return WrongType()
    return StoreUnavailable(describe_error(answer))


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


async def _masters(cluster: RedisCluster) -> list[Any]:
    _ = await cluster.initialize()
    return sorted(cluster.get_primaries(), key=lambda node: node.name)


async def _listed(found: AsyncIterator[StoreWarning]) -> list[StoreWarning]:
    return [each async for each in found]


async def _command(client: RedisCluster, *command: str | bytes | float) -> Any:
    return await client.execute_command(*command)


async def _quietly(closing: Awaitable[None]) -> None:
    with contextlib.suppress(RedisError, OSError):  # it is closed either way
        await closing
