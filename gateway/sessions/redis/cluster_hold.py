"""Durable writes to Redis Cluster: confirmed by the replicas of the slot.

A master that was cut off goes on acknowledging writes for its node timeout, and all
of them are lost. `WAIT` for its replicas detects that. It blocks its connection, so
it has one of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connect import open_connection, refuses
from gateway.sessions.redis.hold import AGAIN, LONGEST, WAIT, NotHeld, Write
from gateway.sessions.redis.library_internals import node_of_slot, relearn_slots
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import Place, read_replication

# Seconds between two looks at which node has which slots.
CHECK_EVERY: Final = 1.0

T = TypeVar("T")


class ClusterWatch:
    """Has `on_change` awaited when slots have another owner than a moment ago.

    `server` makes a client of one node.
    """

    def __init__(
        self,
        cluster: RedisCluster,
        server: Callable[[Place], Redis],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        self._cluster = cluster
        self._on_change = on_change
        self.server = server
        self.failure = ""
        # Set, and another one made, with each change.
        self.changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        before: dict[int, str] = {}
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                async with Patience(CHECK_EVERY):
                    owners = await self._owners()
                    if before and owners != before:
                        await self._on_change()
                        # Who listens at a node listens at another one now: it may
                        # be one that was cut off.
                        changed, self.changed = self.changed, asyncio.Event()
                        changed.set()
                before = owners
            except Exception as error:  # noqa: BLE001 - looked at again
                self.failure = describe_error(error)

    async def _owners(self) -> dict[int, str]:
        _ = await self._cluster.initialize()
        node = self._cluster.get_random_node()
        connection = await open_connection(self.server((node.host, int(node.port))))
        try:
            slots = await connection.execute("CLUSTER", "SLOTS")
        finally:
            connection.close()
        return {
            int(each[0]): f"{each[1]} {each[2][1]}"
            for each in sorted(slots, key=lambda each: int(each[0]))
        }


async def hold_on_cluster(
    cluster: RedisCluster,
    watch: ClusterWatch,
    key: str,
    write: Write[T],
    *,
    patience: float,
) -> T:
    """Write to the node of a key, and return only when its replicas have it.

    Raises:
        StoreUnavailable: it is not certain that it is held, or nothing was written.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST
    place: Place | None = None
    asking = False
    while True:
        try:
            async with Patience(patience + WAIT / 1000):
                if place is None:
                    _ = await cluster.initialize()
                    node = node_of_slot(cluster, cluster.keyslot(key))
                    place = (node.host, int(node.port))
                return await _once(watch, place, key, write, asking=asking)
        except MovedError as error:
            place, asking, why = (error.host, error.port), False, describe_error(error)
        except AskError as error:
            place, asking, why = (error.host, error.port), True, describe_error(error)
            continue
        except (NotHeld, ClusterDownError) as error:
            # By then another node may have the slot.
            place, asking, why = None, False, str(error)
            relearn_slots(cluster)
        if loop.time() >= until:
            raise NotHeld(f"not certain that it is held: {why}")
        await asyncio.sleep(AGAIN)


async def _once(
    watch: ClusterWatch, place: Place, key: str, write: Write[T], *, asking: bool
) -> T:
    connection = await open_connection(watch.server(place))
    try:
        answer = await write(_asking(connection) if asking else connection.execute)
        info, slots = await connection.execute_all(
            [("INFO", "replication"), ("CLUSTER", "SLOTS")]
        )
        for each in (info, slots):
            if isinstance(each, Exception):
                raise each
        seen = read_replication(info)
        known = _replicas(slots, key_slot(key.encode()))
        missing = known - seen.online - seen.syncing
        for each in tuple(missing):
            if await refuses(watch.server(each)):
                known.discard(each)
        needed = max(len(known - seen.syncing), len(seen.online))
        have = await connection.execute("WAIT", needed, WAIT) if needed else 0
    finally:
        connection.close()
    if seen.role != "master":
        raise NotHeld("the node is not a master any more")
    if have < needed:
        raise NotHeld(f"{have} of {needed} replicas have it")
    return answer


def _asking(connection: RedisConnection) -> Callable[..., Awaitable[Any]]:
    """Return an `execute` that sends ASKING first, for a slot being imported."""

    async def execute(*command: str | bytes | float) -> Any:
        _, answer = await connection.execute_all([("ASKING",), command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    return execute


def _replicas(slots: Any, slot: int) -> set[Place]:
    for first, last, _, *replicas in slots:
        if first <= slot <= last:
            return {(each[0].decode(), each[1]) for each in replicas}
    raise StoreUnavailable(f"no node has the slot {slot}")
