"""Look-ups that share a round trip, over a fetch that does what it is told."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.redis import lookup as redis_lookup
from gateway.sessions.redis.lookup import Lookups
from tests.servers import PATIENCE


class Fetch:
    """Answers with the key itself, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.error: Exception | None = None

    async def __call__(self, keys: list[str]) -> list[bytes | StoreUnavailable]:
        self.batches.append(keys)
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return [key.encode() if key != "bad" else StoreUnavailable("x") for key in keys]


def lookups(fetch: Fetch) -> Lookups[str, bytes, tuple[str, bytes]]:
    return Lookups(fetch, lambda key, raw: (key, raw))


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    fetch = Fetch()
    fetch.let.clear()
    asked = lookups(fetch)
    gone, stays = (asyncio.ensure_future(_wait(asked, "a")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    fetch.let.set()

    assert await stays == ("a", b"a")
    assert fetch.batches == [["a"]]


async def test_one_who_gives_up_before_a_failure_hides_it_from_nobody() -> None:
    fetch = Fetch()
    fetch.let.clear()
    fetch.error = StoreUnavailable("away")
    asked = lookups(fetch)
    gone, stays = (asyncio.ensure_future(_wait(asked, "a")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    fetch.let.set()

    with pytest.raises(StoreUnavailable, match="away"):
        await asyncio.wait_for(stays, PATIENCE)


async def _wait(
    asked: Lookups[str, bytes, tuple[str, bytes]], key: str
) -> tuple[str, bytes]:
    return await asked.load(key)


async def test_whoever_asks_later_is_asked_for_anew() -> None:
    """A revocation between two requests must show in the second."""
    fetch = Fetch()
    fetch.let.clear()
    asked = lookups(fetch)
    first = asked.load("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asked.load("a")
    fetch.let.set()

    assert await first == await second == ("a", b"a")
    assert fetch.batches == [["a"], ["a"]]


async def test_a_failure_reaches_each_asker_as_an_error_of_his_own() -> None:
    fetch = Fetch()
    fetch.error = StoreUnavailable("away")
    asked = lookups(fetch)

    failures = await asyncio.gather(
        asked.load("a"), asked.load("a"), asked.load("b"), return_exceptions=True
    )

    assert [str(failure) for failure in failures] == ["away"] * 3
    assert len({id(failure) for failure in failures}) == 3


async def test_one_bad_key_fails_alone() -> None:
    asked = lookups(Fetch())
    outcomes: Sequence[object] = await asyncio.gather(
        asked.load("bad"), asked.load("a"), return_exceptions=True
    )

    bad, good = outcomes
    assert isinstance(bad, StoreUnavailable)
    assert good == ("a", b"a")


async def test_who_comes_after_too_many_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_lookup, "MAX_WAITING", 2)
    asked = lookups(Fetch())
    first, second, third = (asked.load("a") for _ in range(3))

    with pytest.raises(StoreUnavailable, match="too many"):
        await third
    assert await first == await second
    assert await asked.load("a") == ("a", b"a")


async def test_closing_fails_who_waits() -> None:
    fetch = Fetch()
    fetch.let.clear()
    asked = lookups(fetch)
    sent = asked.load("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    unsent = asked.load("b")
    await asked.close()

    for future in (sent, unsent):
        with pytest.raises(StoreUnavailable):
            await future
