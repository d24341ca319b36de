"""Stores new refresh tokens, each of which exists only in this process until then."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.oidc.renewal import Renewal, seal_renewal
from gateway.oidc.settings import ProviderSettings
from gateway.oidc.token import Tokens
from gateway.oidc.vault import NONCE_BYTES, Vault
from gateway.server.system import System
from gateway.sessions.record import Session
from gateway.sessions.renewals import RenewalStore
from gateway.sessions.store import KEPT_AFTER_END

_REMEMBERED: Final = 10_000
_TRIES: Final = (0.0, 0.2, 1.0, 3.0)
"""Seconds before each attempt to store a new refresh token, which exists only here."""


@dataclass(frozen=True, slots=True)
class _Unstored:
    """A new refresh token, encrypted, that Redis did not take; `old` is used up."""

    old: bytes
    new: bytes
    expires_at: float


class RefreshTokens:
    """Replaces the refresh token of a session after each renewal.

    The provider may not accept the one before any more. So a new one is tried several
    times, and kept until it is stored: also when what waits for that is cancelled.
    """

    def __init__(self, renewals: RenewalStore, system: System) -> None:
        self._renewals = renewals
        self._system = system
        self._unstored: dict[str, _Unstored] = {}

    def is_unstored(self, key: str) -> bool:
        """Return whether Redis did not take the last one of a session."""
        return key in self._unstored

    def forget(self, key: str) -> None:
        """Drop what was not stored: the session has ended."""
        self._unstored.pop(key, None)

    async def keep(
        self,
        key: str,
        session: Session,
        sealed: bytes,
        renewal: Renewal,
        tokens: Tokens,
        settings: ProviderSettings,
        vault: Vault,
    ) -> bool:
        """Store a new refresh token; return False if the session has ended meanwhile.

        Args:
            key: the key of the session.
            session: the session.
            sealed: what is stored, which `renewal` was read from.
            renewal: the refresh token that is used up, and its session.
            tokens: the response of the provider.
            settings: those of the provider.
            vault: encrypts.

        Raises:
            StoreUnavailable: it is not certain that it was stored.
        """
        newer = replace(
            renewal, refresh_token=tokens.refresh_token or renewal.refresh_token
        )
        nonce = self._system.secret(NONCE_BYTES)
        new = seal_renewal(newer, vault, settings, key, nonce)
        self._unstored[key] = late = _Unstored(sealed, new, session.expires_at)
        if len(self._unstored) > _REMEMBERED:
            del self._unstored[next(iter(self._unstored))]
        for pause in _TRIES[:-1]:
            await asyncio.sleep(pause)
            with contextlib.suppress(StoreUnavailable):
                return await self._replace(key, late)
        await asyncio.sleep(_TRIES[-1])
        return await self._replace(key, late)

    async def store_late(self, key: str) -> None:
        """Store what Redis did not take before.

        Raises:
            StoreUnavailable: it does not take it yet.
        """
        await self._replace(key, self._unstored[key])

    async def _replace(self, key: str, late: _Unstored) -> bool:
        left = max(late.expires_at - self._system.now(), 0.0)
        keep = left + KEPT_AFTER_END
        replaced = await self._renewals.replace(key, late.old, late.new, keep)
        self._unstored.pop(key, None)
        return replaced
