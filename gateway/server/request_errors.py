"""How a request ends that fails or is aborted.

Before the first byte of a response a failure is a response; after it a failure is
an abort, never a second response.
"""

from collections.abc import Sequence
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from gateway.errors import (
    ClientLimit,
    ConnectFailed,
    InvalidUpstreamResponse,
    StoreUnavailable,
    TooManyAttempts,
    UpstreamBusy,
    UpstreamTimeout,
)
from gateway.http.head import RequestHead
from gateway.reasons import Reason, Verdict
from gateway.server.body import BodyStalled, BodyTooLarge
from gateway.server.context import RequestContext
from gateway.server.exchange import Exchange, ExchangeResult
from gateway.server.sending import send_local
from gateway.server.sign_in_posts import give_back
from gateway.spine.answers import Answer

_FAILURES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (StoreUnavailable, Reason.STORE_UNAVAILABLE),
    (ConnectFailed, Reason.UPSTREAM_UNREACHABLE),
    (UpstreamBusy, Reason.UPSTREAM_BUSY),
    (ClientLimit, Reason.CLIENT_LIMIT),
    (UpstreamTimeout, Reason.UPSTREAM_TIMEOUT),
    (InvalidUpstreamResponse, Reason.UPSTREAM_BAD_ANSWER),
    (BodyTooLarge, Reason.BODY_TOO_LARGE),
    (BodyStalled, Reason.REQUEST_TIMEOUT),
    (RequestPayloadError, Reason.BAD_FRAMING),
    (HttpProcessingError, Reason.BAD_FRAMING),
)
"""Expected exceptions and their reasons."""

FAILURES: Final = tuple(error for error, _ in _FAILURES)
"""Any other exception is a defect."""


async def limit(context: RequestContext, limited: TooManyAttempts) -> ExchangeResult:
    """Send a 429 with Retry-After (RFC 6585, section 4)."""
    context.ended_as(Verdict.REFUSE, Reason.TOO_MANY_ATTEMPTS)
    head = context.received_head
    if head is None:
        return abort(context.exchange)
    answer, cookies = limit_answer(context, head, limited)
    try:
        return await send_local(context, answer, cookies)
    except ConnectionError:
        return abort(context.exchange)


def limit_answer(
    context: RequestContext, head: RequestHead, limited: TooManyAttempts
) -> tuple[Answer, Sequence[str]]:
    """Return the 429, and the Set-Cookie values that come with it."""
    retry_after = ("Retry-After", str(limited.retry_after))
    answer = context.rules.answers.problem(
        429, Reason.TOO_MANY_ATTEMPTS, head, headers=(retry_after,)
    )
    return answer, context.rules.clear_cookies if limited.clear else ()


def failure_reason(error: Exception) -> Reason:
    """Return the reason of an exception; `internal` for an unexpected one."""
    return next(
        (reason for kind, reason in _FAILURES if isinstance(error, kind)),
        Reason.INTERNAL,
    )


async def fail(context: RequestContext, error: Exception) -> ExchangeResult:
    """Send the response to a failed request, or abort the one that has begun."""
    context.verdict = Verdict.ERROR
    if context.sign_in_post is not None:
        give_back(context.sign_in_post, context)
    context.reason = failure_reason(error)
    if context.abort_reason is not None:
        context.reason = context.abort_reason
        return abort(context.exchange)
    context.services.report.request_failed(context, error)
    head = context.received_head
    if context.responded or head is None:
        return abort(context.exchange)
    answer = context.rules.answers.to_failure(context.reason, head)
    try:
        return await send_local(context, answer, close=True)
    except ConnectionError:
        return abort(context.exchange)


def abort(exchange: Exchange) -> ExchangeResult:
    """Abort the connection, so that a partial response never looks complete."""
    exchange.client.abort()
    return ExchangeResult(keep_alive=False)


def note_disconnect(context: RequestContext) -> None:
    """Record why the response is incomplete: status 499, as in nginx, or the abort reason."""
    context.status = context.status or 499
    if context.abort_reason is not None:
        context.reason = context.abort_reason
    elif context.status != 101:
        # A client that closes its WebSocket is the normal end.
        context.reason = Reason.CLIENT_GONE
