"""The ends of a request that do not lead to its answer.

Before the first byte of an answer a failure is a reply; after it a failure is an
abort, never a second reply.
"""

from typing import Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from gateway.errors import (
    BadAnswer,
    ConnectFailed,
    StoreUnavailable,
    TooManyAttempts,
    UpstreamBusy,
    UpstreamTimeout,
)
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason
from gateway.server.body import BodyStalled, BodyTooLarge
from gateway.server.exchange import Answered, Exchange
from gateway.server.sending import own_reply
from gateway.server.serving import Serving
from gateway.server.sign_in_posts import give_back
from gateway.server.story import Story
from gateway.server.tools import Tools

_FAILURES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (StoreUnavailable, Reason.STORE_UNAVAILABLE),
    (ConnectFailed, Reason.UPSTREAM_UNREACHABLE),
    (UpstreamBusy, Reason.UPSTREAM_BUSY),
    (UpstreamTimeout, Reason.UPSTREAM_TIMEOUT),
    (BadAnswer, Reason.UPSTREAM_BAD_ANSWER),
    (BodyTooLarge, Reason.BODY_TOO_LARGE),
    (BodyStalled, Reason.REQUEST_TIMEOUT),
    (RequestPayloadError, Reason.BAD_FRAMING),
    (HttpProcessingError, Reason.BAD_FRAMING),
)
"""What may be raised on the way, and the word for it."""

FAILURES: Final = tuple(error for error, _ in _FAILURES)
"""What has a name; anything else is a mistake of ours."""


async def refuse(
    exchange: Exchange,
    serving: Serving,
    story: Story,
    tools: Tools,
    refusal: BadRequest,
) -> Answered:
    """Answer a request that breaks the rules, and close the connection."""
    story.decision, story.reason = "refuse", refusal.reason
    story.peer = exchange.client.peer
    reply = serving.replies.to_bad_request(refusal, request_id=story.request_id)
    # What comes after a request that broke the rules is not to be trusted to
    # begin where we think it does.
    return await own_reply(exchange, story.head, story, tools, reply, close=True)


async def limit(
    exchange: Exchange,
    serving: Serving,
    story: Story,
    tools: Tools,
    limited: TooManyAttempts,
) -> Answered:
    """Answer 429 to an address that failed too often (RFC 6585, section 4)."""
    story.decision, story.reason = "refuse", Reason.TOO_MANY_ATTEMPTS
    if story.head is None:
        return abort(exchange)
    reply = serving.replies.problem(
        429,
        story.reason,
        story.head,
        extra=(("Retry-After", str(limited.retry_after)),),
    )
    cookies = serving.clear_cookies if limited.clear else ()
    try:
        return await own_reply(exchange, story.head, story, tools, reply, cookies)
    except ConnectionError:
        return abort(exchange)


async def fail(
    exchange: Exchange,
    serving: Serving,
    story: Story,
    tools: Tools,
    error: Exception,
) -> Answered:
    """Answer a request that something went wrong with, or break its answer off."""
    story.decision = "error"
    if story.sign_in_post is not None:
        give_back(story.sign_in_post, serving, tools)
    story.reason = next(
        (reason for kind, reason in _FAILURES if isinstance(error, kind)),
        Reason.INTERNAL,
    )
    if story.cut is not None:
        story.reason = story.cut
        return abort(exchange)
    tools.report.failed(story, error)
    if story.answered or story.head is None:
        return abort(exchange)
    reply = serving.replies.to_failure(story.reason, story.head)
    try:
        return await own_reply(exchange, story.head, story, tools, reply, close=True)
    except ConnectionError:
        return abort(exchange)


def abort(exchange: Exchange) -> Answered:
    """Break off, so that what was sent cannot be taken for a whole answer."""
    exchange.client.cut_off()
    return Answered(keep_alive=False)


def note_broken_off(story: Story) -> None:
    """Note why there will be no whole answer: the client left, or we cut it off."""
    story.status = story.status or 499
    if story.cut is not None:
        story.reason = story.cut
    elif story.status != 101:
        # A WebSocket is over when its client goes; that is how most of them end.
        story.reason = Reason.CLIENT_GONE
