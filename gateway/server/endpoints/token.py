"""`GET /.gateway/token`: a short-lived token for a page, such as one that calls PostgREST.

Only profiles with `browser: true` are for pages. No upstream accepts their tokens as the
gateway's assertion: the audience is their own (gateway.config.checks.tokens).
"""

import orjson

from gateway.http.cors import may_read
from gateway.http.query import query_value
from gateway.observe.audit_events import TokenIssued
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.caller import caller_of
from gateway.server.context import RequestContext
from gateway.server.endpoints.cross_origin import readable
from gateway.server.endpoints.local_response import LocalResponse
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.record import Session
from gateway.sessions.timestamps import format_timestamp
from gateway.tenants import TenantRefused, resolve_tenant
from gateway.tokens.minter import Issued


async def token(context: RequestContext) -> LocalResponse:
    """Return 200 with a token of the profile `profile`, for the tenant of the request.

    403 for a page of another origin that is not listed, and without the tenant that the
    profile requires; 404 for a profile that is not for pages; 401 without a session.
    It does not count as use of the session.

    Raises:
        StoreUnavailable: the session could not be queried.
    """
    return readable(await _token(context), context)


async def _token(context: RequestContext) -> LocalResponse:
    answers, head, rules = context.rules.answers, context.head, context.rules
    if not may_read(head, rules.policy.public_origin, rules.page_origins):
        return _denied(Reason.CROSS_SITE, context)
    profile = query_value(head.target.query, "profile")
    if profile is None or profile not in rules.browser_profiles:
        context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
        detail = "There is no token profile of this name for pages."
        return LocalResponse(
            reply=answers.problem(404, Reason.NO_ROUTE, head, detail=detail)
        )
    who = await caller_of(context)
    if isinstance(who, Anonymous):
        context.ended_as(Verdict.CHALLENGE, who.reason)
        return LocalResponse(
            reply=answers.unauthenticated(who.reason, head),
            cookies=rules.cookies_to_clear(who, head.host),
        )
    issued = issue(profile, who.session, context)
    if isinstance(issued, Reason):
        return _denied(issued, context)
    document = {
        "token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.expires - int(context.now),
        "expires_at": format_timestamp(issued.expires),
    }
    return LocalResponse(
        reply=Reply(
            status=200,
            headers=(
                ("Content-Type", "application/json"),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ),
            body=orjson.dumps(document),
        )
    )


def issue(profile: str, session: Session, context: RequestContext) -> Issued | Reason:
    """Return a token for a page, which is audited; or why the session gets none."""
    rules, services = context.rules, context.services
    tenant = resolve_tenant(session, context.head, rules.tenant_sources)
    if isinstance(tenant, TenantRefused):
        return tenant.reason
    nonce = services.system.secret(16).hex()
    issued = rules.issuer.token(profile, session, tenant, context.now, nonce)
    if issued is None:
        ends = session.expires_at < context.now + 1
        return Reason.SESSION_EXPIRED if ends else Reason.TENANT_MISSING
    context.acts_for(session, None if tenant is None else tenant.id)
    services.report.token_used(profile, signed=issued.signed)
    context.audit(TokenIssued(profile=profile))
    return issued


def _denied(reason: Reason, context: RequestContext) -> LocalResponse:
    context.ended_as(Verdict.DENY, reason)
    problem = context.rules.answers.problem(403, reason, context.head)
    return LocalResponse(reply=problem)
