"""Keys are fetched again for an unknown one, within bounds for each purpose."""

import asyncio

import pytest

from gateway.oidc.cached import LONGEST_RETRY, RETRY, Cached
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.keys import KeySet
from gateway.oidc.rotation import EVERY, Purpose, Rotation
from gateway.reasons import Reason


class Published:
    """Fetches key sets and counts them; the clock is what the test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fetched = 0
        self.known = False
        self.down = False
        self.answer = asyncio.Event()
        self.answer.set()
        self.rotation = Rotation(Cached(self._fetch, self._ticks), self._ticks)

    async def settle(self) -> None:
        """Let a task begin, or end."""
        for _ in range(4):
            await asyncio.sleep(0)

    async def _fetch(self) -> KeySet:
        self.fetched += 1
        await self.answer.wait()
        if self.down:
            raise SignInFailed(Reason.PROVIDER_UNAVAILABLE, "down")
        return KeySet(())

    def _ticks(self) -> float:
        return self.now

    def _verify(self, _keys: KeySet) -> str:
        if not self.known:
            raise UnknownKey(Reason.ID_TOKEN_INVALID, "no key")
        return "claims"

    async def send(self, purpose: Purpose, token: str = "token") -> str:
        return await self.rotation.verify(self._verify, purpose, token)


async def test_unknown_keys_of_logout_tokens_leave_the_fetch_of_a_sign_in() -> None:
    published = Published()
    for _ in range(50):
        with pytest.raises(SignInFailed):
            await published.send(Purpose.LOGOUT)
    before = published.fetched
    with pytest.raises(UnknownKey):
        await published.send(Purpose.SIGN_IN)

    assert before == 2  # the first, and one more look
    assert published.fetched == 3


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_the_fetches_of_a_purpose_are_bounded(purpose: Purpose) -> None:
    published = Published()
    seconds = 600
    for _ in range(seconds):
        published.now += 1.0
        with pytest.raises(SignInFailed):
            await published.send(purpose)

    assert published.fetched <= 2 + seconds / EVERY[purpose]


async def test_a_logout_token_whose_key_was_not_looked_for_may_come_again() -> None:
    published = Published()
    with pytest.raises(UnknownKey):
        await published.send(Purpose.LOGOUT)

    with pytest.raises(SignInFailed) as refused:
        await published.send(Purpose.LOGOUT)

    assert refused.value.reason is Reason.PROVIDER_UNAVAILABLE
    published.now += EVERY[Purpose.LOGOUT]
    published.known = True
    assert await published.send(Purpose.LOGOUT) == "claims"


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_an_outage_is_no_look_for_a_key(purpose: Purpose) -> None:
    """It is unknown whether the key exists, and the next try is seconds later."""
    published = Published()
    published.known = True
    await published.send(purpose)
    published.known, published.down = False, True
    for fetched in (2, 2, 3):
        with pytest.raises(SignInFailed) as refused:
            await published.send(purpose)
        assert refused.value.reason is Reason.PROVIDER_UNAVAILABLE
        assert published.fetched == fetched
        published.now += LONGEST_RETRY if fetched == 2 and published.now else RETRY / 2

    published.now += LONGEST_RETRY
    published.known, published.down = True, False
    assert await published.send(purpose) == "claims"


async def test_an_access_token_that_no_fetch_looked_for_is_not_invalid() -> None:
    published = Published()
    with pytest.raises(UnknownKey):
        await published.send(Purpose.ACCESS, "garbage")
    published.now += 1.0

    for token, error in (
        ("new", SignInFailed),
        ("garbage", UnknownKey),
        ("new", SignInFailed),
    ):
        with pytest.raises(SignInFailed) as refused:
            await published.send(Purpose.ACCESS, token)
        assert type(refused.value) is error
    published.now += EVERY[Purpose.ACCESS]
    with pytest.raises(UnknownKey):
        await published.send(Purpose.ACCESS, "garbage")
    # That fetch began after it was seen.
    with pytest.raises(UnknownKey):
        await published.send(Purpose.ACCESS, "new")
    published.now += EVERY[Purpose.ACCESS]
    published.known = True
    assert await published.send(Purpose.ACCESS, "new") == "claims"


async def test_a_fetch_that_began_before_an_access_token_came_decides_nothing() -> None:
    published = Published()
    with pytest.raises(UnknownKey):
        await published.send(Purpose.ACCESS, "first")
    published.now += EVERY[Purpose.ACCESS]

    first, second = await asyncio.gather(
        published.send(Purpose.ACCESS, "second"),
        published.send(Purpose.ACCESS, "third"),
        return_exceptions=True,
    )

    assert published.fetched == 3
    assert type(first) is UnknownKey
    assert type(second) is SignInFailed
    assert second.reason is Reason.PROVIDER_UNAVAILABLE


async def test_tokens_beyond_those_that_are_kept_are_not_invalid() -> None:
    """What was forgotten is seen first again: a flood makes no token invalid."""
    published = Published()
    with pytest.raises(UnknownKey):
        await published.send(Purpose.ACCESS, "first")
    for number in range(3000):
        with pytest.raises(SignInFailed) as refused:
            await published.send(Purpose.ACCESS, str(number))
        assert refused.value.reason is Reason.PROVIDER_UNAVAILABLE

    with pytest.raises(SignInFailed) as refused:
        await published.send(Purpose.ACCESS, "first")
    assert refused.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert len(published.rotation._seen) <= 1024
    assert published.fetched == 2


@pytest.mark.parametrize("purpose", [Purpose.LOGOUT, Purpose.ACCESS])
async def test_clients_that_leave_have_no_more_fetches(purpose: Purpose) -> None:
    published = Published()
    published.known = True
    await published.send(purpose)
    published.known = False
    for number in range(20):
        published.answer.clear()
        leaving = asyncio.ensure_future(published.send(purpose, str(number)))
        await published.settle()
        leaving.cancel()
        await asyncio.wait([leaving])
        published.answer.set()
        await published.settle()

    assert published.fetched == 2
    published.now += EVERY[purpose]
    published.known = True
    assert await published.send(purpose) == "claims"
