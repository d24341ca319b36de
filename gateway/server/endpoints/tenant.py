"""`POST /.gateway/tenant`: makes another membership the active tenant."""

from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.pages.reply import Reply
from gateway.reasons import Reason
from gateway.server.caller import caller_of
from gateway.server.endpoints.answered import OwnAnswer, read_form
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.service import switch_tenant
from gateway.sessions.store import SessionStore

_TRIES = 3


async def tenant(
    exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """Switch the active tenant to `tenant_id`; the next token names it.

    Answers 303 to `return_to`, else to the home page; 204 to a program; 401
    without a session; 403 for a tenant that is not a membership, or a form on
    another origin; 400 for an address that is not allowed; 409 where an app keeps the
    sessions, which the gateway never writes.

    Raises:
        StoreUnavailable: nothing was switched.
    """
    replies = serving.replies
    if is_cross_origin(head, serving.policy.public_origin):
        story.decision, story.reason = "deny", Reason.CROSS_SITE
        return OwnAnswer(reply=replies.problem(403, Reason.CROSS_SITE, head))
    if tools.own is None:
        story.decision, story.reason = "refuse", Reason.SESSION_READ_ONLY
        return OwnAnswer(reply=replies.problem(409, Reason.SESSION_READ_ONLY, head))
    form = await read_form(exchange, head)
    location = replies.safe_return_to(form.get("return_to", replies.sign_in.home))
    if location is None:
        story.decision, story.reason = "refuse", Reason.BAD_RETURN_TO
        return OwnAnswer(reply=replies.problem(400, Reason.BAD_RETURN_TO, head))
    wanted = form.get("tenant_id", "")
    reason = await _switch(wanted, tools.own, head, serving, story, tools)
    if reason is Reason.NOT_A_MEMBER:
        story.decision, story.reason = "deny", reason
        return OwnAnswer(reply=replies.problem(403, reason, head))
    if reason is not None:
        story.decision, story.reason = "challenge", reason
        return OwnAnswer(reply=replies.unauthenticated(reason, head))
    if not is_navigation(head) and head.sec_fetch_mode is not None:
        return OwnAnswer(reply=Reply(status=204, headers=(), body=b""))
    return OwnAnswer(reply=replies.redirect(head, location))


async def _switch(
    tenant_id: str,
    store: SessionStore,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Reason | None:
    for _ in range(_TRIES):
        match await caller_of(head, serving, tools):
            case Anonymous(reason=reason):
                return reason
            case Authenticated(session=session, key=key):
                story.identity_id, story.session_id = session.identity.id, session.id
                switched = switch_tenant(session, tenant_id)
                if switched is None:
                    return Reason.NOT_A_MEMBER
                # Compare and set: a last-seen note of another request may come in
                # between, an end of the session must not be overwritten.
                if await store.replace(key, session, switched):
                    story.tenant_id = tenant_id
                    tools.report.audit(
                        "tenant_switch",
                        story,
                        before=session.active_tenant_id,
                        after=tenant_id,
                    )
                    return None
    return Reason.UNKNOWN_SESSION
