"""Ends gateway-managed sessions: durably, again on a new master, and from other processes."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Session
from gateway.sessions.record_json import parse_record
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import Ending, end_on
from gateway.sessions.redis.endings import Endings
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.lookup import MAX_KEYS
from gateway.sessions.redis.marks import Marks
from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.session_index import key_from
from gateway.sessions.redis.watch import key_in
from gateway.sessions.store import ended_session


class SessionEndings:
    """What ended in the last minute, and its writes; `endings` is the journal."""

    def __init__(
        self, client: RedisClient, marks: Marks, on_event: OnEvent | None
    ) -> None:
        self._client = client
        self._marks = marks
        self.endings: Endings[Ending] = Endings(self.end, on_event)

    async def end(self, key: str, ending: Ending) -> Session | None:
        """Mark the record as ended, and return it when that is durable (hold.py)."""
        ended: Session | None = None
        known = False

        async def write(execute: Execute) -> None:
            nonlocal ended, known
            session = await end_on(execute, key, ending)
            if session is not None:
                known = True
                if session.active:
                    ended = ended_session(session, ending.at(session), ending.reason)

        await self._client.hold(record_key(key), write)
        if known:
            self.endings.settle(key)
        else:
            self.endings.forget(key)
        return ended

    def receive(self, message: Mapping[str, Any]) -> Iterable[str]:
        """Record an ending that another process published; return the keys."""
        self._marks.receive(message)
        keys = tuple(key_in(message))
        at, reason = message.get("at"), message["reason"]
        moment = float(at) if isinstance(at, int | float) else None
        for key in keys:
            if key_from(key.encode("utf-8", "replace")) is not None:
                self.endings.receive(key, Ending(moment, reason))
        return keys

    async def replay(self, execute: Execute | None) -> None:
        """Write on a new master what ended in the last minute and it does not have."""
        endings = self.endings.all()
        for start in range(0, len(endings), MAX_KEYS):
            batch = dict(endings[start : start + MAX_KEYS])
            names = [record_key(key) for key in batch]
            values = (
                await self._client.fetch(names)
                if execute is None
                else await execute("MGET", *names)
            )
            for (key, ending), raw in zip(batch.items(), values, strict=True):
                if isinstance(raw, StoreUnavailable):
                    raise raw
                session = None if raw is None else parse_record(raw)
                if not (isinstance(session, Session) and session.active):
                    continue
                if execute is None:
                    await self.end(key, ending)
                else:
                    await end_on(execute, key, ending)
        await self._marks.replay(execute)
