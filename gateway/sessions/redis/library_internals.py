"""Undocumented parts of the redis library, each used here alone.

tests/test_private_parts.py fails when an upgrade removes or changes one;
docs/dependencies.md lists them.
"""

import asyncio
from typing import Any, Final

from redis._parsers import BaseParser
from redis.asyncio.cluster import ClusterNode, RedisCluster

PARSE_ERROR: Final = BaseParser.parse_error
"""Makes an exception of the library from an error reply."""


def take_writer(connection: Any) -> asyncio.StreamWriter | None:
    """Return the stream of a library connection, detached; None if it has none.

    Left with it, the stream would be closed as lost by its finalizer.
    """
    writer: asyncio.StreamWriter | None = connection._writer  # noqa: SLF001
    connection._writer = None  # noqa: SLF001
    return writer


def relearn_slots(cluster: RedisCluster) -> None:
    """Make the next call query the slot map."""
    cluster._initialize = True  # noqa: SLF001


def node_of_slot(cluster: RedisCluster, slot: int) -> ClusterNode:
    """Return the master of a slot, as it was last learned.

    Raises:
        SlotNotCoveredError: no node has it.
    """
    return cluster.nodes_manager.get_node_from_slot(slot)
