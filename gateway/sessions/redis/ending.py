"""End or amend one gateway-managed session on one server."""

from dataclasses import dataclass
from typing import Final

import orjson
from redis.exceptions import OutOfMemoryError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Session
from gateway.sessions.record_json import parse_record, serialise
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.record_keys import (
    COMPARE_AND_SET,
    ENDED_CHANNEL,
    record_key,
)
from gateway.sessions.redis.redis_connection import Command
from gateway.sessions.store import KEPT_AFTER_END, ended_session

ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class Ending:
    """When a session ended, and why; without a moment, when it was seen last."""

    moment: float | None
    reason: str

    def at(self, session: Session) -> float:
        """Return the time, in seconds since the epoch."""
        return session.last_seen_at if self.moment is None else self.moment


async def end_on(execute: Execute, key: str, ending: Ending) -> Session | None:
    """End a session whatever others write to it meanwhile; give what was there.

    One that has ended is written again unchanged, so that `WAIT` also covers the write
    of the process that ended it.
    """
    for _ in range(ATTEMPTS):
        (raw,) = await execute("MGET", record_key(key))
        session = None if raw is None else parse_record(raw)
        if raw is None or not isinstance(session, Session):
            return None
        if not session.active:
            await execute(*compare_and_set(key, raw, raw, 0, b""))
            return session
        now = ending.at(session)
        try:
            written = serialise(ended_session(session, now, ending.reason))
        except ValueError:
            written = b""  # no room for the reason: then without a trace
        keep = milliseconds(max(session.expires_at, now) + KEPT_AFTER_END - now)
        message = orjson.dumps({"key": key, "reason": ending.reason, "at": now})
        try:
            done = await execute(*compare_and_set(key, raw, written, keep, message))
        except ResponseError as error:
            # Redis before 7 reports it in the words of the script.
            if not (isinstance(error, OutOfMemoryError) or "OOM" in str(error)):
                raise
            # Redis has no memory left for it. It may still delete.
            done = await execute(*compare_and_set(key, raw, b"", 0, message))
        if done:
            return session
    raise StoreUnavailable("the session kept changing while it was to be ended")


async def amend_on(execute: Execute, key: str, old: bytes, new: bytes) -> bool:
    """Write `new` where `old` is stored, and publish that; return whether it is there.

    May be repeated, on this server or on one that followed it.
    """
    message = b"" if new == old else orjson.dumps({"key": key, "changed": True})
    if await execute(*compare_and_set(key, old, new, 0, message)):
        return True
    (there,) = await execute("MGET", record_key(key))
    return bool(there == new)


def compare_and_set(
    key: str, old: bytes, new: bytes, keep: int, message: bytes
) -> Command:
    """Make the command that writes `new`, or deletes for b"", if `old` is there."""
    channel = ENDED_CHANNEL if message else ""
    name = record_key(key)
    return ("EVAL", COMPARE_AND_SET, 1, name, old, new, keep, channel, message)


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, at least one: what Redis takes as a time to live."""
    return max(1, round(seconds * 1000))
