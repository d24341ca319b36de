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

_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
OLDEST: Final = 300.0
"""Seconds after which a token is not accepted any more."""
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    """The sessions that a provider ended: those of a subject, or one of them.

    issued  seconds since the epoch; later sessions are not meant
    sid     the session ID at the provider; None: all of the subject
    """

    jti: str
    issued: float
    subject: str
    sid: str | None

    def means(self, session: Mapping[str, Any], issued_at: float) -> bool:
        """Return whether a session is one of them.

        Args:
            session: what its record keeps of the provider.
            issued_at: when it began. A token that is sent again ends no later session.
        """
        if session.get("subject") != self.subject or issued_at > self.issued + LEEWAY:
            return False
        # A session whose ID token had no `sid` may be the one.
        return self.sid is None or session.get("session_id", self.sid) == self.sid


def verify_logout_token(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    algorithms: frozenset[str],
    now: float,
) -> Logout:
    """Return what a valid logout token ends.

    Raises:
        UnknownKey: the key that signed it is not in `keys`.
        SignInFailed: it is not valid; the message names the rule. One without `sub` is
            not supported.
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
    sid = claims.get("sid")
    return Logout(
        jti=_text(claims.get("jti"), "jti"),
        issued=issued,
        subject=_text(claims.get("sub"), "sub"),
        sid=None if sid is None else _text(sid, "sid"),
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        raise _invalid(f"{name} is not a text of 1 to 255 characters")
    return value


def _invalid(detail: str) -> SignInFailed:
    return SignInFailed(Reason.LOGOUT_TOKEN_INVALID, f"logout token: {detail}")
