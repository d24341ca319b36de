"""Reads from Redis Cluster: the failure of one node does not affect the others."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.library_internals import node_of_slot
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import Command

# Of the time for a look-up, what one node may use before it is given up: room for
# a second attempt at it.
NODE_SHARE: Final = 0.4
# Ends before the caller's deadline, so that partial results are returned.
WITHIN: Final = 0.9

_LOST: Final = (RedisConnectionError, RedisTimeoutError)


async def fetch_from_cluster(
    client: RedisCluster, keys: Sequence[str], patience: float
) -> list[bytes | StoreUnavailable | None]:
    """Return a value, None or an error for each key, within `patience` seconds."""
    commands: list[Command] = [("GET", key) for key in keys]
    return [
        value_of(each) for each in await send_to_cluster(client, commands, patience)
    ]


async def send_to_cluster(
    client: RedisCluster, commands: Sequence[Command], patience: float
) -> list[Any]:
    """Return the reply to each command, or the exception that the library raised.

    One pipeline to each node. What was lost with a connection is asked once more,
    after the nodes have been discovered again; so the commands only read.
    """
    found: dict[Command, Any] = {}
    try:
        async with Patience(patience * WITHIN):
            await _query(client, commands, found)
            lost = [each for each in commands if isinstance(found[each], _LOST)]
            if lost:
                await _heal(client, [str(each[1]) for each in lost])
                await _query(client, lost, found)
    except TimeoutError:
        pass  # `found` has what came in time
    silent = RedisTimeoutError("no answer in time")
    return [found.get(each, silent) for each in commands]


async def _query(
    client: RedisCluster, commands: Sequence[Command], found: dict[Command, Any]
) -> None:
    _ = await client.initialize()
    by_node: dict[str, list[Command]] = {}
    for command in commands:
        slot = client.keyslot(str(command[1]))
        try:
            node = node_of_slot(client, slot)
        except RedisClusterException as error:  # no node has the slot
            found[command] = error
        else:
            by_node.setdefault(node.name, []).append(command)
    answers = await asyncio.gather(
        *(_pipelined(client, asked) for asked in by_node.values())
    )
    for answer in answers:
        found.update(answer)


async def _pipelined(
    client: RedisCluster, commands: Sequence[Command]
) -> Mapping[Command, Any]:
    pipeline = client.pipeline()
    for command in commands:
        # It gives the pipeline back, which must not be awaited here.
        _ = pipeline.execute_command(*command)
    try:
        answers = await pipeline.execute(raise_on_error=False)
    except (RedisError, RedisClusterException, OSError) as error:
        return dict.fromkeys(commands, error)
    return dict(zip(commands, answers, strict=True))


async def _heal(client: RedisCluster, lost: Sequence[str]) -> None:
    """Ask each node that failed one single command.

    If that fails too, the library drops the node's other connections and discovers
    the nodes again before the next command; a pipeline's failure does neither.
    """
    one_each = {node_of_slot(client, client.keyslot(key)).name: key for key in lost}
    await asyncio.gather(
        *(client.execute_command("EXISTS", key) for key in one_each.values()),
        return_exceptions=True,
    )


def value_of(answer: Any) -> bytes | StoreUnavailable | None:
    """Return the reply to GET; None if the key holds another type."""
    if answer is None or isinstance(answer, bytes):
        return answer
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    return StoreUnavailable(describe_error(answer))


def describe_error(error: object) -> str:
    """Return the log text of an exception of the library."""
    return f"{type(error).__name__}: {error}"[:300]
