"""Performs a Forward: sends the request to its upstream and relays the response."""

from collections.abc import Coroutine, Sequence

from gateway.http.head import RequestHead
from gateway.http.response_fields import RESERVED
from gateway.outbound import OutboundRequest
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.tunnel import Tunnel
from gateway.reasons import Reason, Verdict
from gateway.server.admitted import Admitted
from gateway.server.app_cookies import track_app_cookies
from gateway.server.apply_sign_in_headers import apply_sign_in_headers
from gateway.server.body import ClientBody
from gateway.server.context import RequestContext
from gateway.server.exchange import ExchangeResult
from gateway.server.restored_prefix import restored
from gateway.server.runtime import Application
from gateway.server.sending import relay, send_whole, wait_for
from gateway.server.shares import share_key
from gateway.server.sign_in_headers import read_sign_in_headers
from gateway.server.sign_in_posts import begin_sign_in_post, settle_sign_in_post
from gateway.server.streams import OpenStream
from gateway.server.websocket import run_tunnel
from gateway.sessions.authenticate import Authenticated
from gateway.spine.outcome import Forward


async def forward(context: RequestContext, outcome: Forward) -> ExchangeResult:
    """Forward one request; bodies are streamed in both directions.

    Raises:
        TooManyAttempts: a sign-in from an address with too many failures.
        ClientLimit: the client holds its share of the upstream.
        UpstreamError, BodyTooLarge, BodyStalled, StoreUnavailable: before the
            first byte of the response (then `context.responded` is still False) or
            in the middle of it.
        ConnectionError: the client disconnected.
    """
    application = context.runtime.applications[outcome.view.name]
    head, ticks = outcome.access.head, context.services.edge.ticks
    if head.method == "POST":
        begin_sign_in_post(context, application, outcome.access)
    begin_forward(context, outcome)
    shares, address = application.shares, share_key(head.client)
    identity = context.identity_id
    if not shares.take(address, identity):
        await shares.wait(address, identity)
    try:
        began = ticks()
        try:
            response = await _send(context, application, outcome.outbound, head)
        finally:
            context.upstream_time = ticks() - began
        if not isinstance(response, UpstreamResponse):
            return await run_tunnel(context, response, outcome.set_cookies)
        try:
            return await _respond(context, application, response, outcome.set_cookies)
        except BaseException:
            response.abort()
            raise
    finally:
        shares.give_back(address, identity)


def _send(
    context: RequestContext,
    application: Application,
    outbound: OutboundRequest,
    head: RequestHead,
) -> Coroutine[None, None, UpstreamResponse | Tunnel]:
    """Send the request; return its response, or the tunnel of an accepted handshake."""
    upstream = application.upstream
    if head.websocket is not None:
        return upstream.open_tunnel(
            outbound.encode(),
            key=head.websocket.key,
            offered_protocols=_protocols(head.websocket.protocols),
        )
    if head.content_length or head.chunked:
        return _upload(context, application, outbound.encode())
    return upstream.send(
        outbound.encode(),
        method=head.method,
        body=None,
        # RFC 9110, section 9.2.2: only what is idempotent may be sent again.
        retriable=head.method in {"GET", "HEAD", "OPTIONS"},
    )


def begin_forward(context: RequestContext, outcome: Forward) -> None:
    """Record what is allowed, and start the writes that no response waits for."""
    services, access = context.services, outcome.access
    context.verdict, context.reason = Verdict.ALLOW, outcome.reason
    context.route, context.upstream = access.route, outcome.view.name
    who = access.authentication
    if isinstance(who, Authenticated):
        context.identity_id = who.session.identity.id
        context.session_id, context.session_key = who.session.id, who.key
        context.session_version = who.session.version
        tenant = access.known_tenant
        context.tenant_id = None if tenant is None else tenant.id
    for use in outcome.tokens:
        services.report.token_used(use.profile, signed=use.signed)
    if outcome.view.identity.unsent:
        services.report.headers_not_sent(outcome.view)
    if (
        outcome.stale
        and context.session_key is not None
        and services.renewer is not None
    ):
        services.renewer.start(context.session_key, context.runtime)
    write = outcome.write
    if write is not None:
        # Of an app's sessions none is written; of its users' access tokens the use is.
        services.run_in_background(
            services.tokens.replace(write.key, write.old, write.new)
        )


async def _respond(
    context: RequestContext,
    application: Application,
    response: UpstreamResponse,
    cookies: Sequence[str],
) -> ExchangeResult:
    runtime = context.runtime
    if runtime.rules.external is not None:
        await track_app_cookies(response.headers, context)
    instruction = (
        read_sign_in_headers(response.headers)
        if response.received.roles & RESERVED
        else None
    )
    post = context.sign_in_post
    if post is not None:
        await settle_sign_in_post(post, response, instruction, context)
    if instruction is not None:
        cookies = await apply_sign_in_headers(
            instruction, application, cookies, context
        )
    elif cookies and context.services.streams.was_revoked(context.session_key):
        # A user who signed in again while this response was awaited holds a new
        # cookie, which the longer life of the old one must not replace.
        cookies = ()
    if application.view.restored_prefix:
        head = restored(response.end_to_end, application.view, context)
        response.replace_head(head)
    # An application that did not receive the session cookie must not replace it.
    unasked = context.lookup_result == "error"
    rules = runtime.responses_unasked if unasked else runtime.responses
    content = response.complete_body()
    if content is None:
        relayed = relay(context, response, rules, cookies, application.idle)
        return await _while_allowed(relayed, response, context)
    answered = send_whole(context, response, rules, cookies, content)
    client = context.exchange.client
    if client.writing_paused:
        await wait_for(client, application.idle)
    return answered


async def _upload(
    context: RequestContext, application: Application, outbound: bytes
) -> UpstreamResponse:
    """Send a request with a body; aborted when its session ends meanwhile.

    A complete body is not aborted: its request may be the one that ends the session.
    """
    exchange = context.exchange
    sending = _send_with_body(context, application, outbound)
    if context.session_key is None or exchange.payload.is_eof():
        return await sending

    def cut(reason: Reason) -> None:
        if reason is not Reason.DRAINING and not exchange.payload.is_eof():
            context.abort_reason = reason
            exchange.client.abort()

    streams = context.services.streams
    stream = OpenStream(
        key=context.session_key,
        end=cut,
        admitted=Admitted(context=context),
        evaluated_by=context.runtime,
        version=context.session_version,
    )
    streams.add(stream)
    try:
        return await sending
    finally:
        streams.remove(stream)


async def _send_with_body(
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


async def _while_allowed(
    relayed: Coroutine[None, None, ExchangeResult],
    response: UpstreamResponse,
    context: RequestContext,
) -> ExchangeResult:
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
        key=context.session_key,
        end=cut,
        admitted=Admitted(context=context, reconnects=endless),
        evaluated_by=context.runtime,
        version=context.session_version,
    )
    services.streams.add(stream)
    services.report.stream_opened("stream")
    try:
        return await relayed
    finally:
        services.streams.remove(stream)
        services.report.stream_closed("stream")


def _is_endless(response: UpstreamResponse) -> bool:
    """Return whether this is an event stream, which the client reconnects (HTML, 9.2)."""
    for field in response.received.fields:
        if field.folded == b"content-type":
            return field.value.lower().startswith(b"text/event-stream")
    return False


def _protocols(offered: str | None) -> list[str]:
    return [name.strip() for name in offered.split(",")] if offered else []
