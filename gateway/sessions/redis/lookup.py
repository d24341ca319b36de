"""Batch the look-ups of one turn of the event loop.

A round trip costs the client some 100 µs of CPU, whether it carries one key or
fifty. Requests that arrive together are read together, so what they ask is
collected until the loop has run what was ready, and sent as one MGET. While a batch
is in flight the next one collects until that is back: under load the batches grow
by themselves, and an idle gateway queries at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeAlias, TypeVar

from gateway.errors import StoreUnavailable

# Redis answers an MGET in one go; 512 small records keep it busy well under a
# millisecond, so other clients of Redis do not wait.
MAX_KEYS: Final = 512
# Beyond this many, look-ups fail at once.
MAX_WAITING: Final = 10_000

# Seconds that a batch waits at most for the one before it, which may have met a
# Redis that hangs. A round trip on a local network is a tenth of it.
PATIENCE: Final = 0.002

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
T = TypeVar("T")
Fetch: TypeAlias = Callable[[list[K]], Awaitable[list[R | StoreUnavailable]]]


class Lookups(Generic[K, R, T]):
    """Collects keys, fetches them in batches, hands each asker its own answer.

    `fetch` takes distinct keys, at most `at_once`, and gives a value or an error
    for each, in their order. `read` turns one value into the answer; askers of one
    key in one turn share it. Each asker waits on a future of its own, so that one
    that is cancelled takes nothing from the others.
    """

    def __init__(
        self, fetch: Fetch[K, R], read: Callable[[K, R], T], at_once: int = MAX_KEYS
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._at_once = at_once
        self._asked: dict[K, list[asyncio.Future[T]]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._overdue: asyncio.TimerHandle | None = None

    def load(self, key: K) -> asyncio.Future[T]:
        """Return a future of the result; it may raise StoreUnavailable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._waiting >= MAX_WAITING:
            future.set_exception(StoreUnavailable("too many look-ups are waiting"))
            return future
        self._waiting += 1
        if not self._asked:
            if self._tasks:
                self._overdue = loop.call_later(PATIENCE, self._flush, loop)
            else:
                loop.call_soon(self._flush, loop)
        self._asked.setdefault(key, []).append(future)
        return future

    async def close(self) -> None:
        """Fail what waits."""
        asked, self._asked = self._asked, {}
        self._fail(asked, StoreUnavailable("the store is closed"))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        asked, self._asked = self._asked, {}
        keys = list(asked)
        for start in range(0, len(keys), self._at_once):
            batch = {key: asked[key] for key in keys[start : start + self._at_once]}
            task = loop.create_task(self._send(batch))
            self._tasks.add(task)
            task.add_done_callback(self._came_back)

    def _came_back(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._asked and not self._tasks:
            self._flush(task.get_loop())

    async def _send(self, batch: dict[K, list[asyncio.Future[T]]]) -> None:
        keys = list(batch)
        failure = StoreUnavailable("the look-up was broken off")
        try:
            values = await self._fetch(keys)
            for key, value in zip(keys, values, strict=True):
                waiters = batch.pop(key)
                if isinstance(value, StoreUnavailable):
                    self._fail({key: waiters}, value)
                else:
                    self._answer(waiters, self._read(key, value))
        except StoreUnavailable as error:
            failure = error
        finally:
            # Also after an unexpected exception: no look-up waits for ever.
            self._fail(batch, failure)

    def _answer(self, waiters: list[asyncio.Future[T]], answer: T) -> None:
        self._waiting -= len(waiters)
        for future in waiters:
            if not future.done():
                future.set_result(answer)

    def _fail(
        self, batch: dict[K, list[asyncio.Future[T]]], why: StoreUnavailable
    ) -> None:
        for waiters in batch.values():
            self._waiting -= len(waiters)
            for future in waiters:
                if not future.done():
                    failure = StoreUnavailable(*why.args)
                    failure.__cause__ = why.__cause__
                    future.set_exception(failure)
