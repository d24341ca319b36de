"""Renewals in Redis: a key for each, and one for the process whose turn it is."""

from typing import Any

from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import milliseconds
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.record_keys import (
    COMPARE_AND_SET,
    renewal_key,
    renewal_turn_key,
)


class RedisRenewals:
    """The RenewalStore in Redis or Valkey."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def load(self, key: str) -> bytes | None:
        """Read it from the primary."""
        return await self._client.get(renewal_key(key))

    async def put(self, key: str, sealed: bytes, keep: float) -> None:
        """Write it, whatever is there: the key of a session is used once."""

        async def write(execute: Execute) -> None:
            await execute("SET", renewal_key(key), sealed, "PX", milliseconds(keep))

        await self._client.hold(renewal_key(key), write)

    async def replace(self, key: str, old: bytes, new: bytes, keep: float) -> bool:
        """Compare and set; repeated on another server it is done already."""
        name = renewal_key(key)
        command = _replace(name, old, new, milliseconds(keep))

        async def write(execute: Execute) -> bool:
            if await execute(*command):
                return True
            (there,) = await execute("MGET", name)
            return bool(there == new)

        return await self._client.hold(name, write)

    async def drop(self, key: str) -> None:
        """Delete it."""
        await self._client.call("DEL", renewal_key(key))

    async def take_turn(self, key: str, owner: str, seconds: float) -> bool:
        """Set the key of the turn unless it is there; it expires."""
        name, life = renewal_turn_key(key), milliseconds(seconds)
        return bool(await self._client.call("SET", name, owner, "NX", "PX", life))

    async def end_turn(self, key: str, owner: str) -> None:
        """Delete the key of the turn if it is that of `owner`."""
        await self._client.call(*_replace(renewal_turn_key(key), owner, b"", 0))


def _replace(name: str, old: bytes | str, new: bytes, keep: int) -> tuple[Any, ...]:
    return ("EVAL", COMPARE_AND_SET, 1, name, old, new, keep, "", "")
