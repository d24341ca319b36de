"""What follows from the result of a query: a session, or another query.

No I/O. The cache and the journal of endings only ever add to the answer of Redis: what
it does not say, no look-up says.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.sessions.external.cache import (
    CacheEntry,
    SessionCache,
    Settled,
    is_as_good,
)
from gateway.sessions.external.notes import Note
from gateway.sessions.external.query import (
    Query,
    QueryResult,
    Replies,
    missing_query,
)
from gateway.sessions.formats.credential import Credential
from gateway.sessions.formats.engine import NeedsLookup
from gateway.sessions.formats.revocation import (
    is_ahead,
    issued_key,
    later_of,
    not_before_key,
    tombstone_key,
    with_revocation,
)
from gateway.sessions.record import Session
from gateway.sessions.redis.endings import Endings
from gateway.sessions.store import Found


@dataclass(frozen=True, slots=True)
class Premature:
    """A session that begins in the future, and that all sessions were ended before.

    Its time will come; by then it must not look as if it began afterwards. So its end
    has to be written before `session` is returned. `life`: seconds that are left of it.
    """

    session: Session
    life: float


_REPLIES: Final = 3
"""To a query without a second record: the bytes, their TTL, the notes."""

Evaluated: TypeAlias = Found | Query | Premature


def session_if_unchanged(
    seen: CacheEntry,
    query: Query,
    replies: Replies,
    now: float,
    endings: Endings[Note],
) -> Session | None:
    """Return the session of the last look-up if the replies say the same as then.

    None: they differ, or time has passed; `evaluate_result` evaluates them. `seen` may
    have been replaced meanwhile: what it was settled by still has to be the same. Never
    raises, whatever the replies are.
    """
    settled = seen.settled
    if settled is None or query is not seen.query or len(replies) != _REPLIES:
        return None
    value, pttl, notes = replies
    if value != settled.raw or notes != settled.notes:
        return None
    if type(pttl) is not int or pttl <= 0:
        return None
    if endings.kept and any(map(endings.get, query.notes)):
        return None
    read, session = seen.interpretation, settled.session
    assert isinstance(read, Session)  # noqa: S101 - narrows
    expires_at = min(read.expires_at, now + pttl / 1000)
    return session if is_as_good(session, expires_at, now) else None


def evaluate_result(
    credential: Credential,
    found: QueryResult,
    now: float,
    *,
    cache: SessionCache,
    endings: Endings[Note],
) -> Evaluated:
    """Return the session that a query has found, or the query that is still needed.

    Args:
        credential: whose session.
        found: the results of all its queries so far.
        now: seconds since the epoch.
        cache: the sessions that were read here.
        endings: what ended here in the last minute; Redis may not have it yet, or not
            any more.
    """
    interpreted = cache.interpret(credential, found, now)
    missing = missing_query(interpreted, found, credential.profile.max_bytes)
    if missing is not None:
        return missing
    # Of a second record that is missing there is a query.
    assert not isinstance(interpreted, NeedsLookup)  # noqa: S101 - narrows
    if not isinstance(interpreted, Session):
        return interpreted
    key = credential.key
    tombstone, since = tombstone_key(key), not_before_key(interpreted.identity.id)
    ended, limit, issued = (
        found.notes[each] for each in (tombstone, since, issued_key(key))
    )
    if endings.kept:
        if (note := endings.get(tombstone)) is not None:
            ended = note.value
        if (note := endings.get(since)) is not None:
            limit = later_of(limit, note.value)
    session = with_revocation(
        cache.begun(key, interpreted, issued),
        tombstone=ended,
        not_before=limit,
        issued=issued,
        now=now,
    )
    if is_ahead(interpreted, now) and interpreted.active and not session.active:
        return Premature(session, interpreted.expires_at - now)
    _settle(credential, session, found, cache)
    return session


def _settle(
    credential: Credential, session: Session, found: QueryResult, cache: SessionCache
) -> None:
    """Keep what was found, if the next look-up may only be compared with it."""
    seen = cache.as_read_for(credential)
    if seen is None:
        return
    seen.settled = None
    notes = seen.query.notes
    if (
        seen.raw is None
        or seen.second
        or not isinstance(seen.interpretation, Session)
        or is_ahead(session, session.last_seen_at)
        or any(name not in found.notes for name in notes)
    ):
        return
    values = [found.notes[name] for name in notes]
    seen.settled = Settled(seen.raw, values, session)
