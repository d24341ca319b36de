"""The parts that outlive a configuration: what a request's way reaches out with."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakValueDictionary

from gateway.errors import StoreUnavailable
from gateway.server.attempts import Attempts, Kind, LimitReached
from gateway.server.edge import Edge
from gateway.server.story import Story
from gateway.server.streams import OpenStreams
from gateway.sessions.ended import EndedSessions
from gateway.sessions.foreign import ForeignStore
from gateway.sessions.record import Session
from gateway.sessions.store import SessionSource, SessionStore


class Report(Protocol):
    """Told what happened; never fails and never blocks."""

    def began(self) -> None:
        """Note that a request came."""
        ...

    def ended(self, story: Story) -> None:
        """Note how a request ended: one line, one observation."""
        ...

    def failed(self, story: Story, error: Exception) -> None:
        """Note a failure that has a name."""
        ...

    def crashed(self, error: BaseException | None, story: Story | None = None) -> None:
        """Note an exception that nobody expected."""
        ...

    def audit(self, event: str, story: Story, **fields: str | int | None) -> None:
        """Note what an auditor asks for: who signed in, out, was refused."""
        ...

    def token(self, profile: str, *, signed: bool) -> None:
        """Note a token that was signed, or used again."""
        ...

    def attempt_failed(self, kind: Kind) -> None:
        """Count a guess that failed."""
        ...

    def attempt_refused(self, kind: Kind, reached: LimitReached | None) -> None:
        """Count a guess that was refused; log `reached`, where there is something."""
        ...

    def administered(self, event: str, session: Session) -> None:
        """Note that the admin API made or ended a session."""
        ...

    def opened(self, kind: str) -> None:
        """Note that a stream or tunnel opened."""
        ...

    def closed(self, kind: str) -> None:
        """Note that it closed."""
        ...


@dataclass(slots=True, kw_only=True)
class Tools:
    """Built once in app.py; the same through every reload.

    `store` answers for sessions, whoever writes them. It is also `own` where the
    gateway does, and `apps` where an app does; the other one is None.
    """

    store: SessionSource
    own: SessionStore | None
    apps: ForeignStore | None
    edge: Edge
    streams: OpenStreams
    report: Report
    attempts: Mapping[Kind, Attempts] = field(
        default_factory=lambda: {kind: Attempts(kind) for kind in Kind}
    )
    draining: bool = False
    ended: EndedSessions = field(default_factory=EndedSessions)
    _later: set[asyncio.Task[Any]] = field(default_factory=set)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    def turn(self, key: str) -> asyncio.Lock:
        """Return the lock for changes of one session; held while one is made.

        Other processes have locks of their own: a compare-and-set decides among them.
        """
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        return lock

    def later(self, write: Coroutine[Any, Any, Any]) -> None:
        """Do a write that no answer waits for; an outage of the store loses it."""
        task = asyncio.ensure_future(_quietly(write))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def finish(self) -> None:
        """Wait a moment until what was put off is done, and give up the rest."""
        if self._later:
            _, left = await asyncio.wait(self._later, timeout=1.0)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


async def _quietly(write: Coroutine[Any, Any, Any]) -> None:
    try:
        await write
    except StoreUnavailable:
        # last_seen_at or an extension: the next request tries again.
        return
