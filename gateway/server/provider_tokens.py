"""Looks up access tokens of providers: verified here, and queried for their ends in Redis.

A token is verified once, and again when the keys of its provider were fetched again or
the configuration was reloaded. So is one that is invalid, so that to send it again costs
no signature. Whether a token was ended is queried for every request.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import ClientLimit, KeysUnavailable
from gateway.http.memo import Generations
from gateway.oidc.bearer_session import bearer_session
from gateway.oidc.discovery import Metadata
from gateway.oidc.failure import NotYetValid, SignInFailed, UnknownKey
from gateway.oidc.keys import KeySet
from gateway.oidc.provider import Provider
from gateway.reasons import Reason
from gateway.server.shares import Shares
from gateway.sessions.provider_token import (
    LONGEST_LIFE,
    ProviderToken,
    Rejected,
    TokenEnds,
    TokenFacts,
)
from gateway.sessions.record import Session
from gateway.sessions.store import ended_session

_REMEMBERED: Final = 4096
"""Verified tokens that are kept, of some KiB each."""
_INVALID: Final = 4096
"""Invalid tokens whose hashes are kept."""
_MOST_WAITING: Final = 256
"""Requests that wait for a provider: they take no place from look-ups in Redis."""
_UNKNOWN: Final = (Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_BAD_ANSWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """A token whose signature one of `keys` made."""

    token: ProviderToken = field(repr=False)
    provider: Provider = field(repr=False)
    keys: KeySet = field(repr=False)
    session: Session
    facts: TokenFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Invalid:
    """Why a token is invalid, as long as the keys and the configuration are the same."""

    provider: Provider = field(repr=False)
    keys: KeySet = field(repr=False)
    metadata: Metadata | None = field(repr=False)
    reason: Reason
    detail: str


class ProviderTokens:
    """The verified tokens of one process; `providers` are those of the configuration."""

    def __init__(self, ends: TokenEnds, lookups: Shares, *, share: float) -> None:
        """Create it.

        Args:
            ends: the store of ends.
            lookups: the look-ups that wait at this store, by client address.
            share: what one client may have of the places that wait for a provider.
        """
        self._ends = ends
        self._lookups = lookups
        self._verified: Generations[str, _Verified] = Generations(_REMEMBERED)
        self._invalid: Generations[tuple[str, str], _Invalid] = Generations(_INVALID)
        self._waiting = Shares(_MOST_WAITING, share)

    async def look_up(
        self,
        held: ProviderToken,
        now: float,
        providers: Mapping[str, Provider],
        client: str,
    ) -> Session | Rejected:
        """Return the session that a token stands for, ended or not.

        The same object as before, as long as nothing changed. `client` is the key of
        the client's share.

        Raises:
            KeysUnavailable: a provider did not answer, and no key that is known signed it.
            StoreUnavailable: whether it was ended is unknown.
            ClientLimit: the client has too many requests waiting, for a provider or Redis.
        """
        try:
            known = await self._verify(held, now, _accepting(held, providers), client)
        except SignInFailed as failure:
            if failure.reason in _UNKNOWN:
                raise KeysUnavailable(str(failure)) from failure
            reason = failure.reason
            if isinstance(failure, UnknownKey):
                reason = Reason.TOKEN_INVALID
            return Rejected(reason, failure.detail)
        if client and not self._lookups.take(client):
            raise ClientLimit("the client has too many look-ups waiting")
        try:
            ended = await self._ends.has_ended(known.facts)
        finally:
            if client:
                self._lookups.give_back(client)
        return ended_session(known.session, now, "revoked") if ended else known.session

    def is_known(self, held: ProviderToken, providers: Mapping[str, Provider]) -> bool:
        """Return whether a token was valid before, or is known to be invalid.

        Keys that were fetched since do not count: it verifies again with few signatures.
        """
        known = self._verified.find(held.key)
        if known is not None and known.token.value == held.value:
            return True
        digest = held.digest
        return all(
            self._find_invalid(each, each.verifier.kept_keys, digest)
            for each in _accepting(held, providers)
        )

    async def end(self, held: ProviderToken, now: float) -> None:
        """End one token in every process.

        Raises:
            StoreUnavailable: it is not certain that it has ended.
        """
        known = self._verified.find(held.key)
        left = LONGEST_LIFE if known is None else known.session.expires_at - now
        await self._ends.end_token(held.key, max(left, 0.0))

    async def _verify(
        self,
        held: ProviderToken,
        now: float,
        providers: Iterable[Provider],
        client: str,
    ) -> _Verified:
        """Return the token as it was verified with the keys that are known now.

        Raises:
            SignInFailed: no provider accepts it; the reason is that of the last one.
        """
        failure = SignInFailed(
            Reason.TOKEN_INVALID, "access token: iss is not accepted"
        )
        known = self._verified.find(held.key)
        for provider in providers:
            keys = provider.verifier.kept_keys
            if (
                known is not None
                and known.provider is provider
                and known.keys is keys
                # Another signature of the same claims has not been verified.
                and known.token.value == held.value
            ):
                return known
            try:
                return await self._verify_with(provider, keys, held, now, client)
            except SignInFailed as failed:
                if failure.reason not in _UNKNOWN:
                    failure = failed
        raise failure

    async def _verify_with(
        self,
        provider: Provider,
        keys: KeySet | None,
        held: ProviderToken,
        now: float,
        client: str,
    ) -> _Verified:
        digest = held.digest
        if invalid := self._find_invalid(provider, keys, digest):
            raise SignInFailed(invalid.reason, invalid.detail)
        try:
            return await self._judged(provider, keys, held, now, client)
        except (NotYetValid, UnknownKey):
            raise
        except SignInFailed as failure:
            judging = provider.verifier.kept_keys
            if judging is not None and failure.reason not in _UNKNOWN:
                self._invalid.keep(
                    (provider.settings.name, digest),
                    _Invalid(
                        provider=provider,
                        keys=judging,
                        metadata=provider.verifier.kept_metadata,
                        reason=failure.reason,
                        detail=failure.detail,
                    ),
                )
            raise

    def _find_invalid(
        self, provider: Provider, keys: KeySet | None, digest: str
    ) -> _Invalid | None:
        found = self._invalid.find((provider.settings.name, digest))
        if found is None or found.provider is not provider or found.keys is not keys:
            return None
        return found if found.metadata is provider.verifier.kept_metadata else None

    async def _judged(
        self,
        provider: Provider,
        keys: KeySet | None,
        held: ProviderToken,
        now: float,
        client: str,
    ) -> _Verified:
        try:
            claims = provider.verifier.claims_with(keys or KeySet(()), held.value, now)
        except UnknownKey:
            # An answer that is there is returned at once; otherwise the provider is asked.
            if client and not self._waiting.take(client):
                raise ClientLimit(
                    "the client has too many requests waiting for a provider"
                ) from None
            try:
                claims = await provider.verifier.access_claims(held.value, now)
            finally:
                if client:
                    self._waiting.give_back(client)
            keys = provider.verifier.kept_keys
        session, facts = bearer_session(held, claims, provider.settings)
        assert keys is not None  # noqa: S101 - one of them signed
        found = _Verified(
            token=held, provider=provider, keys=keys, session=session, facts=facts
        )
        self._verified.keep(held.key, found, len(held.value))
        return found


def _accepting(
    held: ProviderToken, providers: Mapping[str, Provider]
) -> Iterable[Provider]:
    for provider in providers.values():
        accept = provider.settings.accept
        if accept is not None and accept.issuer == held.issuer:
            yield provider
