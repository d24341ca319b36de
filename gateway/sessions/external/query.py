"""One query for app-managed sessions, and its result. Reads only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.sessions.formats.credential import Credential
from gateway.sessions.formats.engine import NO_KEY, Interpretation, NeedsLookup, Stored
from gateway.sessions.formats.revocation import (
    issued_key,
    not_before_key,
    tombstone_key,
)
from gateway.sessions.record import Session
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.direct import WrongType
from gateway.sessions.redis.redis_connection import Command, encode


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One query: records with their TTL, and the gateway's own notes.

    Its commands are one GETRANGE and one PTTL for each record, then an MGET of the notes.
    A look-up repeats the same object, whose commands are encoded once.
    """

    records: tuple[str, ...]
    notes: tuple[str, ...]
    most: int
    encoded: tuple[bytes, int] = field(init=False, repr=False)
    """The commands in the protocol of Redis, and how many they are."""

    def __post_init__(self) -> None:
        commands = self.commands
        if self.notes:
            commands.append(("MGET", *self.notes))
        encoded = b"".join(map(encode, commands)), len(commands)
        object.__setattr__(self, "encoded", encoded)

    @property
    def commands(self) -> list[Command]:
        """The commands for the records."""
        commands: list[Command] = []
        for key in self.records:
            # One byte more than is allowed shows that a value is too large, and
            # bounds what is read.
            commands += (("GETRANGE", key, 0, self.most), ("PTTL", key))
        return commands

    def __repr__(self) -> str:
        """Return the counts; the keys of records are secret."""
        return f"Query({len(self.records)} records, {len(self.notes)} notes)"


Replies: TypeAlias = list[Any]
"""What Redis returns for the commands of a query, one for each."""


class QueryResult:
    """The replies to the queries of one look-up so far."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[Any, Any]] = {}
        self.notes: dict[str, bytes | None] = {}

    def add(self, query: Query, replies: Replies) -> None:
        """Add the replies to a query."""
        values = replies
        if query.notes:
            *values, written = replies
            self.notes.update(zip(query.notes, written, strict=True))
        pairs = zip(values[::2], values[1::2], strict=True)
        self._records.update(zip(query.records, pairs, strict=True))

    def has(self, key: str) -> bool:
        """Return whether a record was queried."""
        return key in self._records

    def stored(self, key: str) -> Stored:
        """Return the value and the TTL of a record that was queried."""
        value, pttl = self._records[key]
        if isinstance(value, WrongType):
            return Stored(value=None, pttl=pttl, wrong_type=True)
        # GETRANGE gives the same for no key and for an empty one; PTTL distinguishes them.
        absent = value == b"" and pttl == NO_KEY
        return Stored(value=None if absent else value, pttl=pttl)


def first_query(
    credential: Credential, second: tuple[str, ...] = (), identity_id: str | None = None
) -> Query:
    """Return the query with which a look-up begins.

    `second` and `identity_id`: the second record and the identity of an earlier
    look-up, which this one probably needs again.
    """
    notes: tuple[str, ...] = (tombstone_key(credential.key), issued_key(credential.key))
    if identity_id is not None:
        notes += (not_before_key(identity_id),)
    return Query((credential.record_key, *second), notes, credential.profile.max_bytes)


async def fetch(
    client: RedisClient, queries: Sequence[Query], patience: float
) -> list[Replies | StoreUnavailable]:
    """Send several queries in one round trip; each has its replies or an error.

    Raises:
        StoreUnavailable: none of them has an answer within `patience` seconds.
    """
    commands = [command for query in queries for command in query.commands]
    notes = list(dict.fromkeys(note for query in queries for note in query.notes))
    values, written = await client.read_with(commands, notes, patience)
    noted = dict(zip(notes, written, strict=True))
    found: list[Replies | StoreUnavailable] = []
    at = 0
    for query in queries:
        end = at + 2 * len(query.records)
        of_records, of_notes = values[at:end], [noted[note] for note in query.notes]
        errors = (
            each
            for each in (*of_records, *of_notes)
            if isinstance(each, StoreUnavailable)
        )
        replies: Replies = [*of_records, of_notes] if of_notes else of_records
        found.append(next(errors, replies))
        at = end
    return found


def fetch_now(
    client: RedisClient,
    queries: Sequence[Query],
    done: Callable[[list[Replies | StoreUnavailable] | None], None],
) -> Callable[[], StoreUnavailable] | None:
    """Send several queries the direct way (SendNow)."""

    def received(replies: Replies | None) -> None:
        if replies is None:
            done(None)
            return
        found: list[Replies | StoreUnavailable] = []
        at = 0
        for query in queries:
            end = at + query.encoded[1]
            found.append(replies[at:end])
            at = end
        done(found)

    parts, counts = zip(*[query.encoded for query in queries], strict=True)
    return client.send_now(b"".join(parts), sum(counts), received)


def missing_query(
    interpreted: Interpretation, found: QueryResult, most: int
) -> Query | None:
    """Return the query that is still needed, or None."""
    if isinstance(interpreted, NeedsLookup):
        return Query(
            (interpreted.key,), (not_before_key(interpreted.identity_id),), most
        )
    if isinstance(interpreted, Session):
        note = not_before_key(interpreted.identity.id)
        if note not in found.notes:
            return Query((), (note,), most)
    return None
