"""Subscribes to a channel, and detects that the connection or its server was lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.connect import common_options
from gateway.sessions.redis.connections import CHANGED
from gateway.sessions.redis.names import resolving
from gateway.sessions.redis.servers import (
    RedisServers,
    quietly,
    send_to_node,
    translated,
)

# A silent subscription is asked whether it still lives; so an ending that was
# not received is missed for no longer than this and a time-out.
HEARTBEAT: Final = 0.5


@contextlib.asynccontextmanager
async def subscription(
    servers: RedisServers, channel: str
) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Subscribe; yield a function that waits for the next message.

    That function raises StoreUnavailable when the subscription is lost, or the
    server has changed.
    """
    own: Redis | None = None
    if servers.is_cluster:
        cluster, watch = servers.open_cluster()
        # A read, which learns the nodes. PUBLISH reaches all, so any of them will do.
        await servers.within(lambda: send_to_node(cluster, "EXISTS", "gateway:ping"))
        node = cluster.get_random_node()
        own = resolving(
            Redis(
                host=node.host,
                port=int(node.port),
                **common_options(servers.address, servers.timeout),
            ),
            servers.address.resolver,
        )
        pubsub, gone = own.pubsub(), watch.changed
    else:
        connections = await servers.within(servers.supervise().wait_usable)
        pubsub, gone = connections.client.pubsub(), connections.gone
    try:
        await servers.within(lambda: subscribe(pubsub, channel))

        async def next_message() -> bytes:
            return await translated(
                lambda: unless(gone, next_of(pubsub, servers.timeout))
            )

        yield next_message
    finally:
        await quietly(pubsub.aclose())  # type: ignore[no-untyped-call]
        if own is not None:
            await quietly(own.aclose())


async def subscribe(pubsub: PubSub, channel: str) -> None:
    """Return when Redis has confirmed the subscription."""
    await pubsub.subscribe(channel)
    while (message := await pubsub.get_message(timeout=HEARTBEAT)) is None or (
        message["type"] != "subscribe"
    ):
        pass


async def next_of(pubsub: PubSub, patience: float) -> bytes:
    """Return the next message.

    Raises:
        StoreUnavailable: the subscription is silent for `patience` seconds when it
            is asked, or was interrupted.
    """
    asked = False
    while True:
        message = await pubsub.get_message(timeout=patience if asked else HEARTBEAT)
        if message is None:
            if asked:
                raise StoreUnavailable("the subscription is silent")
            await pubsub.ping()
            asked = True
            continue
        asked = False
        if message["type"] == "subscribe":
            # The library has reconnected on its own; messages sent meanwhile are
            # lost, and the caller has to know.
            raise StoreUnavailable("the subscription was interrupted")
        if message["type"] == "message":
            data: bytes = message["data"]
            return data


async def unless(gone: asyncio.Event, message: Awaitable[bytes]) -> bytes:
    """Wait for a message, but not longer than its server is the one in use."""
    waiting = asyncio.ensure_future(message)
    leaving = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise StoreUnavailable(CHANGED)
        return waiting.result()
    finally:
        waiting.cancel()
        leaving.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)
