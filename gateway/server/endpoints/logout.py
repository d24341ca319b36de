"""`POST /.gateway/logout`: one button that ends the session."""

from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_origin, is_navigation
from gateway.pages.reply import Reply
from gateway.reasons import Reason
from gateway.server.endpoints.answered import OwnAnswer, read_form
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving
from gateway.server.session_changes import sign_out
from gateway.server.story import Story
from gateway.server.tools import Tools


async def logout(
    exchange: Exchange,
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> OwnAnswer:
    """End the session of the request, clear our cookies, send the browser on.

    Answers 303 to `return_to` (a form field), else to `/`; 204 to a program; 403
    to a form on another origin, a sibling host too; 400 to an address that is not allowed. Without a
    session it answers the same: to be signed out is what was asked for.

    Raises:
        StoreUnavailable: it is not known whether the session ended; no cookie is
            cleared, so that the person can try again.
    """
    if is_cross_origin(head, serving.policy.public_origin):
        story.decision, story.reason = "deny", Reason.CROSS_SITE
        return OwnAnswer(reply=serving.replies.problem(403, Reason.CROSS_SITE, head))
    form = await read_form(exchange, head)
    wanted = form.get("return_to", "/")
    location = serving.replies.safe_return_to(wanted)
    if location is None:
        story.decision, story.reason = "refuse", Reason.BAD_RETURN_TO
        reply = serving.replies.problem(400, Reason.BAD_RETURN_TO, head)
        return OwnAnswer(reply=reply)
    cookies = await sign_out("this", head, serving, story, tools)
    if not is_navigation(head) and head.sec_fetch_mode is not None:
        return OwnAnswer(
            reply=Reply(status=204, headers=(), body=b""), cookies=tuple(cookies)
        )
    return OwnAnswer(
        reply=serving.replies.redirect(head, location), cookies=tuple(cookies)
    )
