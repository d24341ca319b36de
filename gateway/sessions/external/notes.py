"""What the gateway writes about an app's sessions: that they began, and that they ended."""

from dataclasses import dataclass
from typing import Final

from gateway.sessions.formats.revocation import issued_key, later_of, tombstone_key
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.endings import Endings
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.hold import Execute

# Milliseconds for which the beginning of a visitor's session is noted.
BRIEFLY: Final = 86_400_000
# What has no end is remembered for ten years.
LONGEST: Final = 3650 * 86_400.0


@dataclass(frozen=True, slots=True)
class Note:
    """Value of a revocation note; `keep` is in milliseconds.

    `limit`: sessions of the identity that began before this time have ended.
    """

    value: bytes
    keep: int
    limit: bool = False


class RevocationNotes:
    """Writes notes durably; `endings` is the journal of the last minute.

    What was ended is remembered for `remember` seconds, or for the rest of the session's
    life if that is longer.
    """

    def __init__(
        self, client: RedisClient, *, remember: float, on_event: OnEvent | None
    ) -> None:
        self._client = client
        self._remember = remember
        self.endings: Endings[Note] = Endings(self._write_held, on_event)

    async def began(self, key: str, now: float, *, brief: bool = False) -> None:
        """Store the time at which a session began, unless one is stored.

        `brief`: an anonymous session, for which a day is enough at first.
        """
        keep = min(self.keep(0.0), BRIEFLY) if brief else self.keep(0.0)
        await self._client.call("SET", issued_key(key), f"{now:.6f}", "NX", "PX", keep)

    async def keep_beginning(self, key: str) -> None:
        """Extend the note of a session's beginning, if there is one."""
        note = issued_key(key)
        began = await self._client.get(note)
        if began is not None:
            await self._client.call("SET", note, began, "XX", "PX", self.keep(0.0))

    def keep(self, life: float) -> int:
        """Return for how long a note is kept, in milliseconds; `life`: the session's rest, in seconds."""
        return max(1, round(min(max(life, self._remember), LONGEST) * 1000))

    async def write_tombstone(
        self, key: str, now: float, reason: str, life: float
    ) -> None:
        """Write that a session has ended; `life`: seconds that it would have lived."""
        word = f"{now:.6f} {reason}".encode()
        await self.write(tombstone_key(key), Note(word, self.keep(life)))

    async def write(self, name: str, note: Note) -> None:
        """Write a revocation note, and return once it is durable (hold.py).

        Where that is not certain, it is tried again until it is; in this process it
        counts from now on.
        """
        self.endings.begin(name, note)
        await self._write_held(name, note)

    async def _write_held(self, name: str, note: Note) -> None:
        async def write(execute: Execute) -> None:
            await _put(execute, name, note)

        await self._client.hold(name, write)
        self.endings.settle(name)

    async def replay(self, execute: Execute | None) -> None:
        """Write on a new master what ended in the last minute and it does not have."""
        for name, note in self.endings.all():
            if execute is None:
                await self._write_held(name, note)
            else:
                await _put(execute, name, note)


async def _put(execute: Execute, name: str, note: Note) -> None:
    """Write a note; of two limits for one identity the later stays."""
    value = note.value
    if note.limit:
        (there,) = await execute("MGET", name)
        value = later_of(there, value) or value
    await execute("SET", name, value, "PX", note.keep)
