"""Sends a request that may pass to its upstream, and brings the answer back."""

from collections.abc import Coroutine, Sequence

from gateway.http.head import RequestHead
from gateway.outbound import OutboundRequest
from gateway.proxy.response import UpstreamResponse
from gateway.reasons import Reason
from gateway.server.admitted import Admitted
from gateway.server.answer import AnswerRules
from gateway.server.app_answers import heed_answer
from gateway.server.body import ClientBody
from gateway.server.credentials import Credentials
from gateway.server.exchange import Answered, Exchange
from gateway.server.hand_off import read_hand_off
from gateway.server.obey import obey
from gateway.server.sending import relay, send_whole, wait_for
from gateway.server.serving import Application, Serving
from gateway.server.sign_in_posts import settle_sign_in_post
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
    began = tools.edge.ticks()
    if head.websocket is not None:
        opened = await application.upstream.open_tunnel(
            outbound.encode(),
            key=head.websocket.key,
            offered_protocols=_protocols(head.websocket.protocols),
        )
        if not isinstance(opened, UpstreamResponse):
            story.upstream_time = tools.edge.ticks() - began
            return await run_tunnel(
                exchange, head, opened, credentials.set_cookies, serving, story, tools
            )
        response = opened
    elif head.has_body:
        response = await _upload(
            exchange, head, application, outbound, serving, story, tools
        )
    else:
        response = await application.upstream.send(
            outbound.encode(),
            method=head.method,
            body=None,
            # RFC 9110, section 9.2.2: only what is idempotent may be sent again.
            retriable=head.method in {"GET", "HEAD", "OPTIONS"},
        )
    story.upstream_time = tools.edge.ticks() - began
    try:
        cookies = await _session_cookies(
            response, application, credentials.set_cookies, head, serving, story, tools
        )
        rules = _answer_rules(serving, story)
        patience = application.idle
        content = response.complete_body()
        if content is None:
            passing = relay(
                exchange, head, story, tools, response, rules, cookies, patience
            )
            return await _while_allowed(
                passing, exchange, response, serving, story, tools
            )
        answered = send_whole(
            exchange, head, story, tools, response, rules, cookies, content
        )
        if exchange.client.writing_paused:
            await wait_for(exchange.client, patience)
    except BaseException:
        response.abort()
        raise
    return answered


async def _session_cookies(
    response: UpstreamResponse,
    application: Application,
    cookies: Sequence[str],
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Sequence[str]:
    """Carry out what an answer does to sessions; return the cookies to set.

    Raises:
        BadAnswer, StoreUnavailable: as `obey`.
    """
    if serving.foreign is not None:
        await heed_answer(response.headers, head, serving, story, tools)
    hand_off = read_hand_off(response.headers)
    if story.sign_in_post is not None:
        await settle_sign_in_post(
            story.sign_in_post, response, hand_off, head, serving, tools
        )
    if hand_off is not None:
        return await obey(hand_off, application, cookies, head, serving, story, tools)
    if cookies and tools.streams.was_revoked(story.session_key):
        # Whoever signed in again while this answer was waited for holds a new
        # cookie, which the longer life of the old one must not replace.
        return ()
    return cookies


async def _upload(
    exchange: Exchange,
    head: RequestHead,
    application: Application,
    outbound: OutboundRequest,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> UpstreamResponse:
    """Send a request with a body; broken off when its session ends meanwhile.

    A body that is whole is let be: it may be of the very request that ends the
    session.
    """
    sending = _send_with_body(exchange, head, application, outbound, serving)
    if story.session_key is None or exchange.payload.is_eof():
        return await sending

    def cut(reason: Reason) -> None:
        if reason is not Reason.DRAINING and not exchange.payload.is_eof():
            story.cut = reason
            exchange.client.cut_off()

    stream = OpenStream(
        key=story.session_key,
        end=cut,
        admitted=Admitted(story=story, serving=serving),
        judged_by=serving,
    )
    tools.streams.add(stream)
    try:
        return await sending
    finally:
        tools.streams.remove(stream)


async def _send_with_body(
    exchange: Exchange,
    head: RequestHead,
    application: Application,
    outbound: OutboundRequest,
    serving: Serving,
) -> UpstreamResponse:
    upstream = application.upstream
    body = ClientBody(
        exchange.payload,
        chunked=head.chunked,
        limit=serving.limits.body_bytes,
        idle=application.body_idle,
        least_rate=application.body_rate,
        send=exchange.client.send,
        expects_continue=head.expect_continue,
    )
    await body.wait_for_first_part(upstream.is_crowded)
    return await upstream.send(
        outbound.encode(), method=head.method, body=body, retriable=False
    )


async def _while_allowed(
    passing: Coroutine[None, None, Answered],
    exchange: Exchange,
    response: UpstreamResponse,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Answered:
    """Relay a stream for as long as its session lives and its route lets it in.

    An endless one ends at once when the gateway is to stop: its client connects
    again by itself, and no time would be enough.
    """
    endless = _is_endless(response)

    def cut(reason: Reason) -> None:
        if reason is Reason.DRAINING and not endless:
            # A body has an end of its own, and draining waits for it.
            return
        # There is no frame that could say why in the middle of an HTTP body: the
        # answer breaks off, and the next request of the page is told the reason.
        story.cut = reason
        response.abort()
        exchange.client.cut_off()

    stream = OpenStream(
        key=story.session_key,
        end=cut,
        admitted=Admitted(story=story, serving=serving, reconnects=endless),
        judged_by=serving,
    )
    tools.streams.add(stream)
    tools.report.opened("stream")
    try:
        return await passing
    finally:
        tools.streams.remove(stream)
        tools.report.closed("stream")


def _is_endless(response: UpstreamResponse) -> bool:
    """Whether this is an event stream, which the client reconnects (HTML, 9.2)."""
    for name, value in response.headers:
        if name.lower() == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False


def _answer_rules(serving: Serving, story: Story) -> AnswerRules:
    """An app whose session cookie was held back may not replace it by a new one."""
    unasked = story.lookup_outcome == "error"
    return serving.answers_unasked if unasked else serving.answers


def _protocols(offered: str | None) -> list[str]:
    return [name.strip() for name in offered.split(",")] if offered else []
