"""`/.gateway/sign-in/{provider}/initiate`: a provider, or its portal, begins a sign-in.

OpenID Connect Core 1.0, section 4. Anyone can lead a browser here, so nothing of the
request is trusted: the issuer has to be the configured one, the address to return to is
validated as any other, and the hint is only passed on.
"""

from collections.abc import Mapping
from typing import Final

from gateway.http.query import parse_query
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.server.endpoints.sign_in import at_public_host, begin_with, no_provider

_LONGEST_HINT: Final = 255


async def initiated_sign_in(context: RequestContext) -> LocalResponse:
    """Redirect to the provider; 404 if it is unknown or may not begin sign-ins.

    400 without the issuer of the provider, or with a parameter of the query that is
    there twice. A repeated field of a form counts as missing.
    """
    head = context.head
    provider = context.runtime.providers.get(head.target.path.split("/")[-2])
    if provider is None or not provider.settings.initiates:
        return no_provider(context)
    if not at_public_host(context):
        return no_provider(context)  # the provider returns to the public one
    # A script that fetches this address begins nothing, and gets no cookie.
    if head.sec_fetch_mode not in {None, "navigate"}:
        return _refused(context, Reason.BAD_REQUEST)
    given: Mapping[str, str] | None
    given = (
        await read_form(context)
        if head.method == "POST"
        else parse_query(head.target.query)
    )
    if given is None:
        return _refused(context, Reason.BAD_REQUEST)
    if given.get("iss") != provider.settings.issuer:
        return _refused(context, Reason.ISSUER_MISMATCH)
    name = context.rules.answers.sign_in.return_to
    place = {name: target} if (target := given.get("target_link_uri")) else {}
    hint = given.get("login_hint", "")
    usable = hint.isprintable() and len(hint) <= _LONGEST_HINT
    return await begin_with(context, provider, place, login_hint=hint if usable else "")


def _refused(context: RequestContext, reason: Reason) -> LocalResponse:
    context.ended_as(Verdict.REFUSE, reason)
    answers = context.rules.answers
    return LocalResponse(reply=answers.problem(400, reason, context.head))
