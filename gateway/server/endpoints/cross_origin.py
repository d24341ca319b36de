"""Responses that pages of `server.cors_origins` may read, and their preflights."""

from dataclasses import replace

from gateway.http.cors import cors_headers, preflight_headers
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.endpoints.local_response import LocalResponse
from gateway.spine.answers import Redirect


def readable(answer: LocalResponse, context: RequestContext) -> LocalResponse:
    """Return the response with the fields by which a listed page may read it."""
    extra = cors_headers(context.head, context.rules.page_origins)
    reply = answer.reply
    if not extra or isinstance(reply, Redirect):
        return answer
    return replace(answer, reply=replace(reply, headers=(*reply.headers, *extra)))


async def preflight(context: RequestContext) -> LocalResponse:
    """Return 204 for the preflight of a listed page; 403 for any other OPTIONS."""
    headers = preflight_headers(context.head, context.rules.page_origins)
    if headers is None:
        context.ended_as(Verdict.DENY, Reason.CROSS_SITE)
        answers = context.rules.answers
        return LocalResponse(
            reply=answers.problem(403, Reason.CROSS_SITE, context.head)
        )
    return LocalResponse(reply=Reply(status=204, headers=headers, body=b""))
