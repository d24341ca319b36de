"""The session that a verified access token stands for: nothing of it is stored."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from gateway.oidc.bearer_token import client_of
from gateway.oidc.failure import SignInFailed
from gateway.oidc.id_token import read_number
from gateway.oidc.logout_token import LONGEST
from gateway.oidc.person import allowed_person
from gateway.oidc.settings import ProviderSettings
from gateway.reasons import Reason
from gateway.sessions.provider_link import ProviderLink
from gateway.sessions.provider_token import (
    ACCEPTED_BY,
    LEEWAY,
    ProviderToken,
    TokenFacts,
)
from gateway.sessions.record import Session
from gateway.sessions.service import new_token_session


def bearer_session(
    token: ProviderToken, claims: Mapping[str, Any], settings: ProviderSettings
) -> tuple[Session, TokenFacts]:
    """Return the session of a token, and what its ends are kept under.

    It is one of a program, as that of an access token of the gateway. It expires with
    the token, and there is no other clock in it: the same token gives the same session.

    Raises:
        SignInFailed: `claim_missing`, `account_not_allowed` or `email_unverified`;
            `token_invalid` if no session can hold what the claims say.
    """
    person = allowed_person(settings, claims)
    issued, end = read_number(claims, "iat"), read_number(claims, "exp")
    try:
        session = new_token_session(
            name=client_of(claims) or settings.name,
            identity=person.identity,
            tenants=person.tenants,
            active_tenant=None,
            now=issued,
            lifetime=end - issued + LEEWAY,
            session_id=_session_id(token),
        )
    except ValueError as error:
        raise SignInFailed(Reason.TOKEN_INVALID, f"access token: {error}") from error
    # No use of it is written: there is no record.
    session = replace(
        session, last_seen_at=session.expires_at, extra={ACCEPTED_BY: settings.name}
    )
    sid = claims.get("sid")
    link = ProviderLink(
        issuer=settings.issuer,
        subject=str(claims["sub"]),
        session_id=sid if isinstance(sid, str) and 0 < len(sid) <= LONGEST else None,
        issued_at=issued,
    )
    return session, TokenFacts(
        key=token.key, identity_id=session.identity.id, link=link, issued_at=issued
    )


def _session_id(token: ProviderToken) -> str:
    """Return a public ID: a UUID, as the Ory SDK expects one, the same for the token."""
    return str(UUID(bytes=sha256(token.key.encode()).digest()[:16], version=4))
