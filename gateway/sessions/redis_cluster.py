"""Reading many keys from Redis Cluster: what one node cannot say, others still can."""

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

# Of the time for a look-up, what one node may use before it is given up: room for
# a second attempt at it.
NODE_SHARE: Final = 0.4
# Ours ends before the caller's deadline, so that what did come is given.
WITHIN: Final = 0.9

_LOST: Final = (RedisConnectionError, RedisTimeoutError)


async def fetch_from_cluster(
    client: RedisCluster, keys: Sequence[str], patience: float
) -> list[bytes | StoreUnavailable | None]:
    """Give a value, None or an error for each key, within `patience` seconds.

    One pipeline to each node. What was lost with a connection is asked once more,
    after the nodes have been learned anew.
    """
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(patience * WITHIN):
            await _ask(client, keys, found)
            lost = [key for key in keys if isinstance(found[key], _LOST)]
            if lost:
                await _heal(client, lost)
                await _ask(client, lost, found)
    except TimeoutError:
        pass  # `found` has what came in time
    silent = RedisTimeoutError("no answer in time")
    return [_value(found.get(key, silent)) for key in keys]


async def _ask(
    client: RedisCluster, keys: Sequence[str], found: dict[str, Any]
) -> None:
    _ = await client.initialize()
    by_node: dict[str, list[str]] = {}
    for key in keys:
        try:
            node = client.nodes_manager.get_node_from_slot(client.keyslot(key))
        except RedisClusterException as error:  # nobody has the slot
            found[key] = error
        else:
            by_node.setdefault(node.name, []).append(key)
    answers = await asyncio.gather(
        *(_pipelined(client, asked) for asked in by_node.values())
    )
    for answer in answers:
        found.update(answer)


async def _pipelined(client: RedisCluster, keys: Sequence[str]) -> Mapping[str, Any]:
    pipeline = client.pipeline()
    for key in keys:
        # It gives the pipeline back, which must not be awaited here.
        _ = pipeline.execute_command("GET", key)
    try:
        answers = await pipeline.execute(raise_on_error=False)
    except (RedisError, RedisClusterException, OSError) as error:
        return dict.fromkeys(keys, error)
    return dict(zip(keys, answers, strict=True))


async def _heal(client: RedisCluster, lost: Sequence[str]) -> None:
    """Ask each node that failed one single command.

    If that fails too, the library drops the node's other connections and learns
    the nodes anew before the next command; a pipeline's failure does neither.
    """
    one_each = {
        client.nodes_manager.get_node_from_slot(client.keyslot(key)).name: key
        for key in lost
    }
    await asyncio.gather(
        *(client.execute_command("EXISTS", key) for key in one_each.values()),
        return_exceptions=True,
    )


def _value(answer: Any) -> bytes | StoreUnavailable | None:
    if answer is None or isinstance(answer, bytes):
        return answer
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    return StoreUnavailable(told(answer))


def told(error: object) -> str:
    """Say for the log what the library raised."""
    return f"{type(error).__name__}: {error}"[:300]
