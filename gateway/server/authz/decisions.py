"""Answers a front proxy: reads the request that it asks about, evaluates it, replies.

The evaluation is that of the proxy path, with the same store, attempts and reports. Only
the last step differs: a request that is forwarded there is a 200 here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from gateway.authz.families import FrontProxyError, read_described
from gateway.authz.mode import Mode, mode_of
from gateway.authz.replies import allow_reply, cookie_fields, deny_reply
from gateway.errors import TooManyAttempts
from gateway.http.connection_options import connection_options
from gateway.http.fields import Fields, sort_fields
from gateway.http.head import BadRequest, RequestHead
from gateway.http.lines import PlainHead
from gateway.pages.reply import Reply
from gateway.reasons import Reason, Verdict
from gateway.server.authz.advice import Advice
from gateway.server.context import RequestContext, Services
from gateway.server.exchange import Progress
from gateway.server.forward import begin_forward
from gateway.server.pipeline import Pipeline, evaluate, evaluate_again
from gateway.server.read_request import check_size, reads_html
from gateway.server.request_errors import (
    FAILURES,
    abort,
    failure_reason,
    limit_answer,
)
from gateway.server.response_head import encode_local_response
from gateway.server.runtime import Runtime
from gateway.server.steps import RequestHandler
from gateway.spine.answers import Answer, Problem
from gateway.spine.conclude import refuse
from gateway.spine.outcome import Forward, Local, Outcome, Respond

Cookies: TypeAlias = Sequence[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """The response to a check, before it is encoded."""

    reply: Reply
    cookies: Cookies = ()


class Decisions(RequestHandler):
    """Handles each check by the configuration that is active on the proxy path."""

    def __init__(self, pipeline: Pipeline, services: Services, advice: Advice) -> None:
        super().__init__(services, self._decide)
        self._pipeline = pipeline
        self._advice = advice

    @property
    def runtime(self) -> Runtime:  # type: ignore[override] # that of the proxy path
        """The active configuration."""
        return self._pipeline.runtime

    def _decide(self, context: RequestContext, span_id: str, _: None) -> Progress:
        exchange, runtime = context.exchange, context.runtime
        message = exchange.message
        if isinstance(message, BadRequest):
            return _send(context, _refused(context, None, message))
        fields: Fields | BadRequest
        if isinstance(message, PlainHead):
            own_target, fields = message.target, message.fields
        else:
            own_target = message.path
            limit = runtime.limits.header_bytes
            if exchange.maybe_oversized and (
                too_large := check_size(message.raw_headers, limit)
            ):
                return _send(context, _refused(context, None, too_large))
            fields = sort_fields(message.raw_headers)
        mode = mode_of(own_target)
        if mode is None:
            refusal = BadRequest(
                status=404, reason=Reason.NO_ROUTE, detail="there is no such endpoint"
            )
            return _send(context, _refused(context, None, refusal))
        context.mode = str(mode)
        peer, checks, key = exchange.client.peer, runtime.known_checks, exchange.key
        known = None if key is None else checks.get(key) or checks.find(key)
        if known is not None:
            return evaluate_again(context, known, span_id, forwards=False)
        head = read_described(
            mode,
            method=message.method,
            raw_target=own_target,
            fields=fields,
            peer=peer,
            rules=runtime.head_rules,
        )
        match head:
            case RequestHead():
                context.received(head, span_id)
                return evaluate(context, head, forwards=False, keep_in=checks, key=key)
            case BadRequest():
                return _send(context, _refused(context, mode, head))
            case FrontProxyError():
                about = peer or "a Unix socket"
                self._advice.give(mode, head.detail, head.setting, about)
                refusal = BadRequest(
                    status=head.status, reason=head.reason, detail=head.detail
                )
                # As it is: the front proxy is at fault, not its client.
                return _send(context, _refused(context, None, refusal))
            case _ as never:
                assert_never(never)

    def perform(self, context: RequestContext, outcome: Outcome) -> Progress:
        """See Handler."""
        return _send(context, self._performed(context, outcome))

    def _performed(self, context: RequestContext, outcome: Outcome) -> Decision:
        mode, head = Mode(context.mode), context.head
        match outcome:
            case Forward():
                begin_forward(context, outcome)
                context.upstream = None  # this process sends it nothing
                return _decision(mode, allow_reply(mode, outcome), outcome.set_cookies)
            case Respond():
                return _responded(context, mode, outcome)
            case Local():
                self._advice.give(mode, _LOCAL, _LOCAL_SETTING, head.target.path)
                context.ended_as(Verdict.REFUSE, Reason.NO_ROUTE)
                return _denied(context, mode, context.rules.answers.no_route(head))
            case _ as never:
                assert_never(never)

    def settle(self, context: RequestContext, error: Exception) -> Progress:
        """See Handler; never a 200."""
        head = context.received_head
        try:
            if isinstance(error, ConnectionError):
                context.disconnected()
                return abort(context.exchange)
            if head is not None and isinstance(error, TooManyAttempts):
                context.ended_as(Verdict.REFUSE, Reason.TOO_MANY_ATTEMPTS)
                answer, cookies = limit_answer(context, head, error)
                return _send(
                    context, _denied(context, Mode(context.mode), answer, cookies)
                )
            if head is not None and isinstance(error, FAILURES):
                context.ended_as(Verdict.ERROR, failure_reason(error))
                context.services.report.request_failed(context, error)
                failure = context.rules.answers.to_failure(context.reason, head)
                return _send(context, _denied(context, Mode(context.mode), failure))
            context.services.report.log_unhandled_exception(error, context)
            return _failed(context)
        except ConnectionError:
            context.disconnected()
            return abort(context.exchange)


def _refused(
    context: RequestContext, mode: Mode | None, refusal: BadRequest
) -> Decision:
    """Return the refusal of a request that is not valid; None: of the check itself."""
    html = mode is not None and reads_html(context.exchange.message)
    outcome = refuse(refusal, context.rules, html=html)
    return _responded(context, mode or Mode.FORWARD_AUTH, outcome)


def _responded(context: RequestContext, mode: Mode, outcome: Respond) -> Decision:
    """Return the response of the proxy path, as the front proxy passes it on.

    The connection stays open: it is that of the front proxy, which framed the check.
    """
    context.refused(outcome)
    return _denied(context, mode, outcome.answer, outcome.cookies)


def _denied(
    context: RequestContext, mode: Mode, answer: Answer, cookies: Cookies = ()
) -> Decision:
    head, pages = context.received_head, context.runtime.pages
    reply = deny_reply(mode, answer, head, pages, context.request_id)
    return _decision(mode, reply, cookies)


def _decision(mode: Mode, reply: Reply, cookies: Cookies) -> Decision:
    if not cookies:
        return Decision(reply)
    kept, further = cookie_fields(mode, cookies)
    if further:
        headers = (*reply.headers, *further)
        reply = Reply(status=reply.status, headers=headers, body=reply.body)
    return Decision(reply, kept)


def _failed(context: RequestContext) -> bool:
    """Send a 500, or abort a response that has begun."""
    context.ended_as(Verdict.ERROR, Reason.INTERNAL)
    if context.responded:
        return abort(context.exchange)
    answer = Problem(status=500, reason=Reason.INTERNAL, html=False)
    try:
        return _send(context, _denied(context, Mode.FORWARD_AUTH, answer))
    except ConnectionError:
        return abort(context.exchange)


def _send(context: RequestContext, decision: Decision) -> bool:
    """Send the response to a check; its framing is that of the check, not of the request.

    Raises:
        ConnectionError: the front proxy disconnected.
    """
    exchange, reply = context.exchange, decision.reply
    keep_alive, head_only = _framing(context)
    context.status, context.responded = reply.status, True
    context.body_bytes = 0 if head_only else len(reply.body)
    exchange.client.send(
        encode_local_response(
            reply,
            head_only=head_only,
            keep_alive=keep_alive,
            request_id=context.request_id,
            set_cookies=decision.cookies,
            now=context.now,
        )
    )
    return keep_alive


def _framing(context: RequestContext) -> tuple[bool, bool]:
    """Return whether the connection stays open, and whether the check is a HEAD."""
    exchange = context.exchange
    message = exchange.message
    if isinstance(message, BadRequest):
        return False, False
    if isinstance(message, PlainHead):
        options = connection_options(message.fields.values.get("connection", ""))
        keep_alive = "close" not in options and not context.services.draining
        return keep_alive, message.method == "HEAD"
    keep_alive = (
        message.version == (1, 1)
        and not message.should_close
        and not message.upgrade
        # An unread body could be parsed as the next check.
        and exchange.payload.is_eof()
        and not context.services.draining
    )
    return keep_alive, message.method == "HEAD"


_LOCAL: Final = "asks about a path that the gateway itself answers"
_LOCAL_SETTING: Final = (
    "forward /.gateway/ to server.listen, without asking for a decision"
)
