"""`/.gateway/signed-out`: where a user lands who signed out; it begins no sign-in."""

from typing import Final

from gateway.http.query import parse_query
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse

SIGNED_OUT: Final = "/.gateway/signed-out"


async def signed_out(context: RequestContext) -> LocalResponse:
    """Return the page; or redirect to where the sign-out of this browser leads.

    That is the case if `state` is the one that was sent to the provider.
    """
    answers, attempts = context.rules.answers, context.runtime.attempts
    state = (parse_query(context.head.target.query) or {}).get("state", "")
    kept = attempts.read_sign_out(context.head.cookies, state)
    return_to = None if kept is None else answers.sign_in.safe_return_to(kept)
    if return_to is not None:
        return LocalResponse(
            reply=answers.redirect(context.head, return_to),
            cookies=(attempts.forget_sign_out(),),
        )
    variables = {"sign_in": answers.sign_in.url, "request_id": context.request_id}
    return LocalResponse(reply=context.runtime.pages.page("signed_out.html", variables))
