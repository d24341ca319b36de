"""Cache of parsed app-managed sessions: saves parsing, never replaces a query.

The same bytes mean the same, so they are parsed once; and whose session a credential
was, and which second record it needed, predicts what to query with it. Both
are only used together with the current answer of Redis.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from gateway.sessions.corrupt_reports import CorruptReports
from gateway.sessions.external.query import Query, QueryResult, first_query
from gateway.sessions.formats.credential import Credential
from gateway.sessions.formats.engine import (
    Interpretation,
    NeedsLookup,
    Stored,
    interpret_record,
    read_session,
    with_times,
)
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.revocation import with_issue
from gateway.sessions.record import Corrupt, Session

# Sessions remembered, with records of up to 8 KiB: at most 80 MiB.
SEEN_MOST: Final = 10_000
SEEN_BYTES: Final = 8 * 1024


# Seconds for which one object stands for a session whose record has not changed. Its
# last use is at most so old then, which is for people alone.
SETTLED: Final = 60.0
# The part of the time that is left by which its end may be too early, where each use
# extends the session. A token ends with the session, so it must not seem to end soon.
TOO_EARLY: Final = 0.1
# Seconds by which two readings of a TTL differ: the round trip lies between the clock
# and the reading. So the end is at most so much too late.
TTL_JITTER: Final = 0.5


class Settled(NamedTuple):
    """What a look-up found last, to which the next one is compared.

    raw      the bytes of the record
    notes    the values of the notes of the query
    session  what follows from them
    """

    raw: bytes
    notes: list[bytes | None]
    session: Session


@dataclass(slots=True, kw_only=True)
class CacheEntry:
    """A session as it was read last, from which bytes, and what was asked for it.

    `raw` is None where the bytes were too many to be kept: they are parsed each time.
    `then` is None where no second record was asked for, else what it held.
    """

    credential: Credential
    raw: bytes | None = field(repr=False)
    then: tuple[bytes | None] | None = field(repr=False)
    interpretation: Interpretation
    identity_id: str | None
    second: tuple[str, ...] = field(repr=False)
    query: Query
    """With which the next look-up begins."""
    timed: Session | None = None
    """What `interpretation` was returned as last, with its times."""
    begun: tuple[Session, bytes, Session] | None = field(default=None, repr=False)
    """What a session was returned as last, with the noted time of its beginning."""
    settled: Settled | None = field(default=None, repr=False)


def is_as_good(last: Session, expires_at: float, now: float) -> bool:
    """Return whether a session with the times of a moment ago may stand for that of now."""
    left = last.expires_at - now
    return (
        0.0 <= now - last.last_seen_at < SETTLED
        and left > 0.0
        and -TTL_JITTER <= expires_at - last.expires_at <= left * TOO_EARLY
    )


class SessionCache:
    """The sessions that were read here, by the hex SHA-256 of their ids.

    `on_corrupt(key, why)` is called once for each session that cannot be read.
    """

    def __init__(self, on_corrupt: Callable[[str, str], None] | None) -> None:
        self._corrupt = CorruptReports(on_corrupt)
        self._seen: OrderedDict[str, CacheEntry] = OrderedDict()

    def get(self, key: str) -> CacheEntry | None:
        """Return the entry for the hash of an ID, or None."""
        return self._seen.get(key)

    def as_read_for(self, credential: Credential) -> CacheEntry | None:
        """Return the entry for a credential if it was read with the same profile."""
        seen = self._seen.get(credential.key)
        if seen is None or seen.credential.profile is not credential.profile:
            return None
        self._seen.move_to_end(credential.key)
        return seen

    def keys_of(self, identity_id: str, but: object) -> Iterator[str]:
        """Yield the keys of an identity's cached sessions, except `but`."""
        for key, seen in self._seen.items():
            if seen.identity_id == identity_id and key != but:
                yield key

    def interpret(
        self, credential: Credential, found: QueryResult, now: float
    ) -> Interpretation:
        """Interpret a query result at `now`; parse only bytes not parsed before."""
        profile, read = credential.profile, self._read
        stored = found.stored(credential.record_key)
        seen = self.as_read_for(credential)
        then = None
        if (
            seen is not None
            and seen.second
            and seen.raw is not None
            and seen.raw == stored.value
            and found.has(seen.second[0])
        ):
            # The same bytes name the same second record.
            then = found.stored(seen.second[0])
        timed = partial(self._timed, credential)
        interpreted = interpret_record(
            profile, credential, stored, now, then, read=read, timed=timed
        )
        if isinstance(interpreted, NeedsLookup) and found.has(interpreted.key):
            then = found.stored(interpreted.key)
            interpreted = interpret_record(
                profile, credential, stored, now, then, read=read, timed=timed
            )
        if isinstance(interpreted, Corrupt):
            self._corrupt.report(credential.key, interpreted.why)
        return interpreted

    def begun(self, key: str, session: Session, issued: bytes | None) -> Session:
        """Return `with_issue`, as the same object for the same arguments."""
        if issued is None or session.issued_at:
            return session
        seen = self._seen.get(key)
        if seen is None:
            return with_issue(session, issued)
        last = seen.begun
        if last is None or last[0] is not session or last[1] != issued:
            last = seen.begun = (session, issued, with_issue(session, issued))
        return last[2]

    def _timed(
        self, credential: Credential, session: Session, expires_at: float, now: float
    ) -> Session:
        """Return `with_times`, or its last result while that is as good as it.

        A value derived from a session may be kept for the same object (SessionStore).
        """
        seen = self._seen.get(credential.key)
        if seen is None or seen.interpretation is not session:
            return with_times(session, expires_at, now)
        last = seen.timed
        if last is None or not is_as_good(last, expires_at, now):
            last = seen.timed = with_times(session, expires_at, now)
        return last

    def _read(
        self, profile: Profile, credential: Credential, raw: bytes, then: Stored | None
    ) -> Interpretation:
        asked = None if then is None else (then.value,)
        seen = self.as_read_for(credential)
        if seen is not None and seen.raw == raw and seen.then == asked:
            return seen.interpretation
        interpretation = read_session(profile, credential, raw, then)
        self._note(credential, raw, asked, interpretation)
        return interpretation

    def _note(
        self,
        credential: Credential,
        raw: bytes,
        then: tuple[bytes | None] | None,
        interpretation: Interpretation,
    ) -> None:
        key = credential.key
        before = self.as_read_for(credential)
        second: tuple[str, ...] = ()
        identity_id = None
        if isinstance(interpretation, NeedsLookup):
            second, identity_id = (interpretation.key,), interpretation.identity_id
        else:
            if before is not None and before.raw == raw:
                second = before.second
            if isinstance(interpretation, Session):
                identity_id = interpretation.identity.id
        short = len(raw) + len((then and then[0]) or b"") <= SEEN_BYTES
        self._seen[key] = CacheEntry(
            credential=credential,
            raw=raw if short else None,
            then=then if short else None,
            interpretation=interpretation,
            identity_id=identity_id,
            second=second,
            query=first_query(credential, second, identity_id),
        )
        self._seen.move_to_end(key)
        if len(self._seen) > SEEN_MOST:
            self._seen.popitem(last=False)
