"""Tasks that run in the background for the lifetime of the process."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.server.listener import ClientServer
from gateway.server.reporting.dependencies import DependencyReporter
from gateway.server.reporting.process import ProcessReporter
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.redis.store import RedisStore

_PUBLISH_EVERY: Final = 1.0
"""Seconds between two publications of this process's counts to the others."""
_RETRY: Final = 1.0
"""Seconds until Redis is examined again after it did not respond."""


class BackgroundTasks:
    """The tasks of one process; an exception in one is reported."""

    def __init__(self, crashed: Callable[[BaseException | None], None]) -> None:
        self._crashed = crashed
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._crashed(task.exception())


async def log_store_warnings(
    store: RedisStore | ExternalStore, reporter: DependencyReporter
) -> None:
    """Log what `gateway check` would report about Redis, once it responds."""
    while True:
        try:
            warnings = await store.warnings()
        except StoreUnavailable:
            await asyncio.sleep(_RETRY)
            continue
        for warning in warnings:
            reporter.store_warning(warning.text, warning.hint, broken=warning.broken)
        return


async def publish_counts(server: ClientServer, reporter: ProcessReporter) -> None:
    """Publish the counts of this process to the others, until cancelled."""
    while True:
        reporter.connections(server.open)
        reporter.share()
        await asyncio.sleep(_PUBLISH_EVERY)
