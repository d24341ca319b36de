"""Looks up app-managed sessions: as many queries as each needs, one after the other.

A session that was seen before needs one. No task waits: each result calls the next step.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.external.cache import CacheEntry, SessionCache
from gateway.sessions.external.evaluation import (
    Evaluated,
    Premature,
    evaluate_result,
    session_if_unchanged,
)
from gateway.sessions.external.notes import RevocationNotes
from gateway.sessions.external.query import (
    Query,
    QueryResult,
    Replies,
    fetch,
    fetch_now,
    first_query,
)
from gateway.sessions.formats.credential import Credential
from gateway.sessions.redis.client import RedisClient
from gateway.sessions.redis.lookup import Lookups, report
from gateway.sessions.store import OnFound

# Look-ups in one question. Each may bring a record of `max_bytes`, 64 KiB unless
# the profile says otherwise: so a burst of the largest ones brings 8 MiB.
AT_ONCE: Final = 128


@dataclass(slots=True)
class _LookUp:
    """One look-up: whose session, at what time, and the results of its queries so far."""

    held: Credential
    now: float
    done: OnFound
    found: QueryResult | None = None


class SessionLookups:
    """Begins look-ups; `queries` sends those of one turn of the event loop together."""

    def __init__(
        self,
        client: RedisClient,
        cache: SessionCache,
        notes: RevocationNotes,
        *,
        timeout: float,
    ) -> None:
        self._cache = cache
        self._notes = notes
        self._writing: set[asyncio.Task[None]] = set()
        self.queries: Lookups[Query, Replies, Replies]
        self.queries = Lookups(
            lambda queries, patience: fetch(client, queries, patience),
            lambda _, replies: replies,
            timeout=timeout,
            at_once=AT_ONCE,
            send_now=lambda queries, done: fetch_now(client, queries, done),
        )

    def begin(self, held: Credential, now: float, done: OnFound) -> None:
        """Look up a session; `done` is called once, later, and must not raise."""
        seen = self._cache.as_read_for(held)
        query = first_query(held) if seen is None else seen.query
        self.queries.begin(query, partial(self._first, held, now, done, seen, query))

    def _send(self, look_up: _LookUp, query: Query) -> None:
        self.queries.begin(query, partial(self._received, look_up, query))

    def _first(
        self,
        held: Credential,
        now: float,
        done: OnFound,
        seen: CacheEntry | None,
        query: Query,
        replies: Replies | StoreUnavailable,
    ) -> None:
        """Go on with the replies to the first query: most say the same as the last time."""
        if seen is not None and not isinstance(replies, StoreUnavailable):
            endings = self._notes.endings
            same = session_if_unchanged(seen, query, replies, now, endings)
            if same is not None:
                done(same)
                return
        self._received(_LookUp(held, now, done), query, replies)

    def close(self) -> None:
        """End what is still being written."""
        for task in self._writing:
            task.cancel()

    def _received(
        self, look_up: _LookUp, query: Query, replies: Replies | StoreUnavailable
    ) -> None:
        """Go on with the replies to a query: with another one, or with the session."""
        if isinstance(replies, StoreUnavailable):
            look_up.done(replies)
            return
        try:
            step = self._evaluate(look_up, query, replies)
        except Exception as error:  # noqa: BLE001 - a look-up always has a result
            report("a record could not be read", error)
            step = StoreUnavailable("the record was not read")
        if isinstance(step, Query):
            self._send(look_up, step)
        elif isinstance(step, Premature):
            self._end(look_up, step)
        else:
            look_up.done(step)

    def _evaluate(
        self, look_up: _LookUp, query: Query, replies: Replies
    ) -> Evaluated | StoreUnavailable:
        held, now = look_up.held, look_up.now
        cache, endings = self._cache, self._notes.endings
        if look_up.found is None:
            look_up.found = QueryResult()
        look_up.found.add(query, replies)
        return evaluate_result(held, look_up.found, now, cache=cache, endings=endings)

    def _end(self, look_up: _LookUp, premature: Premature) -> None:
        """Write that a session has ended, before its time comes; then pass it on."""
        key, now, done = look_up.held.key, look_up.now, look_up.done
        writing = self._notes.write_tombstone(key, now, "revoked", premature.life)
        task = asyncio.get_running_loop().create_task(writing)
        self._writing.add(task)

        # Called as well if the task is cancelled before it has begun.
        def written(task: asyncio.Task[None]) -> None:
            self._writing.discard(task)
            error = None if task.cancelled() else task.exception()
            if task.cancelled():
                done(StoreUnavailable("the store is closed"))
            elif isinstance(error, StoreUnavailable):
                done(error)
            elif isinstance(error, Exception):
                report("the end of a session could not be written", error)
                done(StoreUnavailable("the end of the session was not written"))
            else:
                done(premature.session)

        task.add_done_callback(written)
