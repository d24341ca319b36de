"""Bodies that pass piece by piece, while their session is active and their route allows it."""

from collections.abc import Sequence

from gateway.proxy.response import UpstreamResponse
from gateway.reasons import Reason
from gateway.server.admitted import Admitted
from gateway.server.body import ClientBody
from gateway.server.context import RequestContext
from gateway.server.response_head import ResponseHeaderFilter
from gateway.server.runtime import Application
from gateway.server.sending import relay
from gateway.server.streams import OpenStream


async def send_with_body(
    context: RequestContext, application: Application, outbound: bytes
) -> UpstreamResponse:
    """Send the body as it arrives; aborted when its session ends meanwhile.

    A complete body is not aborted: its request may be the one that ends the session.
    """
    exchange = context.exchange
    sending = _send_body(context, application, outbound)
    if context.principal.session_key is None or exchange.payload.is_eof():
        return await sending

    def cut(reason: Reason) -> None:
        if reason is not Reason.DRAINING and not exchange.payload.is_eof():
            context.abort_reason = reason
            exchange.client.abort()

    streams = context.services.streams
    stream = OpenStream(
        key=context.principal.session_key,
        end=cut,
        admitted=Admitted(context=context),
        evaluated_by=context.runtime,
        version=context.principal.session_version,
        started=context.started,
    )
    streams.add(stream)
    try:
        return await sending
    finally:
        streams.remove(stream)


async def _send_body(
    context: RequestContext, application: Application, outbound: bytes
) -> UpstreamResponse:
    exchange, head = context.exchange, context.head
    upstream = application.upstream
    body = ClientBody(
        exchange.payload,
        chunked=head.chunked,
        limit=context.runtime.limits.body_bytes,
        idle=application.body_idle,
        least_rate=application.body_rate,
        send=exchange.client.send,
        expects_continue=head.expect_continue,
    )
    await body.wait_for_first_part(upstream.is_crowded)
    return await upstream.send(outbound, method=head.method, body=body, retriable=False)


async def relay_stream(
    context: RequestContext,
    response: UpstreamResponse,
    rules: ResponseHeaderFilter,
    cookies: Sequence[str],
    patience: float,
) -> bool:
    """Relay a stream while its session is active and its route allows it.

    An endless stream ends as soon as the gateway drains: its client reconnects, and no
    timeout would suffice.
    """
    endless = _is_endless(response)

    def cut(reason: Reason) -> None:
        if reason is Reason.DRAINING and not endless:
            # A finite body; draining waits for its end.
            return
        # An HTTP body cannot carry a reason: the response is aborted, and the page's
        # next request gets the reason.
        context.abort_reason = reason
        response.abort()
        context.exchange.client.abort()

    services = context.services
    stream = OpenStream(
        key=context.principal.session_key,
        end=cut,
        admitted=Admitted(context=context, reconnects=endless),
        evaluated_by=context.runtime,
        version=context.principal.session_version,
        started=context.started,
    )
    services.streams.add(stream)
    services.report.stream_opened("stream")
    try:
        return await relay(context, response, rules, cookies, patience)
    finally:
        services.streams.remove(stream)
        services.report.stream_closed("stream")


def _is_endless(response: UpstreamResponse) -> bool:
    """Return whether this is an event stream, which the client reconnects (HTML, 9.2)."""
    for field in response.received.fields:
        if field.folded == b"content-type":
            return field.value.lower().startswith(b"text/event-stream")
    return False
