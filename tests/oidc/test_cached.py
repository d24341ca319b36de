"""A value that is fetched once for all callers."""

import asyncio
import traceback
from dataclasses import dataclass, field

import pytest

from gateway.oidc.cached import FRESH, LONGEST_RETRY, RETRY, Cached
from gateway.oidc.failure import SignInFailed
from gateway.reasons import Reason


@dataclass
class Source:
    """Something to fetch: numbers, until it is down."""

    now: float = 0.0
    fetched: int = 0
    down: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self) -> int:
        self.fetched += 1
        await self.gate.wait()
        if self.down:
            raise SignInFailed(Reason.PROVIDER_UNAVAILABLE, "down")
        return self.fetched

    def cached(self, *, open_gate: bool = True) -> Cached[int]:
        if open_gate:
            self.gate.set()
        return Cached(self.fetch, lambda: self.now)


async def test_all_callers_share_one_fetch() -> None:
    source = Source()
    cached = source.cached(open_gate=False)
    callers = [asyncio.ensure_future(cached.get()) for _ in range(5)]
    await asyncio.sleep(0)
    callers[0].cancel()  # a client that leaves
    source.gate.set()

    assert await asyncio.gather(*callers[1:]) == [1, 1, 1, 1]
    assert source.fetched == 1


async def test_an_old_value_is_returned_while_a_new_one_is_fetched() -> None:
    source = Source()
    cached = source.cached()
    assert await cached.get() == 1
    source.now += FRESH
    source.gate.clear()

    assert await cached.get() == 1
    source.gate.set()
    assert await cached.renew() == 2


async def test_a_provider_that_is_down_leaves_the_old_value() -> None:
    source = Source()
    cached = source.cached()
    await cached.get()
    source.now += FRESH
    source.down = True

    assert await cached.renew() == 1
    assert await cached.get() == 1
    assert source.fetched == 2  # the next look is not before RETRY


async def test_a_failure_is_answered_for_a_while_without_another_try() -> None:
    source = Source(down=True)
    cached = source.cached()
    for _ in range(3):
        with pytest.raises(SignInFailed):
            await cached.get()
    assert source.fetched == 1

    source.down = False
    source.now += RETRY
    assert await cached.get() == 2


async def test_a_failure_that_is_answered_again_and_again_does_not_grow() -> None:
    """Its traceback holds the frames of each request that raised it."""
    source = Source(down=True)
    cached = source.cached()
    for _ in range(50):
        with pytest.raises(SignInFailed):
            await cached.get()

    with pytest.raises(SignInFailed) as raised:
        await cached.get()
    assert len(list(traceback.walk_tb(raised.value.__traceback__))) < 10


async def test_a_value_that_was_taken_over_is_returned_and_fetched_again() -> None:
    source = Source()
    before, after, empty = source.cached(), source.cached(), source.cached()
    assert await before.get() == 1
    after.adopt(before.peek())

    assert await after.get() == 1
    assert await after.renew() == 2
    after.adopt(empty.peek())
    assert await after.get() == 3


async def test_the_pause_after_failures_is_bounded() -> None:
    source = Source(down=True)
    cached = source.cached()
    for pause in (RETRY, 2 * RETRY, 4 * RETRY, LONGEST_RETRY, LONGEST_RETRY):
        with pytest.raises(SignInFailed):
            await cached.get()
        source.now += pause - 0.1
        fetched = source.fetched
        with pytest.raises(SignInFailed):
            await cached.get()
        assert source.fetched == fetched
        source.now += 0.1
    source.down = False
    assert await cached.get()
    assert not cached.refuses
