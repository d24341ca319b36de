"""What is kept of a sign-in to renew its membership later, and the request that does.

OpenID Connect Core 1.0, section 12: a refresh token brings new tokens without the user.
"""

import json
from dataclasses import dataclass, field
from typing import Final

from gateway.oidc.failure import SignInFailed
from gateway.oidc.settings import ProviderSettings
from gateway.oidc.vault import NotOpened, Vault
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json

_MEMBERS: Final = ("refresh_token", "subject", "nonce")


class NotTheUser(SignInFailed):
    """The provider's answer is about another user, or this one may not sign in now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How a session is renewed.

    subject  `sub` of the first ID token; every later one must have the same
    nonce    that of the first ID token, which later ones may repeat
    """

    refresh_token: str = field(repr=False)
    subject: str
    nonce: str = field(repr=False)


def seal_renewal(
    renewal: Renewal,
    vault: Vault,
    settings: ProviderSettings,
    session_key: str,
    nonce: bytes,
) -> bytes:
    """Return a renewal as it is stored: encrypted, for this session and provider."""
    plain = json.dumps({name: getattr(renewal, name) for name in _MEMBERS})
    sealed = vault.seal(plain, bound_to("renewal", settings, session_key), nonce)
    return sealed.encode("ascii")


def open_renewal(
    sealed: bytes, vault: Vault, settings: ProviderSettings, session_key: str
) -> Renewal:
    """Return a stored renewal.

    Raises:
        NotOpened: as Vault.open.
    """
    text = sealed.decode("ascii", "replace")
    plain = vault.open(text, bound_to("renewal", settings, session_key))
    try:
        document = parse_json(plain.encode())
        return Renewal(**{name: str(document[name]) for name in _MEMBERS})
    except (Refused, KeyError, TypeError):
        raise NotOpened("it is not a renewal") from None


def bound_to(use: str, settings: ProviderSettings, session_key: str) -> str:
    """Return what a sealed text is bound to: its use, session, provider and issuer."""
    return f"{use}\n{session_key}\n{settings.name}\n{settings.issuer}"


def renewal_form(renewal: Renewal) -> dict[str, str]:
    """Return the form that requests new tokens (RFC 6749, section 6)."""
    return {"grant_type": "refresh_token", "refresh_token": renewal.refresh_token}


def check_subject(subject: object, renewal: Renewal) -> None:
    """Refuse the tokens of another user (section 12.2).

    Raises:
        NotTheUser: `sub` is not that of the first ID token.
    """
    if subject != renewal.subject:
        raise NotTheUser(Reason.ID_TOKEN_INVALID, "sub is not that of the sign-in")
