"""Redis client wrapper: every call has a deadline and raises StoreUnavailable.

The supervisor selects the server; an answer that comes after a change of the server
is discarded. How long a call may take is in `servers`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from redis.exceptions import NoPermissionError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import (
    describe_error,
    fetch_from_cluster,
    send_to_cluster,
    value_of,
)
from gateway.sessions.redis.cluster_hold import hold_on_cluster
from gateway.sessions.redis.connections import CHANGED
from gateway.sessions.redis.diagnosis import (
    StoreWarning,
    cluster_warnings,
    server_warnings,
)
from gateway.sessions.redis.direct import OnReplies, WrongType, is_wrong_type, send_now
from gateway.sessions.redis.events import OnEvent, WriteNotHeld
from gateway.sessions.redis.hold import NotHeld, Write, hold
from gateway.sessions.redis.redis_connection import Command, RedisConnection
from gateway.sessions.redis.scan import key_text, scan_cluster
from gateway.sessions.redis.servers import (
    RedisServers,
    Replay,
    send_to_node,
    translated,
)
from gateway.sessions.redis.subscription import subscription
from gateway.sessions.redis.supervisor import NOT_THE_MASTER, Supervisor
from gateway.sessions.redis.url import RedisAddress

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
        self._servers = RedisServers(address, timeout=timeout, on_event=on_event)

    def set_replay(self, replay: Replay) -> None:
        """Set what writes on a new master what it may not have; see `RedisServers`."""
        self._servers.replay = replay

    def send_now(
        self, data: bytes, commands: int, done: OnReplies
    ) -> Callable[[], StoreUnavailable] | None:
        """Send encoded read commands the direct way; see `direct.send_now`, `lookup.SendNow`."""
        supervisor = self._servers.supervisor
        if supervisor is None:  # nothing was sent yet, or it is a Cluster
            return None
        connection = send_now(supervisor, data, commands, done)
        return (
            None if connection is None else partial(self._servers.give_up, connection)
        )

    async def fetch(
        self, keys: list[str], patience: float | None = None
    ) -> list[bytes | StoreUnavailable | None]:
        """Return the values of distinct keys, in one round trip (one per node).

        `patience` is in seconds, the time-out unless it is given.
        """
        if self._servers.is_cluster:
            cluster, _ = self._servers.open_cluster()
            return await self._servers.within(
                lambda: fetch_from_cluster(cluster, keys, self._servers.timeout),
                patience,
            )
        supervisor = self._servers.supervise()
        return await self._servers.within(
            lambda: self._read(
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
        if self._servers.is_cluster:
            cluster, _ = self._servers.open_cluster()
            gets: list[Command] = [("GET", key) for key in keys]
            answers = await self._servers.within(
                lambda: send_to_cluster(
                    cluster, [*commands, *gets], self._servers.timeout
                ),
                patience,
            )
            values = [value_of(each) for each in answers[len(commands) :]]
        else:
            supervisor = self._servers.supervise()
            mget: list[Command] = [("MGET", *keys)] if keys else []
            answers = await self._servers.within(
                lambda: self._read(
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

    async def _read(
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
        if self._servers.is_cluster:
            cluster, _ = self._servers.open_cluster()
            return await self._servers.within(lambda: send_to_node(cluster, *command))
        supervisor = self._servers.supervise()

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

        return await self._servers.within(on_its_own)

    async def hold(self, key: str, write: Write[T]) -> T:
        """Write to one key, and return once the write is durable (hold.py).

        Raises:
            StoreUnavailable: it is not certain that it is held.
        """
        try:
            async with self._servers.free:
                if self._servers.is_cluster:
                    cluster, watch = self._servers.open_cluster()
                    return await hold_on_cluster(
                        cluster, watch, key, write, patience=self._servers.timeout
                    )
                return await hold(
                    self._servers.supervise(), write, patience=self._servers.timeout
                )
        except NotHeld as error:
            self._servers.emit(WriteNotHeld(str(error)))
            raise
        except StoreUnavailable:
            raise
        except TimeoutError as error:
            raise self._servers.too_late() from error
        except Exception as error:
            raise StoreUnavailable(describe_error(error)) from error

    async def scan(self, pattern: str) -> list[str]:
        """Return the matching keys. Scans all keys, so for operators only.

        No deadline as a whole, which grows with the keys; each step has its own.
        """
        found: list[str] = []
        cursor = "0"
        while True:
            cursor, keys = await self.scan_step(pattern, cursor, SCAN_STEP)
            found += keys
            if cursor == "0":
                return list(dict.fromkeys(found))

    async def scan_step(
        self, pattern: str, cursor: str, count: int
    ) -> tuple[str, list[str]]:
        """Look at some `count` keys; return the next cursor and the matching keys.

        A scan begins and ends with "0". The cursor of a Cluster is NODE-CURSOR: its
        masters are scanned one after the other, in the order of their names.
        """
        if self._servers.is_cluster:
            return await scan_cluster(self._servers, pattern, cursor, count)
        after, keys = await self.call("SCAN", cursor, "MATCH", pattern, "COUNT", count)
        return after.decode(), [key_text(key) for key in keys]

    async def ping(self) -> None:
        """Return if Redis can serve reads now."""
        # A read, not PING: a Cluster that is down still answers PING.
        await self.call("EXISTS", "gateway:ping")

    async def warnings(self) -> list[StoreWarning]:
        """Examine settings and rights that sessions depend on (diagnosis.py)."""
        found = (
            cluster_warnings(
                self._servers.open_cluster()[0],
                self._servers.address,
                patience=self._servers.timeout,
            )
            if self._servers.is_cluster
            else server_warnings(
                self._servers.supervise(), patience=self._servers.timeout
            )
        )
        try:
            return await translated(lambda: _listed(found))
        except TimeoutError as error:
            raise self._servers.too_late() from error

    def subscription(
        self, channel: str
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[bytes]]]:
        """Subscribe; see `subscription.subscription`."""
        return subscription(self._servers, channel)

    async def close(self) -> None:
        """Close every connection."""
        await self._servers.close()


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


async def _listed(found: AsyncIterator[StoreWarning]) -> list[StoreWarning]:
    return [each async for each in found]
