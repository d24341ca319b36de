"""The provider's access token in a session record: encrypted, with the time it lives.

It is a part of the record, so that a request needs no second look-up for it, and so that
it ends with the session. It opens only in the record of its session.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any, Final

from gateway.oidc.membership import FACTS
from gateway.oidc.renewal import bound_to
from gateway.oidc.settings import ProviderSettings
from gateway.oidc.token import Tokens
from gateway.oidc.vault import NotOpened, Vault
from gateway.sessions.provider_token import ACCEPTED_BY
from gateway.sessions.record import Session

_USE: Final = "access"
_TOKEN: Final = "access_token"  # noqa: S105 - names of members
_UNTIL: Final = "access_until"
RENEW_AT: Final = "renew_at"
_SPARE: Final = 5.0
"""Seconds before the end in which a token is not sent any more."""
_SHARE: Final = 2 / 3
"""Of its life, after which a token is renewed."""
_SHORTEST: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token that may be sent until a time in seconds since the epoch."""

    text: str = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class NoAccessToken:
    """The session should have a token that can be sent, and has none at this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokens:
    """Opens the tokens of sessions; `providers` are those whose tokens are kept."""

    vault: Vault
    providers: Mapping[str, ProviderSettings]

    def of(
        self, session: Session, key: str, provider: str, now: float
    ) -> AccessToken | NoAccessToken | None:
        """Return the access token of a session; None if another one signed the user in.

        Args:
            session: the session.
            key: its key in the store.
            provider: whose token is wanted.
            now: seconds since the epoch.
        """
        facts = session.extra.get(FACTS)
        settings = self.providers.get(provider)
        if not isinstance(facts, Mapping) or facts.get("name") != provider:
            return None
        sealed, until = facts.get(_TOKEN), facts.get(_UNTIL)
        if settings is None or not isinstance(sealed, str):
            return NoAccessToken()
        end = _time(until) - _SPARE
        if now >= end:
            return NoAccessToken()
        try:
            text = self.vault.open(sealed, bound_to(_USE, settings, key))
        except NotOpened:
            return NoAccessToken()
        return AccessToken(text=text, until=end)

    def accepts(self, provider: str, session: Session) -> bool:
        """Return whether a program's session is that of a token this provider accepted.

        Several providers may have one issuer: the audience of a token is for one of them.
        """
        accepted = session.extra.get(ACCEPTED_BY)
        return provider in self.providers and accepted == provider


def keeps_access_token(session: Session) -> bool:
    """Return whether the record has an access token, valid or not."""
    facts = session.extra.get(FACTS)
    return isinstance(facts, Mapping) and _TOKEN in facts


def without_access_token(session: Session) -> Session:
    """Return a session as it is shown: even encrypted, the token is of no use to readers."""
    facts = session.extra.get(FACTS)
    if not isinstance(facts, Mapping) or _TOKEN not in facts:
        return session
    left = {name: value for name, value in facts.items() if name != _TOKEN}
    return replace(session, extra={**session.extra, FACTS: left})


def with_access_token(
    facts: Mapping[str, Any],
    tokens: Tokens,
    vault: Vault,
    settings: ProviderSettings,
    session_key: str,
    nonce: bytes,
    now: float,
) -> dict[str, Any]:
    """Return what a record keeps of the provider, with the access token."""
    bound = bound_to(_USE, settings, session_key)
    found = {**facts, _TOKEN: vault.seal(tokens.access_token, bound, nonce)}
    found.pop(_UNTIL, None)
    found.pop(RENEW_AT, None)
    if tokens.expires_in is not None:
        found[_UNTIL] = int(now + tokens.expires_in)
        found[RENEW_AT] = int(now + max(tokens.expires_in * _SHARE, _SHORTEST))
    return found


def _time(value: object) -> float:
    """Return a time of a record; without one a token lives until it is renewed."""
    if value is None:
        return inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return value if isfinite(value) else 0.0
