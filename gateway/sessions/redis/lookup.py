"""Batch the look-ups of one turn of the event loop.

A round trip costs about the same whether it carries one key or fifty. Requests that
arrive together are read together, so what they ask is collected until the loop has
run what was ready, and sent at once. While a batch is in flight the next one collects
until that is back: under load the batches grow by themselves, and an idle gateway
queries at once.

| way of a batch | when | what waits for it |
| --- | --- | --- |
| direct (`SendNow`) | a connection is open and nothing is odd | a callback, and one timer for all batches in flight |
| general (`Fetch`) | otherwise, also after the direct way has failed | a task with its own deadline |
"""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from gateway.errors import StoreUnavailable

# Redis answers an MGET in one go; 512 small records keep it busy well under a
# millisecond, so other clients of Redis do not wait.
MAX_KEYS: Final = 512
# Beyond this many, look-ups fail at once.
MAX_WAITING: Final = 10_000
# Seconds that a batch waits at most for the one before it, which may have met a
# Redis that hangs. A round trip on a local network is a tenth of it.
PATIENCE: Final = 0.002
# Parts of the time-out that the timer counts, so that only time counts in which the
# loop could have read: one that comes late counts as one (patience.py). A batch
# begins within a part, so it has at least seven of them.
STEPS: Final = 8

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
T = TypeVar("T")
OnFound: TypeAlias = Callable[[T | StoreUnavailable], None]


class Fetch(Protocol[K, R]):
    """The general way."""

    async def __call__(
        self, keys: list[K], patience: float, /
    ) -> list[R | StoreUnavailable]:
        """Return a value or an error for each of some distinct keys, in their order.

        Raises:
            StoreUnavailable: none has a value within `patience` seconds.
        """
        ...


class SendNow(Protocol[K, R]):
    """The direct way."""

    def __call__(
        self,
        keys: list[K],
        done: Callable[[list[R | StoreUnavailable] | None], None],
        /,
    ) -> Callable[[], StoreUnavailable] | None:
        """Send a query for some distinct keys; None if that cannot be done at once.

        `done` is called once, later, with a value or an error for each key, or with
        None if the general way has to be taken. The function returned gives up
        waiting and returns the error of that.
        """
        ...


class Lookups(Generic[K, R, T]):
    """Collects keys, fetches them in batches, hands each asker its own answer.

    A batch has at most `at_once` keys and `timeout` seconds. `read` turns one value
    into the answer; askers of one key in one turn share it.
    """

    def __init__(
        self,
        fetch: Fetch[K, R],
        read: Callable[[K, R], T],
        *,
        timeout: float,
        at_once: int = MAX_KEYS,
        send_now: SendNow[K, R] | None = None,
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._send_now = send_now
        self._timeout = timeout
        self._at_once = at_once
        self._asked: dict[K, list[OnFound[T]]] = {}
        self._waiting = 0
        self._flights: dict[_Flight[K, T], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, key: K) -> asyncio.Future[T]:
        """Return a future of the result; it may raise StoreUnavailable."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.begin(key, partial(settle, future))
        return future

    def begin(self, key: K, done: OnFound[T]) -> None:
        """Look up a key; `done` is called once, later, with the result or the error.

        Who no longer wants the result is called too: others may wait for the same key.
        """
        if self._waiting >= MAX_WAITING:
            failure = StoreUnavailable("too many look-ups are waiting")
            asyncio.get_running_loop().call_soon(done, failure)
            return
        self._waiting += 1
        asked = self._asked
        if not asked:
            loop = asyncio.get_running_loop()
            if self._flights or self._tasks:
                self._overdue = loop.call_later(PATIENCE, self._flush)
            else:
                loop.call_soon(self._flush)
        waiting = asked.get(key)
        if waiting is None:
            asked[key] = [done]
        else:
            waiting.append(done)

    async def close(self) -> None:
        """Fail what waits."""
        asked, self._asked = self._asked, {}
        failure = StoreUnavailable("the store is closed")
        self._fail(asked, failure)
        flights, self._flights = self._flights, {}
        for flight in flights:
            self._fail(flight.asked, failure)
        for timer in (self._timer, self._overdue):
            if timer is not None:
                timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _flush(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        asked, self._asked = self._asked, {}
        if len(asked) <= self._at_once:
            self._begin(asked)
            return
        keys = list(asked)
        for start in range(0, len(keys), self._at_once):
            self._begin(
                {key: asked[key] for key in keys[start : start + self._at_once]}
            )

    def _flush_if_idle(self) -> None:
        if not self._flights and not self._tasks:
            self._flush()

    # The direct way

    def _begin(self, asked: "dict[K, list[OnFound[T]]]") -> None:
        if not asked:  # closed meanwhile
            return
        if self._send_now is not None:
            flight = _Flight(asked)
            give_up = self._send_now(list(asked), partial(self._landed, flight))
            if give_up is not None:
                flight.give_up = give_up
                self._flights[flight] = None
                if self._timer is None:
                    self._start_timer()
                return
        self._begin_general(asked, self._timeout)

    def _landed(
        self, flight: "_Flight[K, T]", values: list[R | StoreUnavailable] | None
    ) -> None:
        if flight not in self._flights:  # given up, or closed
            return
        del self._flights[flight]
        if self._overdue is not None:
            self._flush_if_idle()
        if values is None:
            self._begin_general(flight.asked, self._timeout * flight.steps / STEPS)
        else:
            self._deliver(flight.asked, values)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(
            self._timeout / STEPS, self._tick
        )

    def _tick(self) -> None:
        """Count a part of the time for every batch in flight; end those without any."""
        self._timer = None
        for flight in tuple(self._flights):
            flight.steps -= 1
            if flight.steps <= 0 and flight in self._flights:
                del self._flights[flight]
                # It may end the connection, and so all other flights.
                self._fail(flight.asked, flight.give_up())
        if self._flights:
            self._start_timer()

    # The general way

    def _begin_general(
        self, asked: "dict[K, list[OnFound[T]]]", patience: float
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._send(asked, patience))
        self._tasks.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._overdue is not None:
            self._flush_if_idle()

    async def _send(self, asked: "dict[K, list[OnFound[T]]]", patience: float) -> None:
        try:
            values = await self._fetch(list(asked), patience)
        except StoreUnavailable as error:
            self._fail(asked, error)
        except BaseException:
            # Each caller gets a result, whatever was raised.
            self._fail(asked, StoreUnavailable("the look-up was broken off"))
            raise
        else:
            self._deliver(asked, values)

    # Both

    def _deliver(
        self, asked: "dict[K, list[OnFound[T]]]", values: list[R | StoreUnavailable]
    ) -> None:
        if len(values) != len(asked):
            self._fail(asked, StoreUnavailable("Redis did not answer for every key"))
            return
        for (key, waiting), value in zip(asked.items(), values, strict=True):
            if isinstance(value, StoreUnavailable):
                self._fail({key: waiting}, value)
                continue
            try:
                found = self._read(key, value)
            except Exception as error:  # noqa: BLE001 - the other keys have their values
                report("a record could not be read", error)
                self._fail({key: waiting}, StoreUnavailable("the record was not read"))
                continue
            self._waiting -= len(waiting)
            for done in waiting:
                try:
                    done(found)
                except Exception as error:  # noqa: BLE001 - of one caller, not of all
                    report(_CALLER_FAILED, error)

    def _fail(self, asked: "dict[K, list[OnFound[T]]]", why: StoreUnavailable) -> None:
        for waiting in asked.values():
            self._waiting -= len(waiting)
            for done in waiting:
                # An error of its own for each: a traceback grows where it is raised.
                failure = StoreUnavailable(*why.args)
                failure.__cause__ = why.__cause__
                try:
                    done(failure)
                except Exception as error:  # noqa: BLE001 - as above
                    report(_CALLER_FAILED, error)


class _Flight(Generic[K, T]):
    """A batch that was sent the direct way."""

    __slots__ = ("asked", "give_up", "steps")

    give_up: Callable[[], StoreUnavailable]

    def __init__(self, asked: dict[K, list[OnFound[T]]]) -> None:
        self.asked = asked
        self.steps = STEPS


def settle(future: asyncio.Future[T], found: T | StoreUnavailable) -> None:
    """Set the result of a look-up, or its error, unless the future was cancelled."""
    if future.done():  # cancelled
        return
    if isinstance(found, StoreUnavailable):
        future.set_exception(found)
    else:
        future.set_result(found)


def report(what: str, error: Exception) -> None:
    """Log an error that has no caller."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": what, "exception": error}
    )


_CALLER_FAILED: Final = "a look-up was delivered to code that failed"
