"""Looks up app-managed sessions: as many queries as each needs, one after the other.

A session that was seen before needs one. No task waits: each result calls the next step.
"""

import asyncio
from functools import partial
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.external.cache import SessionCache
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
        self._send(query, held, now, done, None)

    def _send(
        self,
        query: Query,
        held: Credential,
        now: float,
        done: OnFound,
        before: QueryResult | None,
    ) -> None:
        received = partial(self._received, query, held, now, done, before)
        self.queries.begin(query, received)

    def close(self) -> None:
        """End what is still being written."""
        for task in self._writing:
            task.cancel()

    def _received(
        self,
        query: Query,
        held: Credential,
        now: float,
        done: OnFound,
        before: QueryResult | None,
        replies: Replies | StoreUnavailable,
    ) -> None:
        """Go on with the replies to a query: with another one, or with the session."""
        if isinstance(replies, StoreUnavailable):
            done(replies)
            return
        cache, endings = self._cache, self._notes.endings
        try:
            step: Evaluated = session_if_unchanged(
                held, query, replies, now, cache=cache, endings=endings
            )
            if step is None:
                found = QueryResult(query, replies)
                before = found if before is None else before | found
                step = evaluate_result(held, before, now, cache=cache, endings=endings)
        except Exception as error:  # noqa: BLE001 - a look-up always has a result
            report("a record could not be read", error)
            done(StoreUnavailable("the record was not read"))
            return
        if isinstance(step, Query):
            self._send(step, held, now, done, before)
        elif isinstance(step, Premature):
            self._end(held.key, now, step, done)
        else:
            done(step)

    def _end(self, key: str, now: float, premature: Premature, done: OnFound) -> None:
        """Write that a session has ended, before its time comes; then pass it on."""
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
