"""Verification with keys that the provider may have changed meanwhile.

The provider changed its keys if a token names an unknown one. Only fetches that did not
bring the key are spaced, so that a change is never an error. Each purpose has its own
spacing: logout tokens and access tokens come from unauthenticated clients, which must not
use up the fetch of a sign-in.

Their keys are known to be missing only if a fetch began after the token was first seen.
Otherwise the token may be signed with a key that the provider published since, and an
unknown key in another client's token must not make it invalid: the next fetch decides.

If the provider does not answer, it is unknown whether the key exists: the next try is
seconds later.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from math import inf
from typing import Final, TypeVar

from gateway.http.memo import Generations
from gateway.oidc.cached import Cached
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.keys import KeySet
from gateway.reasons import Reason

T = TypeVar("T")


class Purpose(StrEnum):
    """What a token is for."""

    SIGN_IN = "sign-in"
    LOGOUT = "logout"
    ACCESS = "access"


EVERY: Final = {Purpose.SIGN_IN: 60.0, Purpose.LOGOUT: 10.0, Purpose.ACCESS: 10.0}
"""Seconds from a fetch that did not bring the key to the next one."""
_SEEN: Final = 1024
"""Tokens with unknown keys that are kept; one that was forgotten is seen first again."""


class Rotation:
    """The keys of a provider, fetched again for an unknown one."""

    def __init__(self, keys: Cached[KeySet], ticks: Callable[[], float]) -> None:
        self._keys = keys
        self._ticks = ticks
        self._fruitless = dict.fromkeys(Purpose, -inf)
        self._begun = 0
        self._decided = 0
        # Hash of a token, and the fetches that had begun when it was first seen.
        self._seen: Generations[bytes, int] = Generations(_SEEN)

    @property
    def kept(self) -> KeySet | None:
        """The keys as they were fetched last; they are fetched again when they are old."""
        return self._keys.peek()

    async def verify(
        self, verify: Callable[[KeySet], T], purpose: Purpose, token: str
    ) -> T:
        """Return what `verify` returns for the keys of `token`.

        Raises:
            UnknownKey: the provider does not publish the key.
            SignInFailed: as `verify`, or the keys cannot be fetched, or could not be a
                moment ago. `provider_unavailable` also if the key of a logout token is
                unknown and must not be fetched yet, or that of an access token which no
                fetch looked for: it may be sent again.
        """
        try:
            return verify(await self._keys.get())
        except UnknownKey:
            if self._keys.refuses:
                self._raise_failure()
            sought = purpose is Purpose.ACCESS and self._was_sought(token)
            if self._ticks() - self._fruitless[purpose] < EVERY[purpose]:
                if purpose is Purpose.SIGN_IN or sought:
                    raise
                raise _undecided() from None
        return await self._verify_with_new(verify, purpose)

    async def _verify_with_new(
        self, verify: Callable[[KeySet], T], purpose: Purpose
    ) -> T:
        joined = purpose is Purpose.ACCESS and self._keys.fetching
        if purpose is Purpose.ACCESS and not joined:
            self._begun += 1
        number = self._begun
        try:
            keys = await self._keys.renew()
        except asyncio.CancelledError:
            # The client left; the fetch goes on. To leave must not be a way to have more.
            if purpose is not Purpose.SIGN_IN and not joined:
                self._fruitless[purpose] = self._ticks()
            raise
        self._raise_failure()
        try:
            return verify(keys)
        except UnknownKey:
            if joined:
                # The provider may have answered before it published the key.
                raise _undecided() from None
            self._fruitless[purpose] = self._ticks()
            if purpose is Purpose.ACCESS:
                self._decided = number
            raise

    def _was_sought(self, token: str) -> bool:
        """Return whether the last fetch without result began after a token was seen."""
        name = sha256(token.encode()).digest()
        begun = self._seen.find(name)
        if begun is None:
            self._seen.keep(name, self._begun)
            return False
        return begun < self._decided

    def _raise_failure(self) -> None:
        """Raise the failure of the last fetch, if it failed."""
        if (failure := self._keys.failure) is not None:
            # Raised for many callers: without the frames of the others.
            raise failure.with_traceback(None)


def _undecided() -> SignInFailed:
    return SignInFailed(
        Reason.PROVIDER_UNAVAILABLE,
        "keys: the key is unknown, and they were just fetched",
    )
