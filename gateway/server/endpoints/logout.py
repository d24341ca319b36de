"""`POST /.gateway/logout`: ends the session."""

from collections.abc import Mapping
from typing import Final

from gateway.http import base64url
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.http.query import query_value
from gateway.oidc.hint import open_hint
from gateway.oidc.provider import Provider
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.caller import caller_of
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.server.endpoints.signed_out import SIGNED_OUT
from gateway.server.session_changes import sign_out
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import SessionToken
from gateway.sessions.provider_link import link_of
from gateway.sessions.record import Session
from gateway.spine.credential import credential_of

_LONGEST_RETURN: Final = 1024
"""Characters of the address that a cookie keeps; a longer one is left out."""


async def logout(context: RequestContext) -> LocalResponse:
    """End the session of the request, clear the gateway's cookies, and go on.

    The address to go on to is `return_to` (a form field, else in the query), else `/`;
    for a user whom a provider signed in, else the page for signed-out users.

    Returns 303 to it; for such a user 200 with a page that goes on to the provider, if
    it can end its session, and from there to the address. 204 for scripts. 403 for a
    form on another origin, including sibling hosts. 400 for an address that is not
    allowed. Without a session the response is that of a user whom no provider signed
    in.

    Raises:
        StoreUnavailable: it is unknown whether the session ended; no cookie is
            cleared, so that the user can try again.
    """
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
        return LocalResponse(
            reply=context.rules.answers.problem(403, Reason.CROSS_SITE, context.head)
        )
    form = await read_form(context)
    provider = await _provider(context)
    in_query = query_value(context.head.target.query, "return_to")
    named = form.get("return_to", in_query)
    default = "/" if provider is None else SIGNED_OUT
    wanted = default if named is None else named
    location = context.rules.answers.sign_in.safe_return_to(wanted, context.head)
    if location is None:
        context.ended_as(Verdict.REFUSE, Reason.BAD_RETURN_TO)
        reply = context.rules.answers.problem(400, Reason.BAD_RETURN_TO, context.head)
        return LocalResponse(reply=reply)
    hints = await _hints(context) if provider is not None else {}
    cookies = tuple(await sign_out("this", context))
    if not is_navigation(context.head) and context.head.sec_fetch_mode is not None:
        return LocalResponse(
            reply=Reply(status=204, headers=(), body=b""), cookies=cookies
        )
    if provider is not None:
        # The provider returns to the public host, wherever the form was.
        sign_in = context.rules.answers.sign_in
        back = sign_in.absolute(location, context.head) if named else ""
        page = await _at_provider(context, provider, hints, back, cookies)
        if page is not None:
            return page
    return LocalResponse(
        reply=context.rules.answers.redirect(context.head, location),
        cookies=cookies,
    )


async def _at_provider(
    context: RequestContext,
    provider: Provider,
    hints: Mapping[str, str | None],
    back: str,
    cookies: tuple[str, ...],
) -> LocalResponse | None:
    """Return a page that goes on to the provider; None if it ends no session."""
    state = ""
    if 0 < len(back) <= _LONGEST_RETURN:
        state = base64url.encode(context.services.system.secret(16))
    away = await provider.sign_out_url(state=state, **hints)
    if away is None:
        return None
    if state:
        cookies += (context.runtime.attempts.note_sign_out(state, back),)
    # A page, not a redirect: browsers apply the `form-action` policy of the page
    # with the form to redirects, too.
    variables = {"heading": "You are signed out", "location": away}
    page = context.runtime.pages.page("continue.html", variables)
    return LocalResponse(reply=page, cookies=cookies)


async def _hints(context: RequestContext) -> dict[str, str | None]:
    """Return by what the provider knows the session that is about to end."""
    held = credential_of(context.head, context.rules)
    store = context.services.gateway_managed
    if store is None or not isinstance(held, SessionToken):
        return {}
    sealed = await store.logouts.find_id_token(held.key)
    session = await store.load(held.key)
    link = link_of(session) if isinstance(session, Session) else None
    return {
        "id_token": None if sealed is None else open_hint(sealed, held.value),
        "logout_hint": None if link is None else link.session_id,
    }


async def _provider(context: RequestContext) -> Provider | None:
    """Return the provider that signed the user of the session in."""
    if not context.runtime.providers:
        return None
    found = await caller_of(context)
    if isinstance(found, Anonymous):
        return None
    facts = found.session.extra.get("provider")
    name = facts.get("name") if isinstance(facts, dict) else None
    return context.runtime.providers.get(name) if isinstance(name, str) else None
