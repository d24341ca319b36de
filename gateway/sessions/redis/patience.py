"""A timeout that counts only time in which the event loop could have read.

A process that gets no CPU for a second has not waited a second for Redis: the
answer may have been in its socket all the while. `asyncio.timeout` would fire before
that socket is read, and the outage would be the store's. Here the time is counted in
four steps, and a step that comes late counts as one.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

STEPS: Final = 4


class Patience:
    """`async with Patience(seconds)`: raises TimeoutError when they have passed."""

    __slots__ = ("_before", "_left", "_over", "_step", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._step = seconds / STEPS
        self._left = STEPS
        self._over = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._before = task.cancelling()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._step, self._tick, loop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if (
            self._over
            and self._task.uncancel() <= self._before
            and isinstance(error, asyncio.CancelledError)
        ):
            raise TimeoutError from error

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left -= 1
        if self._left:
            self._timer = loop.call_later(self._step, self._tick, loop)
            return
        self._over = True
        self._task.cancel()
