"""The session API of Ory Kratos, for front ends that use the Ory SDK.

| path | the SDK's call |
| --- | --- |
| `GET /.gateway/sessions/whoami` | toSession |
| `GET /.gateway/sessions` | listMySessions |
| `DELETE /.gateway/sessions` | disableMyOtherSessions |
| `DELETE /.gateway/sessions/{id}` | disableMySession |

The credential is the session cookie. These requests do not count as use of a session,
so a page that polls does not keep an idle session alive.
"""

from typing import Final
from urllib.parse import unquote
from uuid import UUID

from gateway.http.cors import may_read
from gateway.http.headers import encode_value
from gateway.http.navigation import is_cross_origin
from gateway.http.query import query_value
from gateway.observe.audit_events import SessionRevoked, SessionsRevoked
from gateway.pages.reply import no_body
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.cross_origin import readable
from gateway.server.endpoints.kratos_pages import BadPage, page_of
from gateway.server.endpoints.kratos_reply import CSRF_VIOLATION, json_response, refused
from gateway.server.endpoints.kratos_session import (
    Caller,
    NoSession,
    caller_of,
    not_signed_in,
    session_view,
)
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.endpoints.token import issue
from gateway.sessions.authenticate import Authenticated, authenticate
from gateway.sessions.formats.credential import is_public_id
from gateway.sessions.record import Session
from gateway.sessions.store import in_browsers

SESSIONS: Final = "/.gateway/sessions"


async def whoami(context: RequestContext) -> LocalResponse:
    """Return 200 with the session of the request; 401 without one.

    `tokenize_as` names a token profile for pages, whose token is added as `tokenized`:
    400 for another profile, 403 without the tenant that it requires, and for a page of
    an origin that is not listed.

    Raises:
        StoreUnavailable: the session could not be queried.
    """
    return readable(await _whoami(context), context)


async def _whoami(context: RequestContext) -> LocalResponse:
    caller = await caller_of(context)
    if isinstance(caller, NoSession):
        return not_signed_in(caller, context)
    view = session_view(caller.session, context.rules.lifetimes)
    if "tokenize_as=" in (context.head.target.query or ""):
        tokenized = _tokenized(caller.session, context)
        if isinstance(tokenized, LocalResponse):
            return tokenized
        view["tokenized"] = tokenized
    identity = encode_value(caller.session.identity.id).decode("ascii")
    return LocalResponse(
        reply=json_response(
            view,
            extra=(("X-Kratos-Authenticated-Identity-Id", identity),),
        )
    )


def _tokenized(session: Session, context: RequestContext) -> str | LocalResponse:
    rules, head = context.rules, context.head
    profile = query_value(head.target.query, "tokenize_as")
    if profile is None or profile not in rules.browser_profiles:
        why = "There is no token profile of this name for pages."
        return _refused(400, Reason.BAD_REQUEST, why, context)
    if not may_read(head, rules.policy.public_origin, rules.page_origins):
        why = "Pages of this origin get no token."
        return _refused(403, Reason.CROSS_SITE, why, context)
    issued = issue(profile, session, context)
    if isinstance(issued, Reason):
        why = "The session gets no token of this profile."
        return _refused(403, issued, why, context)
    return issued.token


async def list_sessions(context: RequestContext) -> LocalResponse:
    """Return 200 with the other active sessions of the identity, newest first.

    `page_size` and `page_token` select a page; a Link header (RFC 8288) has the next
    one. 400 if they are invalid.

    Raises:
        StoreUnavailable: the sessions could not be queried.
    """
    caller = await caller_of(context)
    if isinstance(caller, NoSession):
        return not_signed_in(caller, context)
    others = await _others(caller, context)
    address = f"{context.rules.policy.public_origin}{SESSIONS}"
    page = page_of(others, context.head.target.query or "", address)
    if isinstance(page, BadPage):
        return _refused(400, Reason.BAD_REQUEST, page.why, context)
    views = [
        session_view(session, context.rules.lifetimes) for session in page.sessions
    ]
    return LocalResponse(reply=json_response(views, extra=(("Link", page.link),)))


async def end_other_sessions(context: RequestContext) -> LocalResponse:
    """Revoke the other sessions of the identity; return 200 with their number.

    Raises:
        StoreUnavailable: some may have been revoked.
    """
    caller = await _caller_from_here(context)
    if isinstance(caller, LocalResponse):
        return caller
    identity, key = caller.session.identity.id, caller.token.key
    count = await context.services.store.end_all(
        identity, context.now, key, tokens=False
    )
    context.audit(SessionsRevoked(count=count))
    return LocalResponse(reply=json_response({"count": count}))


async def end_session(context: RequestContext) -> LocalResponse:
    """Revoke another session of the identity: 204, even if it had ended before.

    400 for the session of the request itself, and for an invalid id; 404 for an unknown
    session and for that of another identity alike.

    Raises:
        StoreUnavailable: it is unknown whether the session ended.
    """
    caller = await _caller_from_here(context)
    if isinstance(caller, LocalResponse):
        return caller
    session_id = unquote(context.head.target.path.rpartition("/")[2])
    if session_id == caller.session.id:
        why = "cannot revoke current session"
        return _refused(400, Reason.BAD_REQUEST, why, context)
    found = await context.services.store.find(session_id)
    if found is None or found[1].identity.id != caller.session.identity.id:
        if found is None and not _is_uuid(session_id) and not is_public_id(session_id):
            why = "the session id is not a UUID"
            return _refused(400, Reason.BAD_REQUEST, why, context)
        why = "The requested resource could not be found"
        return _refused(404, Reason.UNKNOWN_SESSION, why, context)
    if await context.services.store.end(found[0], context.now) is not None:
        name = found[1].token_name or ""
        context.audit(SessionRevoked(session_id=session_id, token_name=name))
    return LocalResponse(reply=no_body(204))


async def _caller_from_here(context: RequestContext) -> Caller | LocalResponse:
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
        why = "The request came from another origin."
        reply = refused(403, why, context.request_id, error_id=CSRF_VIOLATION)
        return LocalResponse(reply=reply)
    caller = await caller_of(context)
    if isinstance(caller, NoSession):
        return not_signed_in(caller, context)
    return caller


async def _others(caller: Caller, context: RequestContext) -> list[Session]:
    now = context.now
    listed = await context.services.store.list_for(caller.session.identity.id, now)
    return [
        session
        for key, session in in_browsers(listed)
        if key != caller.token.key
        # The store checks expiry; the idle limit is that of the configuration.
        and isinstance(
            authenticate(session, key=key, now=now, policy=context.rules.lifetimes),
            Authenticated,
        )
    ]


def _refused(
    status: int, reason: Reason, why: str, context: RequestContext
) -> LocalResponse:
    context.ended_as(Verdict.REFUSE, reason)
    return LocalResponse(reply=refused(status, why, context.request_id))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
