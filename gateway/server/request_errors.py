"""How a request ends that fails or is aborted.

Before the first byte of a response a failure is a response; after it a failure is
an abort, never a second response.
"""

from collections.abc import Coroutine, Sequence
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from gateway.errors import (
    ClientLimit,
    ConnectFailed,
    InvalidUpstreamResponse,
    KeysUnavailable,
    StoreUnavailable,
    TooManyAttempts,
    UpstreamBusy,
    UpstreamTimeout,
)
from gateway.http.head import RequestHead
from gateway.reasons import Reason, Verdict
from gateway.server.body import BodyStalled, BodyTooLarge
from gateway.server.context import RequestContext
from gateway.server.exchange import Exchange, Progress
from gateway.server.sending import send_local
from gateway.server.sign_in_posts import give_back
from gateway.spine.answers import Answer

_FAILURES: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (KeysUnavailable, Reason.PROVIDER_UNAVAILABLE),
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


def settle(context: RequestContext, error: Exception) -> Progress:
    """Respond to a failed request, or abort the response that has begun."""
    if isinstance(error, ConnectionError):
        context.disconnected()
        return abort(context.exchange)
    if isinstance(error, TooManyAttempts):
        return _limit(context, error)
    if not isinstance(error, FAILURES):
        context.services.report.log_unhandled_exception(error, context)
    return _fail(context, error)


def _limit(context: RequestContext, limited: TooManyAttempts) -> Progress:
    """Send a 429 with Retry-After (RFC 6585, section 4)."""
    context.ended_as(Verdict.REFUSE, Reason.TOO_MANY_ATTEMPTS)
    head = context.received_head
    if head is None:
        return abort(context.exchange)
    answer, cookies = limit_answer(context, head, limited)
    return _send(context, answer, cookies)


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


def _fail(context: RequestContext, error: Exception) -> Progress:
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
    return _send(context, answer, close=True)


def _send(
    context: RequestContext,
    answer: Answer,
    cookies: Sequence[str] = (),
    *,
    close: bool = False,
) -> Progress:
    try:
        sent = send_local(context, answer, cookies, close=close)
    except ConnectionError:
        return abort(context.exchange)
    return sent if isinstance(sent, bool) else _or_abort(context, sent)


async def _or_abort(context: RequestContext, sent: Coroutine[None, None, bool]) -> bool:
    try:
        return await sent
    except ConnectionError:
        return abort(context.exchange)


def abort(exchange: Exchange) -> bool:
    """Abort the connection, so that a partial response never looks complete."""
    exchange.client.abort()
    return False
