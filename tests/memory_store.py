"""A session store in memory: the smallest one that keeps the promises of SessionStore.

Tests of endpoints use it; tests/contract runs it through the suite of every store.
"""

import asyncio
from dataclasses import replace

from gateway.errors import StoreUnavailable
from gateway.sessions.provider_link import (
    LogoutMark,
    ProviderLink,
    ProviderLogout,
    link_of,
)
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import parse_record, serialise
from gateway.sessions.store import (
    Found,
    OnChanged,
    OnEnded,
    OnFound,
    OnResubscribe,
    SessionCredential,
    ended_session,
    in_browsers,
    lives,
    newest_first,
    surplus_keys,
)


class MemoryLogouts:
    """Keeps marks and tokens for ever; looks through every record."""

    def __init__(self, records: dict[str, bytes]) -> None:
        self._records = records
        self._marks: list[tuple[ProviderLogout, LogoutMark]] = []
        self._used: set[tuple[str, str]] = set()
        self._id_tokens: dict[str, bytes] = {}

    async def list_linked(self, logout: ProviderLogout) -> list[tuple[str, Session]]:
        pairs = [(key, parse_record(raw)) for key, raw in self._records.items()]
        return newest_first(
            (key, session)
            for key, session in pairs
            if isinstance(session, Session)
            and session.active
            and (link := link_of(session)) is not None
            and logout.means(link, session.issued_at)
        )

    async def mark_logout(
        self, logout: ProviderLogout, mark: LogoutMark, keep: float = 960.0
    ) -> None:
        self._marks.append((logout, mark))

    async def find_marks(self, link: ProviderLink) -> list[LogoutMark]:
        ever = replace(link, issued_at=0.0)
        return [mark for logout, mark in self._marks if logout.means(ever, 0.0)]

    async def keep_id_token(self, key: str, sealed: bytes, seconds: float) -> None:
        self._id_tokens[key] = sealed

    async def find_id_token(self, key: str) -> bytes | None:
        return self._id_tokens.get(key)

    async def was_used(self, issuer: str, jti: str) -> bool:
        return (issuer, jti) in self._used

    async def note_use(self, issuer: str, jti: str, seconds: float) -> bool:
        known = (issuer, jti) in self._used
        self._used.add((issuer, jti))
        return not known


class MemoryStore:
    """Sessions in this process, as the bytes that another store would hold."""

    def __init__(self, *, max_per_identity: int | None = None) -> None:
        self._max_per_identity = max_per_identity
        self._records: dict[str, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._parsed: dict[str, tuple[bytes, Session | Corrupt]] = {}
        self._watchers: list[OnEnded] = []
        self._on_changed: list[OnChanged] = []
        self.logouts = MemoryLogouts(self._records)

    def put_raw(self, key: str, raw: bytes) -> None:
        """Store any bytes, as another program might."""
        self._records[key] = raw

    async def load(self, key: str) -> Session | Corrupt | None:
        """Parse what is stored, once for the same bytes."""
        raw = self._records.get(key)
        if raw is None:
            return None
        known = self._parsed.get(key)
        if known is None or known[0] != raw:
            known = self._parsed[key] = (raw, parse_record(raw))
        return known[1]

    async def look_up(self, held: SessionCredential, now: float) -> Found:
        """Load it: a record says itself until when it lives."""
        return await self.load(held.key)

    def begin(self, held: SessionCredential, now: float, done: OnFound) -> None:
        """Look it up in a task, as a subclass may wait in `look_up`, or raise."""

        async def look_up() -> None:
            try:
                found = await self.look_up(held, now)
            except StoreUnavailable as error:
                done(error)
            else:
                done(found)

        task = asyncio.ensure_future(look_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def refresh(self, key: str, now: float) -> Found:
        """Load it again."""
        return await self.load(key)

    async def create(self, key: str, session: Session, now: float) -> list[str]:
        """Store a new session; the oldest beyond the limit end."""
        raw = serialise(session)
        if key in self._records:
            raise ValueError("the session key is taken")
        self._records[key] = raw
        if session.token_name is not None:
            return []
        surplus = surplus_keys(
            await self.list_for(session.identity.id, now), self._max_per_identity, key
        )
        for old in surplus:
            await self.end(old, now, "max_per_identity")
        return surplus

    async def replace(self, key: str, old: Session, new: Session) -> bool:
        """Compare the parsed record, then set."""
        if await self.load(key) != old:
            return False
        self._records[key] = serialise(new)
        return True

    async def amend(self, key: str, old: Session, new: Session) -> bool:
        """Replace it and call the watchers."""
        if not await self.replace(key, old, new):
            return False
        for watcher in self._on_changed if new != old else ():
            watcher(key)
        return True

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        """Mark the record and call the watchers."""
        session = await self.load(key)
        if not isinstance(session, Session) or not session.active:
            return None
        ended = ended_session(session, now, reason)
        try:
            self._records[key] = serialise(ended)
        except ValueError:  # no room to say so: then without a trace
            del self._records[key]
        for watcher in self._watchers:
            watcher(key, reason)
        return ended

    async def end_all(
        self, identity_id: str, now: float, but: str | None, *, tokens: bool = True
    ) -> int:
        """End what is active; count what lived."""
        listed = await self.list_for(identity_id, 0.0)
        listed = listed if tokens else in_browsers(listed)
        ended = [
            await self.end(key, now) is not None and session.expires_at > now
            for key, session in listed
            if key != but
        ]
        return sum(ended)

    async def list_for(self, identity_id: str, now: float) -> list[tuple[str, Session]]:
        """Look through everything."""
        pairs = [(key, parse_record(raw)) for key, raw in self._records.items()]
        return newest_first(
            (key, session)
            for key, session in pairs
            if isinstance(session, Session) and lives(session, identity_id, now)
        )

    async def list_tokens(self, now: float) -> list[tuple[str, Session]]:
        """Look through everything."""
        pairs = [(key, parse_record(raw)) for key, raw in self._records.items()]
        return newest_first(
            (key, session)
            for key, session in pairs
            if isinstance(session, Session)
            and session.token_name is not None
            and lives(session, session.identity.id, now)
        )

    async def find(self, session_id: str) -> tuple[str, Session] | None:
        """Look through everything."""
        for key, raw in self._records.items():
            session = parse_record(raw)
            if isinstance(session, Session) and session.id == session_id:
                return key, session
        return None

    def watch(
        self,
        on_ended: OnEnded,
        on_resubscribe: OnResubscribe | None = None,
        on_changed: OnChanged | None = None,
    ) -> None:
        """Keep the callbacks; nothing is missed from here on."""
        self._watchers.append(on_ended)
        if on_changed is not None:
            self._on_changed.append(on_changed)
        if on_resubscribe is not None:
            on_resubscribe()

    async def ping(self) -> None:
        """Do nothing: memory is there."""

    async def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._watchers.clear()
        self._on_changed.clear()
