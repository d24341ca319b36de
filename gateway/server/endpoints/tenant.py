"""`POST /.gateway/tenant`: makes another membership the active tenant."""

import asyncio
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.pages.reply import Reply
from gateway.reasons import Reason
from gateway.server.caller import look_up, presented
from gateway.server.endpoints.answered import OwnAnswer, read_form
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.service import switch_tenant
from gateway.sessions.store import SessionStore

_TRIES: Final = 64
"""Compare-and-sets before 503. Requests of one process take turns, so that only other
processes and notes of the last use come in between: each one that fails is one of
theirs that was written."""
_PAUSE: Final = 0.002
"""Seconds before the second try; more before each later one, and never over 20 ms."""


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

    Of switches at the same time each is carried out, and the last one stays.

    Raises:
        StoreUnavailable: nothing was switched; the store was away, or the session
            changed at every try.
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
    held = presented(head, serving, tools)
    if isinstance(held, Anonymous):
        return held.reason
    async with tools.turn(held.key):
        for tried in range(_TRIES):
            match await look_up(held, head, serving, tools, tools.edge.now()):
                case Anonymous(reason=reason):
                    return reason
                case Authenticated(session=session, key=key):
                    story.identity_id = session.identity.id
                    story.session_id = session.id
                    switched = switch_tenant(session, tenant_id)
                    if switched is None:
                        return Reason.NOT_A_MEMBER
                    # Compare and set: a last-seen note of another request may come
                    # in between, an end of the session must not be overwritten.
                    if await store.replace(key, session, switched):
                        story.tenant_id = tenant_id
                        tools.report.audit(
                            "tenant_switch",
                            story,
                            before=session.active_tenant_id,
                            after=tenant_id,
                        )
                        return None
            await asyncio.sleep(min(_PAUSE * tried, 0.02))
    raise StoreUnavailable("the session kept changing while its tenant was switched")
