"""The session of a request, in the format of Ory Kratos."""

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
from gateway.sessions.end_word import ENDS
from gateway.sessions.record import Identity, Session
from gateway.sessions.store import SessionCredential
from gateway.sessions.timestamps import format_timestamp

_SESSION_TOKEN: Final = b"x-session-token"
# A session that ended here before is named by its reason, though there is no cookie.
_WITHOUT_COOKIE: Final = ENDS | {Reason.NO_SESSION}
# Kratos' second factors; every other method is a first factor.
_SECOND_FACTORS: Final = frozenset(("totp", "webauthn", "lookup_secret"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The active session of a request, and its credential."""

    session: Session
    token: SessionCredential = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSession:
    """No active session. `missing`: no credential; `ended`, `twice`: as Anonymous."""

    reason: Reason
    missing: bool = False
    ended: bool = False
    twice: bool = False


async def caller_of(context: RequestContext) -> Caller | NoSession:
    """Return the session of a request, by its session cookie only.

    A request with X-Session-Token has no session: Kratos would prefer that header to
    the cookie, so two servers could authenticate it as different users.

    Raises:
        StoreUnavailable: the store could not be queried.
    """
    found = await _find(context)
    if isinstance(found, Caller):
        context.acts_for(found.session)
    else:
        context.ended_as(Verdict.CHALLENGE, found.reason)
    return found


def not_signed_in(
    missing_session: NoSession, context: RequestContext, *, flow: bool = False
) -> LocalResponse:
    """Return 401; the cookies of an ended session are cleared.

    `flow`: use the message of Kratos' self-service flows, else of its session API.
    """
    challenge = session_challenge(context.rules.answers.realm)
    details = {"reason": missing_session.reason.value}
    reply: Reply
    if flow:
        reply = refused(
            401,
            "No active session was found in this request.",
            context.request_id,
            error_id=SESSION_INACTIVE,
            details=details,
            extra=(challenge,),
            members={"CredentialsMissing": missing_session.missing},
        )
    else:
        reply = refused(
            401,
            "No valid session credentials found in the request.",
            context.request_id,
            details=details,
            extra=(challenge,),
        )
    return LocalResponse(
        reply=reply,
        cookies=context.rules.cookies_to_clear(
            Anonymous(
                reason=missing_session.reason,
                ended=missing_session.ended,
                twice=missing_session.twice,
            ),
            context.head.host,
        ),
    )


def session_view(session: Session, policy: LifetimePolicy) -> dict[str, Any]:
    """Return an active session in the JSON format of Kratos.

    `expires_at` is the latest possible end by `policy`.
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
                # Devices have no id in the record; the SDK requires a UUID.
                "id": str(uuid5(NAMESPACE_URL, f"{session.id}/devices/{place}")),
                "ip_address": device.ip_address,
                "user_agent": device.user_agent,
                "location": "",
            }
            for place, device in enumerate(session.devices)
        ],
    }


def _began(session: Session) -> dict[str, str]:
    """Return the times of the start, if known; the SDK does not require them."""
    if not session.authenticated_at:
        return {}
    return {
        "authenticated_at": format_timestamp(session.authenticated_at),
        "issued_at": format_timestamp(session.issued_at),
    }


def _identity_view(identity: Identity, session: Session) -> dict[str, Any]:
    return {
        "id": identity.id,
        # The gateway has no schemas.
        "schema_id": "default",
        "schema_url": "",
        "state": "active",
        "traits": dict(identity.traits),
        **{
            name: format_timestamp(moment)
            for name, moment in (
                ("created_at", identity.created_at),
                ("updated_at", identity.updated_at),
            )
            if moment is not None
        },
        # Kratos' place for application data.
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
        return NoSession(
            reason=token.reason,
            missing=token.reason in _WITHOUT_COOKIE,
            twice=token.twice,
        )
    match await look_up(token, context):
        case Authenticated(session=session):
            return Caller(session=session, token=token)
        case Anonymous(reason=reason, ended=ended):
            return NoSession(reason=reason, ended=ended)
