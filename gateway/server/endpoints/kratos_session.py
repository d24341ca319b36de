"""A session as Ory Kratos tells it, and whose request this is."""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from gateway.http.challenge import session_challenge
from gateway.http.headers import normalize_name
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.caller import look_up, presented
from gateway.server.context import RequestContext
from gateway.server.endpoints.kratos_reply import SESSION_INACTIVE, refused
from gateway.server.endpoints.local_response import LocalResponse
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    LifetimePolicy,
    end_of_life,
)
from gateway.sessions.record import Identity, Session
from gateway.sessions.store import SessionCredential
from gateway.sessions.timestamps import format_timestamp

_SESSION_TOKEN: Final = b"x-session-token"
# Kratos' second factors; whatever else proves a person is a first one.
_SECOND_FACTORS: Final = frozenset(("totp", "webauthn", "lookup_secret"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the live session, and the secret that opened it."""

    session: Session
    token: SessionCredential = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSession:
    """No live session. `missing`: no credential came; `ended`: its cookie may go."""

    reason: Reason
    missing: bool = False
    ended: bool = False


async def caller_of(context: RequestContext) -> Caller | NoSession:
    """Find the session of a request, by its session cookie and by nothing else.

    A request with X-Session-Token is nobody's: Kratos would let that header win
    over the cookie, so two readers would take it for two people's.

    Raises:
        StoreUnavailable: it could not be found out.
    """
    found = await _find(context)
    if isinstance(found, Caller):
        context.identity_id = found.session.identity.id
        context.session_id = found.session.id
    else:
        context.ended_as(Verdict.CHALLENGE, found.reason)
    return found


def not_signed_in(
    missing_session: NoSession, context: RequestContext, *, flow: bool = False
) -> LocalResponse:
    """Answer 401; an ended session takes its cookies with it.

    `flow`: in the words of Kratos' self-service flows, else of its session API.
    """
    challenge = session_challenge(context.rules.answers.realm)
    details = {"reason": missing_session.reason.value}
    reply: Reply
    if flow:
        reply = refused(
            401,
            "No active session was found in this request.",
            context.head,
            error_id=SESSION_INACTIVE,
            details=details,
            extra=(challenge,),
            members={"CredentialsMissing": missing_session.missing},
        )
    else:
        reply = refused(
            401,
            "No valid session credentials found in the request.",
            context.head,
            details=details,
            extra=(challenge,),
        )
    return LocalResponse(
        reply=reply,
        cookies=context.rules.clear_cookies if missing_session.ended else (),
    )


def session_view(session: Session, policy: LifetimePolicy) -> dict[str, Any]:
    """Give a live session as Kratos' JSON has it.

    `expires_at` is when it ends at the latest by `policy`, whatever the record says.
    """
    return {
        "id": session.id,
        "active": True,
        "expires_at": format_timestamp(end_of_life(session, policy)),
        **_began(session),
        "authenticator_assurance_level": session.aal,
        "authentication_methods": [
            {
                "method": method.method,
                "aal": "aal2" if method.method in _SECOND_FACTORS else "aal1",
                "completed_at": format_timestamp(method.completed_at),
            }
            for method in session.methods
        ],
        "identity": _identity_view(session.identity, session),
        "devices": [
            {
                # The record knows devices by their place; the SDK wants a UUID.
                "id": str(uuid5(NAMESPACE_URL, f"{session.id}/devices/{place}")),
                "ip_address": device.ip_address,
                "user_agent": device.user_agent,
                "location": "",
            }
            for place, device in enumerate(session.devices)
        ],
    }


def _began(session: Session) -> dict[str, str]:
    """Tell when it began; some libraries do not say, and the SDK does not insist."""
    if not session.authenticated_at:
        return {}
    return {
        "authenticated_at": format_timestamp(session.authenticated_at),
        "issued_at": format_timestamp(session.issued_at),
    }


def _identity_view(identity: Identity, session: Session) -> dict[str, Any]:
    return {
        "id": identity.id,
        # The gateway keeps no schemas: traits are what the sign-in said.
        "schema_id": "default",
        "schema_url": "",
        "state": "active",
        "traits": dict(identity.traits),
        # Where Kratos puts what an application knows of a person.
        "metadata_public": {
            "roles": list(identity.roles),
            "tenants": {
                tenant.id: {"name": tenant.name, "role": tenant.role}
                for tenant in session.tenants.values()
            },
            "active_tenant_id": session.active_tenant_id,
        },
    }


async def _find(context: RequestContext) -> Caller | NoSession:
    if any(normalize_name(name) == _SESSION_TOKEN for name, _ in context.head.headers):
        return NoSession(reason=Reason.MALFORMED)
    token = presented(context)
    if isinstance(token, Anonymous):
        return NoSession(reason=token.reason, missing=token.reason is Reason.NO_SESSION)
    match await look_up(token, context):
        case Authenticated(session=session):
            return Caller(session=session, token=token)
        case Anonymous(reason=reason, ended=ended):
            return NoSession(reason=reason, ended=ended)
