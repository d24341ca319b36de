"""Verification of a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.oidc.failure import SignInFailed
from gateway.oidc.id_token import (
    LEEWAY,
    check_issuer_and_audience,
    read_number,
    verify_signature,
)
from gateway.oidc.keys import KeySet
from gateway.reasons import Reason
from gateway.sessions.provider_link import ProviderLogout

_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
OLDEST: Final = 300.0
"""Seconds after which a token is not accepted any more."""
LONGEST: Final = 255
"""Characters of `sub`, `sid` and `jti`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutToken:
    """A valid logout token: its ID, and the sessions that it ends."""

    jti: str
    logout: ProviderLogout


def verify_logout_token(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    algorithms: frozenset[str],
    now: float,
) -> LogoutToken:
    """Return what a valid logout token ends.

    Raises:
        UnknownKey: the key that signed it is not in `keys`.
        SignInFailed: it is not valid; the message names the rule.
    """
    header, claims = verify_signature(token, keys, algorithms)
    if str(header.get("typ", "JWT")).lower() not in {"jwt", "logout+jwt"}:
        raise _invalid("typ is that of another kind of token")
    check_issuer_and_audience(claims, issuer, client_id)
    issued = read_number(claims, "iat")
    if not now - OLDEST <= issued <= now + LEEWAY:
        raise _invalid("iat is not recent")
    if "exp" in claims and now >= read_number(claims, "exp") + LEEWAY:
        raise _invalid("it has expired")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
        raise _invalid("events does not have the event of a logout")
    # So that an ID token is never one.
    if "nonce" in claims:
        raise _invalid("it has a nonce")
    subject, sid = _optional(claims, "sub"), _optional(claims, "sid")
    if subject is None and sid is None:
        raise _invalid("it has neither sub nor sid")
    return LogoutToken(
        jti=_text(claims.get("jti"), "jti"),
        logout=ProviderLogout(
            issuer=issuer, subject=subject, session_id=sid, issued_at=issued
        ),
    )


def _optional(claims: Mapping[str, Any], name: str) -> str | None:
    return _text(claims[name], name) if name in claims else None


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        raise _invalid(f"{name} is not a text of 1 to 255 characters")
    return value


def _invalid(detail: str) -> SignInFailed:
    return SignInFailed(Reason.LOGOUT_TOKEN_INVALID, f"logout token: {detail}")
