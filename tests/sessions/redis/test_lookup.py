"""Look-ups that share a round trip, over a fetch that does what it is told."""

import asyncio
import gc
import time
from collections.abc import Callable, Sequence

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.redis import lookup as redis_lookup
from gateway.sessions.redis.lookup import Lookups
from tests.servers import PATIENCE


class Fetch:
    """Answers with the key itself, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.patience: list[float] = []
        self.let = asyncio.Event()
        self.let.set()
        self.error: Exception | None = None

    async def __call__(
        self, keys: list[str], patience: float
    ) -> list[bytes | StoreUnavailable]:
        self.patience.append(patience)
        self.batches.append(keys)
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return [key.encode() if key != "bad" else StoreUnavailable("x") for key in keys]


def lookups(fetch: Fetch) -> Lookups[str, bytes, tuple[str, bytes]]:
    return Lookups(fetch, lambda key, raw: (key, raw), timeout=PATIENCE)


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    fetch = Fetch()
    fetch.let.clear()
    requested = lookups(fetch)
    gone, stays = (asyncio.ensure_future(_wait(requested, "a")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    fetch.let.set()

    assert await stays == ("a", b"a")
    assert fetch.batches == [["a"]]


async def test_a_caller_that_stops_waiting_hides_no_failure_from_others() -> None:
    fetch = Fetch()
    fetch.let.clear()
    fetch.error = StoreUnavailable("away")
    requested = lookups(fetch)
    gone, stays = (asyncio.ensure_future(_wait(requested, "a")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    fetch.let.set()

    with pytest.raises(StoreUnavailable, match="away"):
        await asyncio.wait_for(stays, PATIENCE)


async def _wait(
    requested: Lookups[str, bytes, tuple[str, bytes]], key: str
) -> tuple[str, bytes]:
    return await requested.load(key)


async def test_a_later_look_up_is_queried_again() -> None:
    """A revocation between two requests must show in the second."""
    fetch = Fetch()
    fetch.let.clear()
    requested = lookups(fetch)
    first = requested.load("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = requested.load("a")
    fetch.let.set()

    assert await first == await second == ("a", b"a")
    assert fetch.batches == [["a"], ["a"]]


async def test_a_failure_reaches_each_asker_as_an_error_of_his_own() -> None:
    fetch = Fetch()
    fetch.error = StoreUnavailable("away")
    requested = lookups(fetch)

    failures = await asyncio.gather(
        requested.load("a"),
        requested.load("a"),
        requested.load("b"),
        return_exceptions=True,
    )

    assert [str(failure) for failure in failures] == ["away"] * 3
    assert len({id(failure) for failure in failures}) == 3


async def test_one_bad_key_fails_alone() -> None:
    requested = lookups(Fetch())
    outcomes: Sequence[object] = await asyncio.gather(
        requested.load("bad"), requested.load("a"), return_exceptions=True
    )

    bad, good = outcomes
    assert isinstance(bad, StoreUnavailable)
    assert good == ("a", b"a")


async def test_a_look_up_after_too_many_fails_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_lookup, "MAX_WAITING", 2)
    requested = lookups(Fetch())
    first, second, third = (requested.load("a") for _ in range(3))

    with pytest.raises(StoreUnavailable, match="too many"):
        await third
    assert await first == await second
    assert await requested.load("a") == ("a", b"a")


async def test_closing_fails_who_waits() -> None:
    fetch = Fetch()
    fetch.let.clear()
    requested = lookups(fetch)
    sent = requested.load("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    unsent = requested.load("b")
    await requested.close()

    for future in (sent, unsent):
        with pytest.raises(StoreUnavailable):
            await future


# The direct way


class Direct:
    """Sends when it may, and lets the test say what comes back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.done: list[Callable[[list[bytes | StoreUnavailable] | None], None]] = []
        self.may = True
        self.given_up = 0

    def __call__(
        self,
        keys: list[str],
        done: Callable[[list[bytes | StoreUnavailable] | None], None],
    ) -> Callable[[], StoreUnavailable] | None:
        if not self.may:
            return None
        self.batches.append(keys)
        self.done.append(done)
        return self.give_up

    def give_up(self) -> StoreUnavailable:
        """End the connection, and with it whatever else is in flight."""
        self.given_up += 1
        for done in self.done:
            done(None)
        return StoreUnavailable("no answer")

    def answer(self, number: int = 0) -> None:
        self.done[number]([key.encode() for key in self.batches[number]])


Found = tuple[str, bytes] | StoreUnavailable


def direct(
    send: Direct, fetch: Fetch, timeout: float = PATIENCE
) -> Lookups[str, bytes, tuple[str, bytes]]:
    return Lookups(fetch, lambda key, raw: (key, raw), timeout=timeout, send_now=send)


async def turn() -> None:
    await asyncio.sleep(0)


async def sent(send: Direct, number: int) -> None:
    """Wait until so many batches are in flight: one waits a little for the other."""
    async with asyncio.timeout(PATIENCE):
        while len(send.batches) < number:
            await asyncio.sleep(0.001)


async def test_keys_of_one_turn_go_at_once_and_each_is_asked_once() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch)
    found: list[Found] = []
    for key in ("a", "b", "a"):
        requested.begin(key, found.append)
    future = requested.load("b")
    await turn()
    requested.begin("a", found.append)
    assert send.batches == [["a", "b"]]

    send.answer(0)
    assert send.batches == [["a", "b"], ["a"]]
    assert found == [("a", b"a"), ("a", b"a"), ("b", b"b")]
    send.answer(1)

    assert found[3:] == [("a", b"a")]
    assert await future == ("b", b"b")
    assert fetch.batches == []


async def test_what_cannot_be_sent_at_once_goes_the_general_way() -> None:
    send, fetch = Direct(), Fetch()
    send.may = False

    assert await direct(send, fetch).load("a") == ("a", b"a")
    assert fetch.patience == [PATIENCE]


async def test_what_comes_back_odd_is_asked_again_in_the_time_that_is_left() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch, timeout=0.8)
    future = requested.load("a")
    await turn()
    (flight,) = requested._flights
    while flight.steps > redis_lookup.STEPS // 2:
        await asyncio.sleep(0.01)
    send.done[0](None)

    assert await future == ("a", b"a")
    assert fetch.patience == [pytest.approx(0.4)]
    assert requested._waiting == 0


async def test_a_late_answer_is_no_answer() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch)
    found: list[Found] = []
    requested.begin("a", found.append)
    await turn()
    send.done[0](None)
    send.answer()
    await turn()
    await turn()

    assert found == [("a", b"a")]
    assert fetch.batches == [["a"]]


async def test_one_without_an_answer_ends_in_time_and_takes_the_line_along() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch, timeout=0.08)
    late = requested.load("a")
    async with asyncio.timeout(PATIENCE):
        await turn()
        while next(iter(requested._flights)).steps > 2:
            await asyncio.sleep(0.001)
        other = requested.load("b")
        await sent(send, 2)
        assert len(requested._flights) == 2
        with pytest.raises(StoreUnavailable, match="no answer"):
            await late
        assert await other == ("b", b"b")

    assert send.given_up == 1
    assert requested._waiting == 0
    assert requested._timer is None


async def test_a_loop_that_stood_still_has_not_waited() -> None:
    """What had come meanwhile is read before the time is over."""
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch, timeout=0.05)
    future = requested.load("a")
    await turn()
    loop = asyncio.get_running_loop()
    loop.call_soon(time.sleep, 0.2)
    await turn()
    loop.call_later(0.01, send.answer)

    assert await future == ("a", b"a")


async def test_one_timer_is_enough_for_all() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch)
    futures = []
    timers = set()
    for number, key in enumerate("abc"):
        futures.append(requested.load(key))
        await sent(send, number + 1)
        timers.add(requested._timer)
    for number in range(3):
        send.answer(number)
    await asyncio.gather(*futures)

    assert len(timers) == 1
    await requested.close()


async def test_one_who_raises_takes_nothing_from_the_others() -> None:
    send, fetch = Direct(), Fetch()
    requested = direct(send, fetch)
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    found: list[Found] = []

    def broken(_: Found) -> None:
        raise ZeroDivisionError

    requested.begin("a", broken)
    requested.begin("a", found.append)
    requested.begin("b", found.append)
    await turn()
    send.answer()

    assert found == [("a", b"a"), ("b", b"b")]
    assert [type(one) for one in reported] == [ZeroDivisionError]
    assert requested._waiting == 0


async def test_a_value_that_cannot_be_read_fails_alone() -> None:
    send, fetch = Direct(), Fetch()

    def read(key: str, raw: bytes) -> tuple[str, bytes]:
        if key == "a":
            raise ZeroDivisionError
        return key, raw

    requested = Lookups(fetch, read, timeout=PATIENCE, send_now=send)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    found: list[Found] = []
    requested.begin("a", found.append)
    requested.begin("b", found.append)
    await turn()
    send.answer()

    assert isinstance(found[0], StoreUnavailable)
    assert found[1] == ("b", b"b")


@pytest.mark.parametrize("values", [[], [b"a", b"b"]])
async def test_too_few_and_too_many_answers_are_none(values: list[bytes]) -> None:
    send = Direct()
    requested = direct(send, Fetch())
    found: list[Found] = []
    requested.begin("a", found.append)
    await turn()
    send.done[0](list(values))

    assert [type(one) for one in found] == [StoreUnavailable]


async def test_who_begins_after_too_many_is_called_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before `begin` has returned: the asker may not be ready for it."""
    monkeypatch.setattr(redis_lookup, "MAX_WAITING", 1)
    send = Direct()
    requested = direct(send, Fetch())
    found: list[Found] = []
    requested.begin("a", found.append)
    requested.begin("b", found.append)
    assert found == []

    await turn()
    assert [str(one) for one in found] == ["too many look-ups are waiting"]
    send.answer()
    assert found[1:] == [("a", b"a")]


async def test_closing_fails_what_is_in_flight_once() -> None:
    send = Direct()
    requested = direct(send, Fetch())
    found: list[Found] = []
    requested.begin("a", found.append)
    await turn()
    requested.begin("b", found.append)
    await requested.close()
    send.answer()
    await turn()

    assert [str(one) for one in found] == ["the store is closed"] * 2


async def test_a_look_up_leaves_the_collector_nothing() -> None:
    send = Direct()
    requested = direct(send, Fetch())
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            requested.begin("a", len_of)
            await turn()
            send.answer(number)
        send.done.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()


def len_of(found: Found) -> None:
    assert not isinstance(found, StoreUnavailable)
