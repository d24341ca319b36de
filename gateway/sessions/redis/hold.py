"""Durable writes: confirmed by every replica that could become master.

During a planned switch `WAIT 1` confirms for about a second writes that will be lost.
So the number is that of the replicas known to exist, not of those that the master
still sees; an answer that comes after a change of the server is discarded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.cluster import describe_error
from gateway.sessions.redis.connections import Connections
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.replication import Replication
from gateway.sessions.redis.supervisor import Supervisor, query_replication

# Seconds for which a write is held at most while a switch is under way: longer than
# a planned one takes to be named, and what a person waits for at a button.
LONGEST: Final = 2.5
# Milliseconds that replicas may take to confirm one write.
WAIT: Final = 100
# Seconds until it is tried again.
AGAIN: Final = 0.1
# Seconds after a change in which others may still read the old server.
SETTLE: Final = 0.3

ALONE: Final = Replication(role="master", replid="")

# Sends one command on one connection, and gives its answer.
Execute: TypeAlias = Callable[..., Awaitable[Any]]
T = TypeVar("T")
Write: TypeAlias = Callable[[Execute], Awaitable[T]]


class NotHeld(StoreUnavailable):
    """Written, but not confirmed by every replica that could become master."""


async def hold(supervisor: Supervisor, write: Write[T], *, patience: float) -> T:
    """Write, and return once the write is durable; may write more than once.

    Args:
        supervisor: of the address.
        write: sends the commands; must bear to be repeated on another server.
        patience: seconds for one try.

    Raises:
        StoreUnavailable: it is not certain that it is held, or nothing was written.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST
    while True:
        before = supervisor.generation
        try:
            async with Patience(patience + WAIT / 1000):
                return await _once(supervisor, write)
        except NotHeld as error:
            why: Exception = error
        except (TimeoutError, StoreUnavailable, OSError) as error:
            why = error
            if supervisor.generation == before and not supervisor.switching:
                raise
        if loop.time() >= until:
            raise NotHeld(f"not certain that it is held: {_describe(why)}") from why
        await supervisor.moved(AGAIN)


async def _once(supervisor: Supervisor, write: Write[T]) -> T:
    connections = await supervisor.wait_usable()

    async def on(connection: RedisConnection) -> T:
        answer = await write(connection.execute)
        seen = await query_replication(connection) or ALONE
        needed = supervisor.needed(seen)
        # The number of replicas that have every write of this connection.
        have = await connection.execute("WAIT", needed, WAIT) if needed else 0
        await supervisor.confirm(connections)
        _judge(supervisor, connections, seen, needed, have)
        return answer

    return await connections.call(on)


def _judge(
    supervisor: Supervisor,
    connections: Connections,
    seen: Replication,
    needed: int,
    have: int,
) -> None:
    now = asyncio.get_running_loop().time()
    if seen.role != "master":
        raise NotHeld(f"the server is a {seen.role}")
    if have < needed:
        raise NotHeld(f"{have} of {needed} replicas have it")
    if not supervisor.is_current(connections) or supervisor.usable() is None:
        raise NotHeld("the server changed meanwhile")
    if supervisor.switching:
        raise NotHeld("the server is about to change")
    if supervisor.generation > 1 and now - supervisor.settled_at < SETTLE:
        raise NotHeld("the server has just changed")


def _describe(why: Exception) -> str:
    return str(why) if isinstance(why, StoreUnavailable) else describe_error(why)
