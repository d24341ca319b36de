"""Verifies the tokens of one provider, by its metadata and keys as they are cached."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.oidc.bearer_token import verify_bearer_token
from gateway.oidc.cached import Cached
from gateway.oidc.client import ProviderClient
from gateway.oidc.discovery import (
    Metadata,
    discovery_url,
    metadata_of,
    read_metadata,
)
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.id_token import Expected, verify_id_token
from gateway.oidc.keys import KeySet, read_keys
from gateway.oidc.logout_token import LogoutToken, verify_logout_token
from gateway.oidc.rotation import Purpose, Rotation
from gateway.oidc.settings import ProviderSettings
from gateway.reasons import Reason


class TokenVerifier:
    """What one provider publishes, and what it signed."""

    def __init__(
        self,
        settings: ProviderSettings,
        client: ProviderClient,
        ticks: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._client = client
        self._metadata = Cached(self._fetch_metadata, ticks)
        self._keys = Cached(self._fetch_keys, ticks)
        self._rotation = Rotation(self._keys, ticks)

    def follow(self, previous: "TokenVerifier") -> None:
        """Go on with what the verifier of an earlier configuration knows of the provider.

        So a reload while the provider is down takes no key away. What came from other
        addresses, or from a server that another authority certified, counts for nothing.
        """
        if self.source == previous.source:
            self._metadata.adopt(previous.kept_metadata)
            self._keys.adopt(previous.kept_keys)

    @property
    def source(self) -> tuple[object, ...]:
        """Where the metadata and keys come from, and by whom that is certified."""
        settings = self.settings
        return settings.issuer, settings.endpoints, self._client.authorities

    async def metadata(self) -> Metadata:
        """Return the metadata; they are fetched once an hour.

        Raises:
            SignInFailed: the provider does not answer, or not as it should.
        """
        return await self._metadata.get()

    async def keys(self) -> KeySet:
        """Return the keys; they are fetched once an hour; errors as `metadata`."""
        return await self._keys.get()

    @property
    def kept_metadata(self) -> Metadata | None:
        """The metadata as they were fetched last; fetched again when they are old."""
        return self._metadata.peek()

    @property
    def kept_keys(self) -> KeySet | None:
        """The keys as they were fetched last; they are fetched again when they are old."""
        return self._rotation.kept

    async def read_id_token(
        self, id_token: str, expected: Expected, now: float
    ) -> Mapping[str, Any]:
        """Return the claims of an ID token.

        Raises:
            SignInFailed: it is not valid, or the keys cannot be fetched.
        """
        return await self._rotation.verify(
            lambda keys: verify_id_token(id_token, keys, expected, now),
            Purpose.SIGN_IN,
            id_token,
        )

    async def read_logout(self, token: str, now: float) -> LogoutToken:
        """Return what a logout token ends.

        Raises:
            SignInFailed: it is not valid, or the keys cannot be fetched.
        """
        metadata = await self.metadata()
        settings = self.settings
        try:
            found = await self._rotation.verify(
                lambda keys: verify_logout_token(
                    token,
                    keys,
                    issuer=settings.issuer,
                    client_id=settings.client_id,
                    algorithms=metadata.algorithms,
                    now=now,
                ),
                Purpose.LOGOUT,
                token,
            )
        except SignInFailed as failure:
            if failure.reason is Reason.ID_TOKEN_INVALID:
                raise SignInFailed(
                    Reason.LOGOUT_TOKEN_INVALID, failure.detail
                ) from failure
            raise
        return found

    def claims_with(self, keys: KeySet, token: str, now: float) -> Mapping[str, Any]:
        """Return the claims of an access token that one of these keys signed.

        Raises:
            UnknownKey: another one signed it, or discovery was not read yet.
            SignInFailed: `token_invalid`.
        """
        metadata, accept = self.kept_metadata, self.settings.accept
        if metadata is None or accept is None:
            raise UnknownKey(Reason.TOKEN_INVALID, "access token: no metadata yet")
        return verify_bearer_token(token, keys, accept, metadata.algorithms, now)

    async def access_claims(self, token: str, now: float) -> Mapping[str, Any]:
        """Return the claims of an access token; new keys are fetched for an unknown one.

        Raises:
            UnknownKey: the provider does not publish the key.
            SignInFailed: `token_invalid`, or as `metadata`.
        """
        await self.metadata()
        return await self._rotation.verify(
            lambda keys: self.claims_with(keys, token, now), Purpose.ACCESS, token
        )

    async def _fetch_metadata(self) -> Metadata:
        settings = self.settings
        if settings.endpoints.complete:
            return metadata_of({}, settings.endpoints)
        found = await self._client.get(discovery_url(settings.issuer))
        if found.status != 200:
            raise _not_found("discovery", found.status)
        return read_metadata(found.body, settings.issuer, settings.endpoints)

    async def _fetch_keys(self) -> KeySet:
        metadata = await self.metadata()
        found = await self._client.get(metadata.jwks)
        if found.status != 200:
            raise _not_found("keys", found.status)
        return read_keys(found.body)


def _not_found(what: str, status: int) -> SignInFailed:
    return SignInFailed(
        Reason.PROVIDER_UNAVAILABLE
        if status >= 500 or status == 429
        else Reason.PROVIDER_BAD_ANSWER,
        f"{what}: status {status}",
    )
