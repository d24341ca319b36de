"""Sends a request that may pass to its upstream, and brings the answer back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gateway.errors import BadAnswer, StoreUnavailable
from gateway.http.head import RequestHead
from gateway.outbound import OutboundRequest
from gateway.proxy.response import UpstreamResponse
from gateway.reasons import Reason
from gateway.server.answer import AnswerRules
from gateway.server.app_answers import heed_answer
from gateway.server.body import ClientBody
from gateway.server.credentials import Credentials
from gateway.server.exchange import Answered, Exchange
from gateway.server.hand_off import BadHandOff, SignIn, SignOut, read_hand_off
from gateway.server.sending import relay
from gateway.server.serving import Application, Serving
from gateway.server.session_changes import sign_in, sign_out
from gateway.server.story import Story
from gateway.server.streams import OpenStream
from gateway.server.tools import Tools
from gateway.server.websocket import run_tunnel


async def forward(
    *,
    exchange: Exchange,
    head: RequestHead,
    application: Application,
    outbound: OutboundRequest,
    credentials: Credentials,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Answered:
    """Forward one request; the body streams both ways.

    Raises:
        UpstreamError, BodyTooLarge, BodyStalled, StoreUnavailable: before the
            first byte of the answer (then `story.answered` is still False) or in
            the middle of it.
        ConnectionError: the client is gone.
    """
    story.upstream = application.view.name
    upstream = application.upstream
    began = tools.edge.ticks()
    if head.websocket is not None:
        opened = await upstream.open_tunnel(
            outbound.encode(),
            key=head.websocket.key,
            offered_protocols=_protocols(head.websocket.protocols),
        )
        story.upstream_time = tools.edge.ticks() - began
        if not isinstance(opened, UpstreamResponse):
            return await run_tunnel(
                exchange, head, opened, credentials.set_cookies, serving, story, tools
            )
        response = opened
    else:
        body = (
            ClientBody(
                exchange.payload,
                chunked=head.chunked,
                limit=serving.limits.body_bytes,
                idle=application.idle,
                send=exchange.client.send,
                expects_continue=head.expect_continue,
            )
            if head.has_body
            else None
        )
        with _upload_of(story.session_key, exchange, story, tools):
            response = await upstream.send(
                outbound.encode(),
                method=head.method,
                body=body,
                # RFC 9110, section 9.2.2: only what is idempotent may be sent again.
                retriable=body is None and head.method in {"GET", "HEAD", "OPTIONS"},
            )
        story.upstream_time = tools.edge.ticks() - began
    try:
        cookies = await _obey(
            response, application, credentials.set_cookies, head, serving, story, tools
        )
        return await _relay(
            exchange, head, response, cookies, application.idle, serving, story, tools
        )
    except BaseException:
        response.abort()
        raise


@contextmanager
def _upload_of(
    key: str | None, exchange: Exchange, story: Story, tools: Tools
) -> Iterator[None]:
    """Break a request off whose body still comes when its session ends.

    One that is whole is let be: it may be the very one that ends the session.
    """
    if key is None or exchange.payload.is_eof():
        yield
        return

    def cut(reason: Reason) -> None:
        if reason is not Reason.DRAINING and not exchange.payload.is_eof():
            story.cut = reason
            exchange.client.cut_off()

    stream = OpenStream(key=key, end=cut)
    tools.streams.add(stream)
    try:
        yield
    finally:
        tools.streams.remove(stream)


async def _relay(
    exchange: Exchange,
    head: RequestHead,
    response: UpstreamResponse,
    cookies: Sequence[str],
    patience: float,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Answered:
    whole = response.complete_body()
    key = story.session_key
    passing = relay(
        exchange,
        head,
        story,
        tools,
        response,
        _answer_rules(serving, story),
        cookies,
        whole,
        patience,
    )
    if key is None or whole is not None:
        return await passing

    def cut(reason: Reason) -> None:
        if reason is Reason.DRAINING:
            # A body has an end of its own, and draining waits for it.
            return
        # There is no frame that could say why in the middle of an HTTP body: the
        # answer breaks off, and the next request of the page is told the reason.
        story.cut = reason
        response.abort()
        exchange.client.cut_off()

    stream = OpenStream(key=key, end=cut)
    tools.streams.add(stream)
    tools.report.opened("stream")
    try:
        return await passing
    finally:
        tools.streams.remove(stream)
        tools.report.closed("stream")


async def _obey(
    response: UpstreamResponse,
    application: Application,
    cookies: Sequence[str],
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Sequence[str]:
    """Obey a sign-in or sign-out in the answer; gives the cookies to set."""
    if serving.foreign is not None:
        await heed_answer(response.headers, head, serving, story, tools)
    hand_off = read_hand_off(response.headers)
    if hand_off is None:
        # Whoever signed in again while this answer was waited for holds a new
        # cookie, which the longer life of the old one must not replace.
        return () if tools.streams.was_revoked(story.session_key) else cookies
    if not application.may_sign_in or tools.own is None:
        tools.report.audit("hand_off_refused", story, upstream=application.view.name)
        return cookies
    try:
        match hand_off:
            case BadHandOff(why=why):
                raise BadAnswer(why)
            case SignIn():
                return await sign_in(hand_off, tools.own, head, serving, story, tools)
            case SignOut(which=which):
                return await sign_out(which, head, serving, story, tools)
    except ValueError as error:
        response.abort()
        raise BadAnswer(str(error)) from error
    except StoreUnavailable:
        # The app believes that the person is signed in (or out), the store was
        # never told: its answer would be a lie, so it is not passed on.
        response.abort()
        raise


def _answer_rules(serving: Serving, story: Story) -> AnswerRules:
    """An app whose session cookie was held back may not replace it by a new one."""
    unasked = story.lookup_outcome == "error"
    return serving.answers_unasked if unasked else serving.answers


def _protocols(offered: str | None) -> list[str]:
    return [name.strip() for name in offered.split(",")] if offered else []
