"""Sender of the request in `gateway explain`: a program with an access token of a provider."""

import asyncio
import time

from gateway.build.dns import build_dns
from gateway.build.providers import accepted_issuers, build_providers
from gateway.config.load import LoadedConfig
from gateway.errors import GatewayError, KeysUnavailable
from gateway.http.authorization import CredentialKind
from gateway.net.resolver import Resolver
from gateway.server.provider_tokens import ProviderTokens
from gateway.server.shares import Shares
from gateway.sessions.provider_token import (
    ProviderToken,
    Rejected,
    TokenFacts,
    read_provider_token,
)
from gateway.sessions.record import Session


class TokenSender:
    """Verifies the token with the keys of its provider; Redis is not queried."""

    program = CredentialKind.BEARER
    name = "the token"

    def __init__(self, loaded: LoadedConfig, token: str, now: float) -> None:
        """Read the token; does no I/O.

        Raises:
            GatewayError: it is not a JWT of an issuer that the configuration accepts.
        """
        self._loaded = loaded
        self._now = now
        held = read_provider_token(token, accepted_issuers(loaded.config))
        if held is None:
            raise GatewayError("not a JWT, or no provider has `accept` for its issuer")
        self._held = held
        self._found: Session | Rejected | None = None

    def credential(self) -> None:
        """Return None: the token is in the request."""

    def record(self) -> Session | Rejected:
        """Return the session that the token stands for, or why it is not valid.

        Raises:
            GatewayError: the provider does not answer.
        """
        if self._found is None:
            self._found = asyncio.run(self._look_up(self._held))
        return self._found

    async def _look_up(self, held: ProviderToken) -> Session | Rejected:
        resolver = Resolver(build_dns(self._loaded.config))
        try:
            providers = build_providers(
                self._loaded, ticks=time.monotonic, resolver=resolver
            )
            tokens = ProviderTokens(_NothingEnded(), Shares(1, 1.0), share=1.0)
            return await tokens.look_up(held, self._now, providers, "")
        except KeysUnavailable as error:
            raise GatewayError(str(error)) from error
        finally:
            await resolver.close()


class _NothingEnded:
    """Ends no token: an explanation is about the token itself."""

    async def end_token(self, key: str, seconds: float) -> None:
        """Do nothing."""

    async def end_identity(self, identity_id: str, now: float) -> None:
        """Do nothing."""

    async def has_ended(self, facts: TokenFacts) -> bool:  # noqa: ARG002 - the protocol
        """Return False."""
        return False
