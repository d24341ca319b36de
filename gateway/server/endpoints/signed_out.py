"""`/.gateway/signed-out`: where a user lands who signed out; it begins no sign-in."""

from typing import Final

from gateway.http.query import parse_query
from gateway.oidc.sign_out import read_return_to
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse

SIGNED_OUT: Final = "/.gateway/signed-out"


async def signed_out(context: RequestContext) -> LocalResponse:
    """Return the page; or redirect to the address in `state`, if it is allowed."""
    answers = context.rules.answers
    state = (parse_query(context.head.target.query) or {}).get("state", "")
    return_to = answers.safe_return_to(read_return_to(state)) if state else None
    if return_to is not None:
        return LocalResponse(reply=answers.redirect(context.head, return_to))
    variables = {"sign_in": answers.sign_in.url, "request_id": context.request_id}
    return LocalResponse(reply=context.runtime.pages.page("signed_out.html", variables))
