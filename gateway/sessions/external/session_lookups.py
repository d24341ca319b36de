"""Looks up app-managed sessions: as many queries as each needs, one after the other.

A session that was seen before needs one. No task waits: each result calls the next step.
"""

import asyncio
from functools import partial
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.sessions.external.cache import SessionCache
from gateway.sessions.external.evaluation import Premature, evaluate_result
from gateway.sessions.external.notes import RevocationNotes
from gateway.sessions.external.query import (
    Query,
    QueryResult,
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
        self.queries: Lookups[Query, QueryResult, QueryResult]
        self.queries = Lookups(
            lambda queries, patience: fetch(client, queries, patience),
            lambda _, answer: answer,
            timeout=timeout,
            at_once=AT_ONCE,
            send_now=lambda queries, done: fetch_now(client, queries, done),
        )

    def begin(self, held: Credential, now: float, done: OnFound) -> None:
        """Look up a session; `done` is called once, later, and must not raise."""
        seen = self._cache.as_read_for(held)
        query = first_query(held) if seen is None else seen.query
        self.queries.begin(query, partial(self._received, held, now, done, None))

    def close(self) -> None:
        """End what is still being written."""
        for task in self._writing:
            task.cancel()

    def _received(
        self,
        held: Credential,
        now: float,
        done: OnFound,
        before: QueryResult | None,
        found: QueryResult | StoreUnavailable,
    ) -> None:
        """Go on with the result of a query: with another one, or with the session."""
        if isinstance(found, StoreUnavailable):
            done(found)
            return
        if before is not None:
            found = before | found
        try:
            step = evaluate_result(
                held, found, now, cache=self._cache, endings=self._notes.endings
            )
        except Exception as error:  # noqa: BLE001 - a look-up always has a result
            report("a record could not be read", error)
            done(StoreUnavailable("the record was not read"))
            return
        if isinstance(step, Query):
            self.queries.begin(step, partial(self._received, held, now, done, found))
        elif isinstance(step, Premature):
            ending = self._end(held.key, now, step, done)
            task = asyncio.get_running_loop().create_task(ending)
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        else:
            done(step)

    async def _end(
        self, key: str, now: float, premature: Premature, done: OnFound
    ) -> None:
        """Write that a session has ended, before its time comes."""
        try:
            await self._notes.write_tombstone(key, now, "revoked", premature.life)
        except StoreUnavailable as error:
            done(error)
        except BaseException:
            done(StoreUnavailable("the store is closed"))
            raise
        else:
            done(premature.session)
