"""`POST /.gateway/logout`: one button that ends the session."""

from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse, read_form
from gateway.server.session_changes import sign_out


async def logout(context: RequestContext) -> LocalResponse:
    """End the session of the request, clear our cookies, send the browser on.

    Answers 303 to `return_to` (a form field), else to `/`; 204 to a program; 403
    to a form of another origin, a sibling host too; 400 to an address that is not
    allowed. Without a session it answers the same: to be signed out is what was asked for.

    Raises:
        StoreUnavailable: it is not known whether the session ended; no cookie is
            cleared, so that the person can try again.
    """
    if is_cross_origin(context.head, context.rules.policy.public_origin):
        context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
        return LocalResponse(
            reply=context.rules.answers.problem(403, Reason.CROSS_SITE, context.head)
        )
    form = await read_form(context)
    wanted = form.get("return_to", "/")
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
