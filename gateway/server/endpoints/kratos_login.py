"""The addresses at which Ory's clients begin a sign-in: redirects to `sign_in.url`."""

from gateway.http.query import query_value
from gateway.http.return_to import login_location
from gateway.reasons import Reason
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse


async def login_page(context: RequestContext) -> LocalResponse:
    """Return a redirect to the sign-in page, which returns to `return_to`, else home."""
    answers, head = context.rules.answers, context.head
    page = answers.sign_in
    wanted = query_value(head.target.query, "return_to")
    back = None if wanted is None else answers.sign_in.safe_return_to(wanted, head)
    back = page.home if back is None else back
    reason = Reason.NO_SESSION
    if back.startswith("/"):
        location = answers.sign_in.page_location(page.url, head, reason, target=back)
    else:
        location = login_location(page.url, page.return_to, back, reason)
    return LocalResponse(reply=answers.redirect(head, location))
