"""Verification with keys that the provider may have changed meanwhile.

The provider changed its keys if a token names an unknown one. Only fetches that did not
bring the key are spaced, so that a change is never an error. Each purpose has its own
spacing: logout tokens come from unauthenticated clients, which must not use up the
fetch of a sign-in.
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


EVERY: Final = {Purpose.SIGN_IN: 60.0, Purpose.LOGOUT: 10.0}
"""Seconds from a fetch that did not bring the key to the next one."""


class Rotation:
    """The keys of a provider, fetched again for an unknown one."""

    def __init__(self, keys: Cached[KeySet], ticks: Callable[[], float]) -> None:
        self._keys = keys
        self._ticks = ticks
        self._fruitless = dict.fromkeys(Purpose, -inf)

    async def verify(self, verify: Callable[[KeySet], T], purpose: Purpose) -> T:
        """Return what `verify` returns for the keys.

        Raises:
            UnknownKey: the provider does not publish the key.
            SignInFailed: as `verify`, or the keys cannot be fetched. For a logout token
                also if its key is unknown and must not be fetched yet: the provider
                may send it again.
        """
        try:
            return verify(await self._keys.get())
        except UnknownKey:
            if self._ticks() - self._fruitless[purpose] < EVERY[purpose]:
                if purpose is Purpose.LOGOUT:
                    raise SignInFailed(
                        Reason.PROVIDER_UNAVAILABLE,
                        "keys: the key is unknown, and they were just fetched",
                    ) from None
                raise
        keys = await self._keys.renew()
        try:
            return verify(keys)
        except UnknownKey:
            self._fruitless[purpose] = self._ticks()
            raise
