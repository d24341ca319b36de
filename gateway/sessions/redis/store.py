"""Sessions in Redis: the record is the truth, the indexes are hints to it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import parse_record, serialise
from gateway.sessions.redis.client import SCAN_STEP, RedisClient
from gateway.sessions.redis.ending import (
    Ending,
    amend_on,
    compare_and_set,
    milliseconds,
)
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.logouts import RedisLogouts
from gateway.sessions.redis.lookup import Lookups
from gateway.sessions.redis.marks import Marks
from gateway.sessions.redis.parsed_records import ParsedRecords
from gateway.sessions.redis.record_keys import (
    TOKENS_KEY,
    id_token_key,
    identity_key,
    record_key,
    renewal_key,
)
from gateway.sessions.redis.redis_connection import encode
from gateway.sessions.redis.renewals import RedisRenewals
from gateway.sessions.redis.session_endings import SessionEndings
from gateway.sessions.redis.session_index import SessionIndex
from gateway.sessions.redis.source import RedisSource
from gateway.sessions.redis.token_ends import RedisTokenEnds
from gateway.sessions.redis.url import RedisAddress
from gateway.sessions.redis.watch import Watch
from gateway.sessions.store import (
    KEPT_AFTER_END,
    OnFound,
    SessionCredential,
    access_tokens,
    ended_session,
    in_browsers,
    lives,
    newest_first,
    surplus_keys,
)

# Keys that one page of a list looks at, of any kind: a few seconds, in steps of 100.
PAGE_KEYS: Final = 1_000_000


class RedisStore(RedisSource):
    """The SessionStore in Redis or Valkey: the gateway's own format.

    `timeout` bounds each question to Redis, in seconds. `on_corrupt(key, why)` is
    called once for each key that holds bytes that are not a session, `on_event(event)`
    when the server changes, and when something is not held.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = 0.25,
        max_per_identity: int | None = None,
        on_corrupt: Callable[[str, str], None] | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._client = RedisClient(address, timeout=timeout, on_event=on_event)
        self._parsed = ParsedRecords(on_corrupt)
        self._index = SessionIndex(self._client, self._fetch, self._read)
        self.renewals = RedisRenewals(self._client)
        self._marks = Marks(self._client, on_event)
        self.logouts = RedisLogouts(self._client, self._marks, self._index.sessions_in)
        self.token_ends = RedisTokenEnds(self._marks)
        self.takes_provider_tokens: Callable[[], bool] = lambda: False
        self._ends = SessionEndings(self._client, self._marks, on_event)
        self._endings = self._ends.endings
        self._client.set_replay(self._ends.replay)
        self._lookups = Lookups(
            self._fetch, self._read, timeout=timeout, send_now=self._fetch_now
        )
        self._watch = Watch(self._client, self._ends.receive)
        self._max_per_identity = max_per_identity

    def load(self, key: str) -> asyncio.Future[Session | Corrupt | None]:
        """Look up together with all look-ups of this turn of the event loop."""
        return self._lookups.load(key)

    def look_up(
        self,
        held: SessionCredential,
        now: float,  # noqa: ARG002 - a record says itself until when it lives
    ) -> asyncio.Future[Session | Corrupt | None]:
        """Load the record of a token."""
        return self._lookups.load(held.key)

    def begin(
        self,
        held: SessionCredential,
        now: float,  # noqa: ARG002 - as above
        done: OnFound,
    ) -> None:
        """Load the record of a token, and pass it to a callback."""
        self._lookups.begin(held.key, done)

    def refresh(
        self,
        key: str,
        now: float,  # noqa: ARG002 - as above
    ) -> asyncio.Future[Session | Corrupt | None]:
        """Load the record again."""
        return self._lookups.load(key)

    async def create(self, key: str, session: Session, now: float) -> list[str]:
        """Index first: a session that exists can always be found and ended.

        Returns when it is held, so that a new master has it.
        """
        raw = serialise(session)
        keep = milliseconds(session.expires_at + KEPT_AFTER_END - now)
        await self._index.add(key, session, now)

        async def write(execute: Execute) -> bool:
            if await execute("SET", record_key(key), raw, "NX", "PX", keep):
                return True
            # Written before, on this server or on one that this one followed?
            (there,) = await execute("MGET", record_key(key))
            return bool(there == raw)

        if not await self._client.hold(record_key(key), write):
            raise ValueError("the session key is taken")
        if self._max_per_identity is None or session.token_name is not None:
            return []
        surplus = surplus_keys(
            await self.list_for(session.identity.id, now), self._max_per_identity, key
        )
        for old in surplus:
            await self.end(old, now, "max_per_identity")
        return surplus

    async def replace(self, key: str, old: Session, new: Session) -> bool:
        """Compare the bytes that `old` was read from, then set."""
        raw = await self._raw_of(key, old)
        if raw is None:
            return False
        written, keep = serialise(new), 0
        if new.expires_at != old.expires_at:
            # When this was decided, the session was seen.
            await self._index.add(key, new, new.last_seen_at)
            keep = milliseconds(new.expires_at + KEPT_AFTER_END - new.last_seen_at)
            if "provider" in new.extra:
                await self._keep_longer(key, keep)
        if not await self._client.call(*compare_and_set(key, raw, written, keep, b"")):
            return False
        self._parsed.remember(key, written, new)
        return True

    async def _keep_longer(self, key: str, keep: int) -> None:
        """Keep what is of the provider as long as the record.

        Without its renewal, a session that is due for one would end.
        """
        for name in (renewal_key(key), id_token_key(key)):
            await self._client.call("PEXPIRE", name, keep)

    async def amend(self, key: str, old: Session, new: Session) -> bool:
        """Compare and set as `replace`, held as an ending is."""
        raw = await self._raw_of(key, old)
        if raw is None:
            return False
        written = raw if new == old else serialise(new)

        async def write(execute: Execute) -> bool:
            return await amend_on(execute, key, raw, written)

        if not await self._client.hold(record_key(key), write):
            return False
        if written is not raw:
            self._parsed.remember(key, written, new)
        return True

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        """Mark the record as ended, and return when that holds (hold.py).

        Where that is not certain, it is tried again until it is; in this process the
        session has ended from now on.
        """
        self._endings.begin(key, Ending(now, reason))
        ended = await self._ends.end(key, Ending(now, reason))
        if ended is not None:
            with suppress(StoreUnavailable):  # the record is the truth
                await self._index.remove(key, ended)
                if "provider" in ended.extra:
                    await self.renewals.drop(key)
                    await self.logouts.drop_id_token(key)
        return ended

    async def end_all(
        self, identity_id: str, now: float, but: str | None, *, tokens: bool = True
    ) -> int:
        """End what is listed, also what has expired; count those that lived."""
        count = 0
        listed = await self.list_for(identity_id, 0.0)
        for key, session in listed if tokens else in_browsers(listed):
            if key != but and await self.end(key, now) is not None:
                count += session.expires_at > now
        if tokens and self.takes_provider_tokens():
            await self.token_ends.end_identity(identity_id, now)
        return count

    async def list_for(self, identity_id: str, now: float) -> list[tuple[str, Session]]:
        """Ask for every indexed record; what the index says counts for nothing."""
        return newest_first(
            (key, session)
            for key, session in await self._index.sessions_in(identity_key(identity_id))
            if lives(session, identity_id, now)
        )

    async def list_tokens(self, now: float) -> list[tuple[str, Session]]:
        """Ask for every indexed record, as above."""
        return newest_first(
            (key, session)
            for key, session in access_tokens(await self._index.sessions_in(TOKENS_KEY))
            if lives(session, session.identity.id, now)
        )

    async def list_page(
        self, now: float, *, cursor: str, limit: int
    ) -> tuple[list[tuple[str, Session]], str]:
        """Return active sessions of all identities, newest first, and the next cursor.

        No access tokens. The first and the last cursor are "0". A page ends at the
        first step of the scan that reaches `limit`, or after PAGE_KEYS keys: it may
        hold a few more sessions, or none.
        """
        found: dict[str, Session] = {}
        step = min(limit, SCAN_STEP)
        for _ in range(0, PAGE_KEYS, step):
            keys, cursor = await self._index.page(cursor, step)
            found |= {
                key: session
                for key, session in in_browsers(await self._index.sessions_of(keys))
                if lives(session, session.identity.id, now)
            }
            if cursor == "0" or len(found) >= limit:
                break
        return newest_first(found.items()), cursor

    async def find(self, session_id: str) -> tuple[str, Session] | None:
        """Follow the hint, then look whether it was true."""
        key = await self._index.find(session_id)
        if key is None:
            return None
        session = await self.load(key)
        if not isinstance(session, Session) or session.id != session_id:
            return None
        return key, session

    async def close(self) -> None:
        """Stop writing marks too."""
        await self._marks.close()
        await super().close()

    async def _fetch(
        self, keys: list[str], patience: float | None = None
    ) -> list[bytes | StoreUnavailable | None]:
        return await self._client.fetch([record_key(key) for key in keys], patience)

    def _fetch_now(
        self,
        keys: list[str],
        done: Callable[[list[bytes | StoreUnavailable | None] | None], None],
    ) -> Callable[[], StoreUnavailable] | None:
        def received(replies: list[Any] | None) -> None:
            done(None if replies is None else replies[0])

        command = encode(("MGET", *map(record_key, keys)))
        return self._client.send_now(command, 1, received)

    def _read(self, key: str, raw: bytes | None) -> Session | Corrupt | None:
        record = self._parsed.parse(key, raw)
        if self._endings.kept and isinstance(record, Session) and record.active:
            ending = self._endings.get(key)
            if ending is not None:
                # Redis may not have it yet, or not any more.
                return ended_session(record, ending.at(record), ending.reason)
        return record

    async def _raw_of(self, key: str, session: Session) -> bytes | None:
        known = self._parsed.raw_of(key, session)
        if known is not None:
            return known
        raw = await self._client.get(record_key(key))
        return raw if raw is not None and parse_record(raw) == session else None
