"""Adapter of the redis library's subscription: detects a lost connection."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from redis.asyncio.client import PubSub

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.connections import CHANGED

# A silent subscription is asked whether it still lives; so an ending that was
# not received is missed for no longer than this and a time-out.
HEARTBEAT: Final = 0.5


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
