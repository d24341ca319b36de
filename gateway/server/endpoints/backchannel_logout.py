"""`/.gateway/sign-in/{provider}/backchannel-logout`: a provider ends sessions."""

from gateway.observe.audit import SignedOutByProvider
from gateway.oidc.failure import SignInFailed
from gateway.oidc.logout_token import Logout
from gateway.oidc.provider import Provider
from gateway.pages.reply import no_body
from gateway.reasons import ROWS, Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form


async def backchannel_logout(context: RequestContext) -> LocalResponse:
    """End the sessions that a logout token names.

    Returns 200 if they have ended, also if there were none; 400 for a token that is not
    valid; 503 if the keys of the provider cannot be fetched; 404 for an unknown provider.

    Raises:
        StoreUnavailable: it is unknown whether they ended.
    """
    provider = context.runtime.providers.get(context.head.target.path.split("/")[-2])
    if provider is None:
        context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
        return LocalResponse(reply=context.rules.answers.no_route(context.head))
    token = (await read_form(context)).get("logout_token", "")
    try:
        logout = await provider.read_logout(token, context.now)
        identity_id = provider.identity_of(logout.subject)
    except SignInFailed as failure:
        row = ROWS[failure.reason]
        context.ended_as(
            Verdict.REFUSE if row.status == 400 else Verdict.ERROR, failure.reason
        )
        context.services.report.request_failed(context, failure)
        answers = context.rules.answers
        return LocalResponse(
            reply=answers.problem(row.status, failure.reason, context.head)
        )
    count = await _end(context, provider, logout, identity_id)
    context.audit(
        SignedOutByProvider(
            provider=provider.settings.name, identity_id=identity_id, count=count
        )
    )
    return LocalResponse(reply=no_body(200, (("Cache-Control", "no-store"),)))


async def _end(
    context: RequestContext, provider: Provider, logout: Logout, identity_id: str
) -> int:
    """End the sessions; return how many were active."""
    store, settings, count = context.services.store, provider.settings, 0
    for key, session in await store.list_for(identity_id, context.now):
        facts = session.extra.get("provider")
        if not isinstance(facts, dict) or facts.get("issuer") != settings.issuer:
            continue
        if logout.means(facts, session.issued_at):
            ended = await store.end(key, context.now, "signed_out")
            count += ended is not None
    return count
