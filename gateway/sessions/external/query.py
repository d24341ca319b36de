"""One query for app-managed sessions, and its result. Reads only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.errors import StoreUnavailable
from gateway.sessions.formats.engine import NO_KEY, Interpretation, NeedsLookup, Stored
from gateway.sessions.formats.revocation import not_before_key
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


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The values of the keys of a query."""

    records: Mapping[str, Stored] = field(repr=False)
    notes: Mapping[str, bytes | None]

    def __or__(self, other: "QueryResult") -> "QueryResult":
        """Join two answers."""
        return QueryResult(
            {**self.records, **other.records}, {**self.notes, **other.notes}
        )


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
    return _results(queries, records, values, notes, written)


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
        written = replies.pop() if notes else []
        done(_results(queries, records, replies, notes, written))

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


def _results(
    queries: Sequence[Query],
    records: Mapping[str, int],
    values: Sequence[Any],
    notes: Sequence[str],
    written: Sequence[bytes | StoreUnavailable | None],
) -> list[QueryResult | StoreUnavailable]:
    stored = {
        key: _stored(value, pttl)
        for key, value, pttl in zip(records, values[::2], values[1::2], strict=True)
    }
    noted = dict(zip(notes, written, strict=True))
    return [_answer_to(query, stored, noted) for query in queries]


def _stored(value: Any, pttl: Any) -> Stored | StoreUnavailable:
    for answer in (value, pttl):
        if isinstance(answer, StoreUnavailable):
            return answer
    if isinstance(value, WrongType):
        return Stored(value=None, pttl=pttl, wrong_type=True)
    # GETRANGE gives the same for no key and for an empty one; PTTL distinguishes them.
    absent = value == b"" and pttl == NO_KEY
    return Stored(value=None if absent else value, pttl=pttl)


def _answer_to(
    query: Query,
    stored: Mapping[str, Stored | StoreUnavailable],
    written: Mapping[str, bytes | StoreUnavailable | None],
) -> QueryResult | StoreUnavailable:
    records: dict[str, Stored] = {}
    notes: dict[str, bytes | None] = {}
    for key in query.records:
        record = stored[key]
        if isinstance(record, StoreUnavailable):
            return record
        records[key] = record
    for key in query.notes:
        note = written[key]
        if isinstance(note, StoreUnavailable):
            return note
        notes[key] = note
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
