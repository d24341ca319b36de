"""`/.gateway/sign-in/{provider}/frontchannel-logout`: a page of the provider, in a frame.

OpenID Connect Front-Channel Logout 1.0. The request carries no proof, so it ends only
the session whose cookie it carries, and only if it names the `sid` of that session.
"""

from urllib.parse import urlsplit

from gateway.http.query import parse_query
from gateway.observe.audit_events import SignedOutByProvider
from gateway.oidc.failure import SignInFailed
from gateway.oidc.provider import Provider
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.caller import caller_of
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.server.session_changes import sign_out
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.provider_link import link_of


async def frontchannel_logout(context: RequestContext) -> LocalResponse:
    """End the session of the request if `iss` and `sid` are those of its ID token.

    Returns 200 with an empty page that the provider may frame, whether or not there was
    such a session; 400 without both parameters, or for another issuer; 404 for an
    unknown provider.

    Raises:
        StoreUnavailable: it is unknown whether the session ended; no cookie is cleared.
    """
    provider = context.runtime.providers.get(context.head.target.path.split("/")[-2])
    if provider is None:
        context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
        return LocalResponse(reply=context.rules.answers.no_route(context.head))
    # None: a parameter is there twice.
    query = parse_query(context.head.target.query) or {}
    issuer, sid = query.get("iss", ""), query.get("sid", "")
    if not issuer or not sid:
        return _refused(context, Reason.BAD_REQUEST)
    if issuer != provider.settings.issuer:
        return _refused(context, Reason.ISSUER_MISMATCH)
    cookies: tuple[str, ...] = ()
    if context.head.method == "GET" and await _is_session_of(context, issuer, sid):
        cookies = tuple(await sign_out("this", context))
        context.audit(
            SignedOutByProvider(
                provider=provider.settings.name,
                identity_id=context.principal.identity_id or "",
                count=1,
            )
        )
    return LocalResponse(reply=await _page(provider), cookies=cookies)


async def _is_session_of(context: RequestContext, issuer: str, sid: str) -> bool:
    found = await caller_of(context)
    link = link_of(found.session) if isinstance(found, Authenticated) else None
    return link is not None and (link.issuer, link.session_id) == (issuer, sid)


def _refused(context: RequestContext, reason: Reason) -> LocalResponse:
    context.ended_as(Verdict.REFUSE, reason)
    answers = context.rules.answers
    return LocalResponse(reply=answers.problem(400, reason, context.head))


async def _page(provider: Provider) -> Reply:
    """Return an empty page that only pages of the provider may show in a frame."""
    places = [provider.settings.issuer]
    try:
        metadata = await provider.verifier.metadata()
    except SignInFailed:
        metadata = None
    if metadata is not None:
        places.append(metadata.end_session or metadata.authorization)
    ancestors = " ".join(dict.fromkeys(_origin(place) for place in places))
    return Reply(
        status=200,
        headers=(
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            (
                "Content-Security-Policy",
                f"default-src 'none'; frame-ancestors {ancestors}",
            ),
        ),
        body=b"<!doctype html><title>Signed out</title>\n",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
