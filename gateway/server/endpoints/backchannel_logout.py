"""`/.gateway/sign-in/{provider}/backchannel-logout`: a provider ends sessions."""

from gateway.observe.audit_events import SignedOutByProvider
from gateway.oidc.failure import SignInFailed
from gateway.oidc.logout_token import OLDEST, LogoutToken
from gateway.oidc.provider import Provider
from gateway.pages.reply import no_body
from gateway.reasons import ROWS, Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.sessions.provider_link import LEEWAY, MARK_LIFETIME, LogoutMark
from gateway.sessions.provider_token import LONGEST_LIFE
from gateway.sessions.store import SessionStore


async def backchannel_logout(context: RequestContext) -> LocalResponse:
    """End the sessions that a logout token names.

    Returns 200 if they have ended, also if there were none; 400 for a token that is not
    valid or was used; 503 if the keys of the provider cannot be fetched; 404 for an
    unknown provider.

    Raises:
        StoreUnavailable: it is unknown whether they ended; the token may be sent again.
    """
    provider = context.runtime.providers.get(context.head.target.path.split("/")[-2])
    store = context.services.gateway_managed
    if provider is None or store is None:
        context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
        return LocalResponse(reply=context.rules.answers.no_route(context.head))
    token = (await read_form(context)).get("logout_token", "")
    try:
        read = await provider.verifier.read_logout(token, context.now)
        await _end_once(context, provider, read, store)
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
    return LocalResponse(reply=no_body(200, (("Cache-Control", "no-store"),)))


async def _end_once(
    context: RequestContext, provider: Provider, token: LogoutToken, store: SessionStore
) -> None:
    """End the sessions, then record the use of the token: an outage uses up none.

    Raises:
        SignInFailed: it was used, by this process or another one.
        StoreUnavailable: it is unknown whether they ended.
    """
    logout, now = token.logout, context.now
    if await store.logouts.was_used(logout.issuer, token.jti):
        raise _used()
    # Before the look at the sessions: a sign-in that stores its session afterwards
    # finds the mark.
    mark = LogoutMark(issued_at=logout.issued_at, received_at=now)
    # Any entry with this issuer may accept access tokens, and live longer after a reload.
    entries = context.runtime.providers.values()
    accepts = any(entry.settings.accept is not None for entry in entries)
    keep = LONGEST_LIFE + 2 * LEEWAY if accepts else MARK_LIFETIME
    await store.logouts.mark_logout(logout, mark, keep)
    ended = []
    for key, session in await store.logouts.list_linked(logout):
        if await store.end(key, now, "signed_out") is not None:
            ended.append(session.identity.id)
    for identity_id in dict.fromkeys(ended):
        count = ended.count(identity_id)
        context.audit(
            SignedOutByProvider(
                provider=provider.settings.name, identity_id=identity_id, count=count
            )
        )
    left = logout.issued_at + OLDEST - now
    if not await store.logouts.note_use(logout.issuer, token.jti, left + 2 * LEEWAY):
        raise _used()


def _used() -> SignInFailed:
    return SignInFailed(Reason.LOGOUT_TOKEN_INVALID, "logout token: it was used before")
