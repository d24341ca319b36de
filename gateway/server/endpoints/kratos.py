"""The session API of Ory Kratos, for front ends that use the Ory SDK.

| path | the SDK's call |
| --- | --- |
| `GET /.gateway/sessions/whoami` | toSession |
| `GET /.gateway/sessions` | listMySessions |
| `DELETE /.gateway/sessions` | disableMyOtherSessions |
| `DELETE /.gateway/sessions/{id}` | disableMySession |

The credential is the session cookie. To ask here is no use of a session: a page
that keeps asking does not keep an idle session alive.
"""

from typing import Final
from urllib.parse import unquote
from uuid import UUID

from gateway.http.head import RequestHead
from gateway.http.headers import encode_value
from gateway.http.navigation import is_cross_origin
from gateway.pages.reply import no_body
from gateway.reasons import Reason
from gateway.server.endpoints.answered import OwnAnswer
from gateway.server.endpoints.kratos_pages import BadPage, page_of
from gateway.server.endpoints.kratos_reply import CSRF_VIOLATION, refused, told
from gateway.server.endpoints.kratos_session import (
    Caller,
    Nobody,
    caller_of,
    not_signed_in,
    session_view,
)
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Authenticated, authenticate
from gateway.sessions.foreign import is_key
from gateway.sessions.record import Session

SESSIONS: Final = "/.gateway/sessions"


async def whoami(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """Answer 200 with the session of the request; 401 without one.

    Raises:
        StoreUnavailable: it is not known who asks.
    """
    caller = await caller_of(head, serving, story, tools)
    if isinstance(caller, Nobody):
        return not_signed_in(caller, head, serving)
    if "tokenize_as=" in (head.target.query or ""):
        why = "Sessions are not handed out as tokens here."
        return _refused(400, Reason.BAD_REQUEST, why, head, story)
    identity = encode_value(caller.session.identity.id).decode("ascii")
    return OwnAnswer(
        reply=told(
            session_view(caller.session, serving.lifetimes),
            extra=(("X-Kratos-Authenticated-Identity-Id", identity),),
        )
    )


async def list_sessions(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """Answer 200 with the other live sessions of the identity, newest first.

    `page_size` and `page_token` cut it into pages that a Link header (RFC 8288)
    leads through; 400 where they make no sense.

    Raises:
        StoreUnavailable: the sessions are not known.
    """
    caller = await caller_of(head, serving, story, tools)
    if isinstance(caller, Nobody):
        return not_signed_in(caller, head, serving)
    others = await _others(caller, serving, tools)
    address = f"{serving.policy.public_origin}{SESSIONS}"
    page = page_of(others, head.target.query or "", address)
    if isinstance(page, BadPage):
        return _refused(400, Reason.BAD_REQUEST, page.why, head, story)
    views = [session_view(session, serving.lifetimes) for session in page.sessions]
    return OwnAnswer(reply=told(views, extra=(("Link", page.link),)))


async def end_other_sessions(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End every session of the identity but this one; 200 with their number.

    Raises:
        StoreUnavailable: some may have ended, some not.
    """
    caller = await _caller_from_here(head, serving, story, tools)
    if isinstance(caller, OwnAnswer):
        return caller
    identity, key = caller.session.identity.id, caller.token.key
    count = await tools.store.end_all(identity, tools.edge.now(), key)
    tools.report.audit("sessions_revoke", story, count=count)
    return OwnAnswer(reply=told({"count": count}))


async def end_session(
    _exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End another session of the identity: 204, also if it had ended before.

    400 for the session of the request, which signs out instead, and for what is no
    id; 404 for what is nobody's or somebody else's, which nothing tells apart.

    Raises:
        StoreUnavailable: it is not known whether it ended.
    """
    caller = await _caller_from_here(head, serving, story, tools)
    if isinstance(caller, OwnAnswer):
        return caller
    session_id = unquote(head.target.path.rpartition("/")[2])
    if session_id == caller.session.id:
        why = "cannot revoke current session"
        return _refused(400, Reason.BAD_REQUEST, why, head, story)
    found = await tools.store.find(session_id)
    if found is None or found[1].identity.id != caller.session.identity.id:
        if found is None and not _is_uuid(session_id) and not is_key(session_id):
            why = "the session id is not a UUID"
            return _refused(400, Reason.BAD_REQUEST, why, head, story)
        why = "The requested resource could not be found"
        return _refused(404, Reason.UNKNOWN_SESSION, why, head, story)
    if await tools.store.end(found[0], tools.edge.now()) is not None:
        tools.report.audit("session_revoke", story, target=session_id)
    return OwnAnswer(reply=no_body(204))


async def _caller_from_here(
    head: RequestHead, serving: Serving, story: Story, tools: Tools
) -> Caller | OwnAnswer:
    if is_cross_origin(head, serving.policy.public_origin):
        story.decision, story.reason = "deny", Reason.CROSS_SITE
        why = "The request came from another origin."
        reply = refused(403, why, head, error_id=CSRF_VIOLATION)
        return OwnAnswer(reply=reply)
    caller = await caller_of(head, serving, story, tools)
    if isinstance(caller, Nobody):
        return not_signed_in(caller, head, serving)
    return caller


async def _others(caller: Caller, serving: Serving, tools: Tools) -> list[Session]:
    now = tools.edge.now()
    listed = await tools.store.list_for(caller.session.identity.id, now)
    return [
        session
        for key, session in listed
        if key != caller.token.key
        # The store knows when a record ends, the configuration when one is idle.
        and isinstance(
            authenticate(session, key=key, now=now, policy=serving.lifetimes),
            Authenticated,
        )
    ]


def _refused(
    status: int, reason: Reason, why: str, head: RequestHead, story: Story
) -> OwnAnswer:
    story.decision, story.reason = "refuse", reason
    return OwnAnswer(reply=refused(status, why, head))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
