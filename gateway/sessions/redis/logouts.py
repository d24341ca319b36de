"""What providers ended, in Redis: for sessions that exist, and sign-ins in progress."""

from collections.abc import Awaitable, Callable

from gateway.sessions.provider_link import (
    MARK_LIFETIME,
    LogoutMark,
    ProviderLink,
    ProviderLogout,
    link_of,
    read_mark,
    write_mark,
)
from gateway.sessions.record import Session
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import milliseconds
from gateway.sessions.redis.marks import Marks
from gateway.sessions.redis.record_keys import (
    id_token_key,
    logout_marks,
    logout_marks_of,
    logout_token_key,
    sid_key,
    subject_key,
)
from gateway.sessions.store import newest_first


class RedisLogouts:
    """The LogoutStore in Redis; `listed` returns the sessions of an index by key."""

    def __init__(
        self,
        client: RedisClient,
        marks: Marks,
        listed: Callable[[str], Awaitable[list[tuple[str, Session]]]],
    ) -> None:
        self._client = client
        self._marks = marks
        self._listed = listed

    async def list_linked(self, logout: ProviderLogout) -> list[tuple[str, Session]]:
        """Query every record in the indexes of the provider."""
        found: dict[str, Session] = {}
        if logout.session_id is not None:
            found |= dict(await self._listed(sid_key(logout.issuer, logout.session_id)))
        if logout.subject is not None:
            found |= dict(
                await self._listed(subject_key(logout.issuer, logout.subject))
            )
        return newest_first(
            (key, session)
            for key, session in found.items()
            if session.active
            and (link := link_of(session)) is not None
            and logout.means(link, session.issued_at)
        )

    async def mark_logout(
        self, logout: ProviderLogout, mark: LogoutMark, keep: float = MARK_LIFETIME
    ) -> None:
        """Set the marks, one after the other; each is held before the next."""
        for name in logout_marks_of(logout):
            await self._marks.hold(name, write_mark(mark), keep)

    async def find_marks(self, link: ProviderLink) -> list[LogoutMark]:
        """Read the marks; bytes that are none count for nothing."""
        known = await self._marks.fetch(logout_marks(link))
        found = (read_mark(raw) for values in known for raw in values)
        return [mark for mark in found if mark is not None]

    async def keep_id_token(self, key: str, sealed: bytes, seconds: float) -> None:
        """Set it: a loss in a failover costs a question of the provider, so it is not held."""
        keep = milliseconds(seconds)
        await self._client.call("SET", id_token_key(key), sealed, "PX", keep)

    async def find_id_token(self, key: str) -> bytes | None:
        """Read it from the primary."""
        return await self._client.get(id_token_key(key))

    async def drop_id_token(self, key: str) -> None:
        """Delete it."""
        await self._client.call("DEL", id_token_key(key))

    async def was_used(self, issuer: str, jti: str) -> bool:
        """Look for the token."""
        return await self._client.get(logout_token_key(issuer, jti)) is not None

    async def note_use(self, issuer: str, jti: str, seconds: float) -> bool:
        """Set it if it is not there."""
        name, keep = logout_token_key(issuer, jti), milliseconds(seconds)
        return await self._client.call("SET", name, b"1", "NX", "PX", keep) is not None
