"""Endings of a store: recorded in the journal, retried until durable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.events import EndingsWaiting, OnEvent
from gateway.sessions.redis.journal import Journal

# Seconds between two tries of what is not held.
AGAIN: Final = 0.5
# So many failures of one round are enough: it is not about one session.
FAILURES: Final = 8

P = TypeVar("P")


class Endings(Generic[P]):
    """A journal, and the task that retries endings that are not durable.

    `write(name, payload)` writes one ending again and settles it.
    """

    def __init__(
        self,
        write: Callable[[str, P], Awaitable[Any]],
        on_event: OnEvent | None = None,
    ) -> None:
        self._write = write
        self._on_event = on_event
        self._journal: Journal[P] = Journal()
        self.kept = self._journal.entries
        """What is kept, by name; each look-up sees at once if there is nothing."""
        self._task: asyncio.Task[None] | None = None

    def begin(self, name: str, payload: P) -> None:
        """Record an ending before it is written; it is effective here from now on."""
        self._journal.note(name, payload, held=False)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work_off())

    def receive(self, name: str, payload: P) -> None:
        """Record an ending made by another process."""
        self._journal.note(name, payload, held=True)

    def get(self, name: str) -> P | None:
        """Return an ending of the last minute, or None."""
        return self._journal.get(name)

    def settle(self, name: str) -> None:
        """Record that an ending is durable."""
        self._journal.settle(name)

    def forget(self, name: str) -> None:
        """Forget what turned out to be no ending."""
        self._journal.forget(name)

    def all(self) -> list[tuple[str, P]]:
        """Return the endings that a new master must have."""
        return self._journal.all()

    async def close(self) -> None:
        """Stop retrying; endings that are not durable are lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work_off(self) -> None:
        reported = 0
        while self._journal.unheld():
            await asyncio.sleep(AGAIN)
            # A younger one is being written by who began it.
            waiting = self._journal.unheld(AGAIN)
            if len(waiting) != reported and self._on_event is not None:
                self._on_event(EndingsWaiting(len(waiting)))
            reported = len(waiting)
            failures = 0
            for name, payload in waiting:
                try:
                    await self._write(name, payload)
                except StoreUnavailable:
                    failures += 1
                    if failures > FAILURES:
                        break  # the others would be answered the same
        if reported and self._on_event is not None:
            self._on_event(EndingsWaiting(0))
