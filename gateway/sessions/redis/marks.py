"""Marks of what a provider or the gateway ended: durable, and again on a new master.

A mark has one time, or two, and none of them ever goes back: an older logout that is
received later takes nothing from a newer one, and no mark lives shorter than it did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.errors import StoreUnavailable
from gateway.sessions.provider_token import EVERY_TOKEN
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import milliseconds
from gateway.sessions.redis.endings import Endings
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.record_keys import ENDED_CHANNEL

# KEYS: mark. ARGV: its times as JSON, milliseconds to live, channel, message.
# A number is written as it was received: cjson would round it.
_SCRIPT: Final = """
local function later(old, new)
  local a, b = tonumber(old), tonumber(new)
  if a and b and a > b then return old end
  return new
end
local value, keep = ARGV[1], tonumber(ARGV[2])
local old = redis.call('GET', KEYS[1])
if old then
  local pair = '^%[([^,%[%]]+),([^,%[%]]+)%]$'
  local issued, received = string.match(old, pair)
  local new_issued, new_received = string.match(value, pair)
  if issued and new_issued then
    value = '[' .. later(issued, new_issued) .. ',' .. later(received, new_received) .. ']'
  elseif not issued and not new_issued then
    value = later(old, value)
  end
  keep = math.max(keep, redis.call('PTTL', KEYS[1]))
end
redis.call('SET', KEYS[1], value, 'PX', string.format('%d', keep))
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """The bytes of a mark: a number or a pair of them, as JSON; `keep` in milliseconds."""

    raw: bytes
    keep: int


class Marks:
    """Writes marks durably, and reads them with those of the last minute."""

    def __init__(self, client: RedisClient, on_event: OnEvent | None) -> None:
        self._client = client
        self._journal: Endings[Mark] = Endings(self._write, on_event)

    async def hold(self, name: str, raw: bytes, seconds: float) -> None:
        """Set a mark, notify the watchers, and return when that is durable.

        It counts in this process from now on, and is tried again until it is durable.

        Raises:
            StoreUnavailable: it is not certain that it is durable.
        """
        mark = Mark(raw, milliseconds(seconds))
        self._journal.begin(name, mark)
        await self._write(name, mark)

    async def fetch(self, names: Sequence[str]) -> list[tuple[bytes, ...]]:
        """Return what is known of each mark: nothing, or up to two values of it.

        Redis may not have that of the last minute yet, or not any more.

        Raises:
            StoreUnavailable: Redis was not read.
        """
        found = []
        for name, raw in zip(names, await self._client.fetch(list(names)), strict=True):
            if isinstance(raw, StoreUnavailable):
                raise raw
            here = self._journal.get(name) if self._journal.kept else None
            values = dict.fromkeys((raw, None if here is None else here.raw))
            found.append(tuple(value for value in values if value is not None))
        return found

    def receive(self, message: Mapping[str, Any]) -> None:
        """Record a mark that another process published."""
        name, raw, keep = (message.get(word) for word in ("mark", "value", "keep"))
        if isinstance(name, str) and isinstance(raw, str) and isinstance(keep, int):
            self._journal.receive(name, Mark(raw.encode(), max(1, keep)))

    async def replay(self, execute: Execute | None) -> None:
        """Write the marks of the last minute on a new master, which may lack them."""
        for name, mark in self._journal.all():
            if execute is None:
                await self._write(name, mark)
            else:
                await _set(execute, name, mark, b"")

    async def close(self) -> None:
        """Stop writing again; marks that are not durable are lost."""
        await self._journal.close()

    async def _write(self, name: str, mark: Mark) -> None:
        message = orjson.dumps(
            {
                "key": EVERY_TOKEN,
                "reason": "revoked",
                "mark": name,
                "value": mark.raw.decode(),
                "keep": mark.keep,
            }
        )

        async def write(execute: Execute) -> None:
            await _set(execute, name, mark, message)

        await self._client.hold(name, write)
        self._journal.settle(name)


async def _set(execute: Execute, name: str, mark: Mark, message: bytes) -> None:
    await execute("EVAL", _SCRIPT, 1, name, mark.raw, mark.keep, ENDED_CHANNEL, message)
