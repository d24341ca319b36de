"""`POST /.gateway/tenant`: makes another membership the active tenant."""

import asyncio
from dataclasses import replace
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.observe.audit_events import TenantSwitched
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.caller import look_up, presented
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.service import switch_tenant
from gateway.sessions.store import SessionStore

_TRIES: Final = 64
"""Compare-and-set attempts before 503. Requests of one process are serialized, so each
failure is a write of another process, or of `last_seen_at`."""
_PAUSE: Final = 0.002
"""Seconds before the second attempt; increases with each one up to 20 ms."""


async def tenant(context: RequestContext) -> LocalResponse:
    """Switch the active tenant to `tenant_id`; the next token names it. "": to none.

    Returns 303 to `return_to`, else to the home page; 204 for scripts; 401 without a
    session; 403 for a tenant that is not a membership, or a form on another origin;
    400 for an address that is not allowed; 409 if an application manages the sessions.

    Of concurrent switches the last one wins.

    Raises:
        StoreUnavailable: the tenant was not switched: the store was unavailable, or
            the session changed at every attempt.
    """
    answers = context.rules.answers
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
        return LocalResponse(
            reply=answers.problem(403, Reason.CROSS_SITE, context.head)
        )
    if context.services.gateway_managed is None:
        context.ended_as(Verdict.REFUSE, Reason.SESSION_READ_ONLY)
        return LocalResponse(
            reply=answers.problem(409, Reason.SESSION_READ_ONLY, context.head)
        )
    form = await read_form(context)
    location = answers.sign_in.safe_return_to(
        form.get("return_to", answers.sign_in.home), context.head
    )
    if location is None:
        context.ended_as(Verdict.REFUSE, Reason.BAD_RETURN_TO)
        return LocalResponse(
            reply=answers.problem(400, Reason.BAD_RETURN_TO, context.head)
        )
    wanted = form.get("tenant_id")
    reason = await _switch(wanted, context.services.gateway_managed, context)
    if reason is Reason.NOT_A_MEMBER:
        context.ended_as(Verdict.DENY, reason)
        return LocalResponse(reply=answers.problem(403, reason, context.head))
    if reason is not None:
        context.ended_as(Verdict.CHALLENGE, reason)
        return LocalResponse(reply=answers.unauthenticated(reason, context.head))
    if not is_navigation(context.head) and context.head.sec_fetch_mode is not None:
        return LocalResponse(reply=Reply(status=204, headers=(), body=b""))
    return LocalResponse(reply=answers.redirect(context.head, location))


async def _switch(
    tenant_id: str | None, store: SessionStore, context: RequestContext
) -> Reason | None:
    held = presented(context)
    if isinstance(held, Anonymous):
        return held.reason
    async with context.services.turn(held.key):
        for tried in range(_TRIES):
            match await look_up(held, context):
                case Anonymous(reason=reason):
                    return reason
                case Authenticated(session=session, key=key):
                    context.acts_for(session)
                    switched = (
                        None if tenant_id is None else switch_tenant(session, tenant_id)
                    )
                    if switched is None or tenant_id is None:
                        return Reason.NOT_A_MEMBER
                    # Compare and set: a concurrent write, such as the end of the
                    # session, must not be overwritten.
                    if await store.replace(key, session, switched):
                        context.principal = replace(
                            context.principal, tenant_id=tenant_id or None
                        )
                        before = session.active_tenant_id or ""
                        context.audit(TenantSwitched(before=before, after=tenant_id))
                        return None
            await asyncio.sleep(min(_PAUSE * tried, 0.02))
    raise StoreUnavailable("the session kept changing while its tenant was switched")
