"""Verification with keys that the provider may have changed meanwhile.

The provider changed its keys if a token names an unknown one. Only fetches that did not
bring the key are spaced, so that a change is never an error. Each purpose has its own
spacing: logout tokens and access tokens come from unauthenticated clients, which must not
use up the fetch of a sign-in.

If the provider does not answer, it is unknown whether the key exists: the next try is
seconds later.
"""

from collections.abc import Callable
from enum import StrEnum
from math import inf
from typing import Final, TypeVar

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


EVERY: Final = {Purpose.SIGN_IN: 60.0, Purpose.LOGOUT: 10.0, Purpose.ACCESS: 60.0}
"""Seconds from a fetch that did not bring the key to the next one."""


class Rotation:
    """The keys of a provider, fetched again for an unknown one."""

    def __init__(self, keys: Cached[KeySet], ticks: Callable[[], float]) -> None:
        self._keys = keys
        self._ticks = ticks
        self._fruitless = dict.fromkeys(Purpose, -inf)

    @property
    def kept(self) -> KeySet | None:
        """The keys as they were fetched last; they are fetched again when they are old."""
        return self._keys.peek()

    async def verify(self, verify: Callable[[KeySet], T], purpose: Purpose) -> T:
        """Return what `verify` returns for the keys.

        Raises:
            UnknownKey: the provider does not publish the key.
            SignInFailed: as `verify`, or the keys cannot be fetched, or could not be a
                moment ago. For a logout token also if its key is unknown and must not be
                fetched yet: the provider may send it again.
        """
        try:
            return verify(await self._keys.get())
        except UnknownKey:
            if self._keys.refuses:
                self._raise_failure()
            if self._ticks() - self._fruitless[purpose] < EVERY[purpose]:
                if purpose is Purpose.LOGOUT:
                    raise SignInFailed(
                        Reason.PROVIDER_UNAVAILABLE,
                        "keys: the key is unknown, and they were just fetched",
                    ) from None
                raise
        keys = await self._keys.renew()
        self._raise_failure()
        try:
            return verify(keys)
        except UnknownKey:
            self._fruitless[purpose] = self._ticks()
            raise

    def _raise_failure(self) -> None:
        """Raise the failure of the last fetch, if it failed."""
        if (failure := self._keys.failure) is not None:
            # Raised for many callers: without the frames of the others.
            raise failure.with_traceback(None)
