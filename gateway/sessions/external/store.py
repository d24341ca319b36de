"""Store of app-managed sessions in Redis: read and revoked, never written.

A look-up is one query: the record, its TTL, and the gateway's own revocation notes.
What only the record contains (the identity, the key of a second record) needs a
second query; for a session that was seen before both are sent at once, by a
prediction that the first answer confirms or not.

The caches save parsing and predicting. They never replace the answer: every look-up
queries Redis, and the same bytes are not parsed again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import orjson

from gateway.errors import StoreUnavailable
from gateway.sessions.external.cache import SessionCache
from gateway.sessions.external.notes import Note, RevocationNotes
from gateway.sessions.external.query import Query
from gateway.sessions.external.session_lookups import SessionLookups
from gateway.sessions.formats.credential import (
    PUBLIC_ID_CHARS,
    Credential,
    credential_of_hash,
    credential_of_id,
    is_public_id,
)
from gateway.sessions.formats.key_template import key_pattern
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.revocation import (
    issued_key,
    not_before_key,
    not_before_value,
    tombstone_key,
)
from gateway.sessions.record import Session
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.events import OnEvent
from gateway.sessions.redis.lookup import settle
from gateway.sessions.redis.record_keys import ENDED_CHANNEL
from gateway.sessions.redis.source import RedisSource
from gateway.sessions.redis.url import RedisAddress
from gateway.sessions.redis.watch import Watch, key_in
from gateway.sessions.store import (
    Found,
    NotSeen,
    OnFound,
    SessionCredential,
    ended_session,
)


class ExternalStore(RedisSource):
    """The SessionSource for sessions that another program writes.

    `timeout` bounds each question to Redis, in seconds. What was ended is remembered
    for `remember` seconds, or for the rest of the session's life if that is longer.
    `on_corrupt(key, why)` is called once for each session that cannot be read,
    `on_event(event)` when the server changes and when something is not held.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = 0.25,
        remember: float,
        on_corrupt: Callable[[str, str], None] | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        self._client = RedisClient(address, timeout=timeout, on_event=on_event)
        self.notes = RevocationNotes(self._client, remember=remember, on_event=on_event)
        self._client.set_replay(self.notes.replay)
        self._endings = self.notes.endings
        self._seen = SessionCache(on_corrupt)
        self._sessions = SessionLookups(
            self._client, self._seen, self.notes, timeout=timeout
        )
        self._lookups = self._sessions.queries
        self._watch = Watch(self._client, self._keys_in)

    # looking up

    def look_up(self, held: SessionCredential, now: float) -> asyncio.Future[Found]:
        """Query the record and the gateway's own revocations, and combine them."""
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self.begin(held, now, partial(settle, found))
        return found

    def begin(self, held: SessionCredential, now: float, done: OnFound) -> None:
        """Look up as `look_up` does, and pass the result to a callback."""
        assert isinstance(held, Credential)  # noqa: S101 - only this store makes tokens
        self._sessions.begin(held, now, done)

    async def refresh(self, key: str, now: float) -> Found:
        """Look up a session again; raise NotSeen if it is not in the cache."""
        seen = self._seen.get(key)
        if seen is None:
            raise NotSeen("this session was not looked up here")
        return await self.look_up(seen.credential, now)

    async def probe(self, profile: Profile) -> None:
        """Return if the gateway may read the sessions of this format and its notes.

        Raises:
            StoreUnavailable: it does not answer, or a right is missing.
        """
        key = "0" * PUBLIC_ID_CHARS
        notes = (tombstone_key(key), issued_key(key), not_before_key(""))
        records = [profile.key.of("gateway-check", key)]
        if profile.then is not None:
            records.append(profile.then.key.of("gateway-check"))
        await self._lookups.load(Query(tuple(records), notes, 0))

    async def search(self, profile: Profile, named: str) -> Credential | None:
        """Return the credential of a session, by its ID or its public ID.

        For the public id of a session all keys of the format are walked through; only
        where none matches is it treated as a session ID. None where it
        is neither, or Redis has no such key.
        """
        as_id = credential_of_id(profile, named)
        if not is_public_id(named):
            return as_id
        by_hash = credential_of_hash(profile, named)
        return by_hash or await self._walk(profile, named) or as_id

    async def _walk(self, profile: Profile, public_id: str) -> Credential | None:
        for key in await self._client.scan(key_pattern(profile.key)):
            session_id = profile.key.id_in(key)
            found = session_id and credential_of_id(profile, session_id)
            if found and found.key == public_id:
                return found
        return None

    async def find(self, session_id: str) -> tuple[str, Session] | None:
        """Return a session that was looked up here; there is no index of others."""
        seen = self._seen.get(session_id)
        if seen is None or not isinstance(seen.interpretation, Session):
            return None
        return session_id, seen.interpretation

    async def list_for(
        self,
        identity_id: str,  # noqa: ARG002 - there is no index
        now: float,  # noqa: ARG002 - as above
    ) -> list[tuple[str, Session]]:
        """Return an empty list: libraries keep no index by identity."""
        return []

    # ending

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        """Revoke a session, whether or not it was looked up here.

        Give it as it is now, if it was seen here and was alive.
        """
        session: Found = None
        if (seen := self._seen.get(key)) is not None:
            session = await self.look_up(seen.credential, now)
        live = session if isinstance(session, Session) and session.active else None
        life = live.expires_at - now if live is not None else 0.0
        await self.notes.write_tombstone(key, now, reason, life)
        await self._publish({"key": key, "reason": reason, "at": now})
        if live is None or live.expires_at <= now:
            return None
        return ended_session(live, now, reason)

    async def end_all(
        self,
        identity_id: str,
        now: float,
        but: str | None,
        *,
        tokens: bool = True,  # noqa: ARG002 - an app has none
    ) -> int:
        """Revoke all sessions of an identity that began before `now`, except one.

        Counts those that were seen here and were alive; the others end as well.
        """
        since = not_before_value(now, but).encode()
        await self.notes.write(
            not_before_key(identity_id), Note(since, self.notes.keep(0.0), limit=True)
        )
        held = {
            key: seen.credential
            for key in self._seen.keys_of(identity_id, but)
            if (seen := self._seen.get(key)) is not None
        }
        found = await asyncio.gather(
            *(self.look_up(credential, now) for credential in held.values())
        )
        lives = {
            key: session.expires_at - now
            for key, session in zip(held, found, strict=True)
            if isinstance(session, Session)
        }
        await asyncio.gather(
            *(
                self.notes.write_tombstone(key, now, "revoked", life)
                for key, life in lives.items()
            )
        )
        count = sum(life > 0 for life in lives.values())
        await self._publish(
            {"identity": identity_id, "but": but, "reason": "revoked", "at": now}
        )
        return count

    async def close(self) -> None:
        """Stop writing and watching, fail what waits, close the connections."""
        self._sessions.close()
        await super().close()

    async def _publish(self, message: Mapping[str, Any]) -> None:
        with suppress(StoreUnavailable):  # what is written is the truth
            await self._client.call("PUBLISH", ENDED_CHANNEL, orjson.dumps(message))

    def _keys_in(self, message: Mapping[str, Any]) -> Iterable[str]:
        identity_id, but, at = (
            message.get("identity"),
            message.get("but"),
            message.get("at"),
        )
        moment = float(at) if isinstance(at, int | float) else None
        keep = self.notes.keep(0.0)
        if isinstance(identity_id, str):
            if moment is not None:
                spared = but if isinstance(but, str) else None
                since = not_before_value(moment, spared).encode()
                self._endings.receive(
                    not_before_key(identity_id), Note(since, keep, limit=True)
                )
            return tuple(self._seen.keys_of(identity_id, but))
        keys = tuple(key_in(message))
        for key in keys:
            if is_public_id(key):
                word = f"{moment or 0.0:.6f} {message['reason']}".encode()
                self._endings.receive(tombstone_key(key), Note(word, keep))
        return keys
