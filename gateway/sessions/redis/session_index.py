"""The indexes of sessions in Redis: by identity, provider and kind. Hints, not the truth."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.provider_link import link_of
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.ending import milliseconds
from gateway.sessions.redis.hold import Execute
from gateway.sessions.redis.lookup import MAX_KEYS
from gateway.sessions.redis.record_keys import (
    ADD_TO_INDEX,
    TOKENS_KEY,
    identity_key,
    link_keys,
    public_id_key,
    record_key,
)
from gateway.sessions.store import KEPT_AFTER_END

_KEY_CHARS: Final = 64


class SessionIndex:
    """Finds sessions by what their records contain.

    `fetch` returns the stored bytes of some keys, `read` the session in them. A session
    counts by its record, whatever the index says.
    """

    def __init__(
        self,
        client: RedisClient,
        fetch: Callable[[list[str]], Awaitable[list[bytes | StoreUnavailable | None]]],
        read: Callable[[str, bytes | None], Session | Corrupt | None],
    ) -> None:
        self._client = client
        self._fetch = fetch
        self._read = read

    async def add(self, key: str, session: Session, now: float) -> None:
        """Add a session to its indexes, and return once that is durable."""
        keep = milliseconds(session.expires_at + KEPT_AFTER_END - now)
        score, oldest = session.expires_at, now - KEPT_AFTER_END
        for index in _indexes_of(session):
            await self._client.hold(
                index, partial(_add, index, (key, score, keep, oldest))
            )
        await self._client.call("SET", public_id_key(session.id), key, "PX", keep)

    async def remove(self, key: str, session: Session) -> None:
        """Remove a session from its indexes."""
        for index in _indexes_of(session):
            await self._client.call("ZREM", index, key)

    async def sessions_in(self, index: str) -> list[tuple[str, Session]]:
        """Return the sessions, ended or not, of the keys in an index."""
        try:
            members = await self._client.call("ZRANGE", index, 0, -1)
        except StoreUnavailable as error:
            if "WRONGTYPE" not in str(error):
                raise
            return []
        return await self.sessions_of(
            [key for member in members if (key := key_from(member)) is not None]
        )

    async def sessions_of(self, keys: list[str]) -> list[tuple[str, Session]]:
        """Return the sessions, ended or not, of some keys."""
        found: list[tuple[str, Session]] = []
        for start in range(0, len(keys), MAX_KEYS):
            batch = keys[start : start + MAX_KEYS]
            for key, raw in zip(batch, await self._fetch(batch), strict=True):
                if isinstance(raw, StoreUnavailable):
                    raise raw
                session = self._read(key, raw)
                if isinstance(session, Session):
                    found.append((key, session))
        return found

    async def find(self, session_id: str) -> str | None:
        """Return the key of a public session ID; its record may be of another one."""
        hint = await self._client.get(public_id_key(session_id))
        return None if hint is None else key_from(hint)

    async def page(self, cursor: str, step: int) -> tuple[list[str], str]:
        """Return the keys of one step of a scan of all records, and the next cursor."""
        cursor, names = await self._client.scan_step(record_key("*"), cursor, step)
        ends = (name.rpartition(":")[2].encode("utf-8", "replace") for name in names)
        return [key for end in ends if (key := key_from(end)) is not None], cursor


async def _add(
    index: str, entry: tuple[str, float, int, float], execute: Execute
) -> None:
    await execute("EVAL", ADD_TO_INDEX, 1, index, *entry)


def _indexes_of(session: Session) -> tuple[str, ...]:
    """Return the keys of the indexes in which a session is."""
    link = link_of(session)
    of_provider = () if link is None else link_keys(link)
    of_tokens = () if session.token_name is None else (TOKENS_KEY,)
    return (identity_key(session.identity.id), *of_provider, *of_tokens)


def key_from(member: bytes) -> str | None:
    """Return the key that an index or a hint names; None if it is not one."""
    if len(member) != _KEY_CHARS or member.translate(None, b"0123456789abcdef"):
        return None
    return member.decode("ascii")
