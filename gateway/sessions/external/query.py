"""One query for app-managed sessions, and its result. Reads only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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
from gateway.sessions.redis.redis_connection import Command


class Query(NamedTuple):
    """One query: records with their TTL, and the gateway's own notes."""

    records: tuple[str, ...]
    notes: tuple[str, ...]
    most: int

    def __repr__(self) -> str:
        """Return the counts; the keys of records are secret."""
        return f"Query({len(self.records)} records, {len(self.notes)} notes)"


class QueryResult(NamedTuple):
    """At least the values of the keys of a query; often of all queries of a batch.

    records  for each key, what GETRANGE and PTTL return
    notes    the value of each note, or None
    """

    records: Mapping[str, tuple[Any, Any]]
    notes: Mapping[str, bytes | None]

    def __repr__(self) -> str:
        """Return the counts; keys and values of records are secret."""
        return f"QueryResult({len(self.records)} records, {len(self.notes)} notes)"

    def __or__(self, other: "QueryResult") -> "QueryResult":
        """Join two answers."""
        return QueryResult(
            {**self.records, **other.records}, {**self.notes, **other.notes}
        )

    def stored(self, key: str) -> Stored:
        """Return the value and the TTL of a record that was queried."""
        value, pttl = self.records[key]
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
) -> list[QueryResult | StoreUnavailable]:
    """Send several queries in one round trip; each has a result or an error.

    Raises:
        StoreUnavailable: none of them has an answer within `patience` seconds.
    """
    records, notes = _keys_of(queries)
    commands = _commands_for(records)
    values, written = await client.read_with(commands, notes, patience)
    result = _result(records, values, notes, written)
    return [_of_one(query, result) for query in queries]


def fetch_now(
    client: RedisClient,
    queries: Sequence[Query],
    done: Callable[[list[QueryResult | StoreUnavailable] | None], None],
) -> Callable[[], StoreUnavailable] | None:
    """Send several queries the direct way (SendNow)."""
    records, notes = _keys_of(queries)
    commands = _commands_for(records)
    if notes:
        commands.append(("MGET", *notes))

    def received(replies: list[Any] | None) -> None:
        if replies is None:
            done(None)
            return
        written = replies.pop() if notes else ()
        # Here no key has an error of its own: one result does for all.
        done([_result(records, replies, notes, written)] * len(queries))

    return client.send_now(commands, received)


def _keys_of(queries: Sequence[Query]) -> tuple[dict[str, int], list[str]]:
    """Return the records with the bytes that each may have, and the notes."""
    records = {key: query.most for query in queries for key in query.records}
    notes = list(dict.fromkeys(note for query in queries for note in query.notes))
    return records, notes


def _commands_for(records: Mapping[str, int]) -> list[Command]:
    commands: list[Command] = []
    for key, most in records.items():
        # One byte more than is allowed shows that a value is too large, and
        # bounds what is read.
        commands += (("GETRANGE", key, 0, most), ("PTTL", key))
    return commands


def _result(
    records: Iterable[str],
    values: Sequence[Any],
    notes: Iterable[str],
    written: Iterable[Any],
) -> QueryResult:
    pairs = zip(values[::2], values[1::2], strict=True)
    return QueryResult(
        dict(zip(records, pairs, strict=True)), dict(zip(notes, written, strict=True))
    )


def _of_one(query: Query, result: QueryResult) -> QueryResult | StoreUnavailable:
    """Return what a query was for, or the error of one of its keys."""
    records = {key: result.records[key] for key in query.records}
    notes = {key: result.notes[key] for key in query.notes}
    for answer in (
        *(each for pair in records.values() for each in pair),
        *notes.values(),
    ):
        if isinstance(answer, StoreUnavailable):
            return answer
    return QueryResult(records, notes)


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
