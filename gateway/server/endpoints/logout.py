"""`POST /.gateway/logout`: ends the session."""

from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.server.session_changes import sign_out
from gateway.spine.answers import query_value


async def logout(context: RequestContext) -> LocalResponse:
    """End the session of the request, clear the gateway's cookies, and redirect.

    Returns 303 to `return_to` (a form field, else in the query), else to `/`; 204 for
    scripts; 403 for a form on another origin, including sibling hosts; 400 for an
    address that is not allowed. The response without a session is the same.

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
    in_query = query_value(context.head.target.query, "return_to")
    wanted = form.get("return_to", in_query or "/")
    location = context.rules.answers.safe_return_to(wanted)
    if location is None:
        context.ended_as(Verdict.REFUSE, Reason.BAD_RETURN_TO)
        reply = context.rules.answers.problem(400, Reason.BAD_RETURN_TO, context.head)
        return LocalResponse(reply=reply)
    cookies = await sign_out("this", context)
    if not is_navigation(context.head) and context.head.sec_fetch_mode is not None:
        return LocalResponse(
            reply=Reply(status=204, headers=(), body=b""), cookies=tuple(cookies)
        )
    return LocalResponse(
        reply=context.rules.answers.redirect(context.head, location),
        cookies=tuple(cookies),
    )
