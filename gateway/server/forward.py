"""Performs a Forward: sends the request to its upstream and relays the response."""

from collections.abc import Sequence
from functools import partial

from gateway.http.head import RequestHead, WebSocketOffer
from gateway.http.response_fields import COOKIE, RESERVED
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import may_repeat
from gateway.proxy.upstream_connection import UpstreamResult
from gateway.reasons import ALLOW
from gateway.server.app_cookies import may_track, track_app_cookies
from gateway.server.apply_sign_in_headers import apply_sign_in_headers
from gateway.server.context import RequestContext
from gateway.server.exchange import Progress
from gateway.server.payload import ArrivedBody
from gateway.server.response_head import removed_cookies
from gateway.server.restored_prefix import restored
from gateway.server.runtime import Application
from gateway.server.sending import send_whole
from gateway.server.shares import share_key
from gateway.server.sign_in_headers import read_sign_in_headers
from gateway.server.sign_in_posts import begin_sign_in_post, settle_sign_in_post
from gateway.server.steps import hand_over, proceed
from gateway.server.streaming import relay_stream, send_with_body
from gateway.server.websocket import run_tunnel
from gateway.spine.outcome import Forward


def forward(context: RequestContext, outcome: Forward) -> Progress:
    """Forward one request; bodies are streamed in both directions.

    Raises, as the steps that follow it do:
        TooManyAttempts: a sign-in from an address with too many failures.
        ClientLimit: the client holds its share of the upstream.
        UpstreamError, BodyTooLarge, BodyStalled, StoreUnavailable: before the
            first byte of the response (then `context.responded` is still False) or
            in the middle of it.
        ConnectionError: the client disconnected.
    """
    application = context.runtime.applications[outcome.view.name]
    head = context.received_head
    assert head is not None  # noqa: S101 - narrows
    if head.method == "POST":
        begin_sign_in_post(context, application, outcome.access)
    begin_forward(context, outcome)
    shares, address = application.shares, share_key(head.client)
    identity = outcome.principal.identity_id
    if not shares.take(address, identity):
        return _wait_for_share(context, application, outcome, address)
    context.share = (shares, address, identity)
    return _send(context, application, outcome)


async def _wait_for_share(
    context: RequestContext, application: Application, outcome: Forward, address: str
) -> None:
    shares, identity = application.shares, outcome.principal.identity_id
    await shares.wait(address, identity)
    context.share = (shares, address, identity)
    hand_over(context, _send, application, outcome)


def _send(
    context: RequestContext, application: Application, outcome: Forward
) -> Progress:
    """Send the request: at once if all of it is here and a connection is idle."""
    head = context.received_head
    assert head is not None  # noqa: S101 - narrows
    outbound = outcome.outbound.encode(context.request_id, context.traceparent)
    context.began = context.services.system.ticks()
    if head.websocket is not None:
        return _open_tunnel(context, application, outcome, outbound, head.websocket)
    if head.content_length or head.chunked:
        body = context.exchange.payload
        if not isinstance(body, ArrivedBody) or head.expect_continue:
            return _upload(context, application, outcome, outbound)
        outbound += body.read_nowait()
    arrived = partial(proceed, context, _arrived, outcome)
    context.awaited = application.upstream.begin(outbound, head.method, arrived)
    if context.awaited is not None:
        return None
    return _connect(context, application, outcome, outbound)


def _is_safe(head: RequestHead) -> bool:
    """Return whether the request may be sent again (RFC 9110, section 9.2.2)."""
    return head.method in {"GET", "HEAD", "OPTIONS"} and not head.has_body


async def _connect(
    context: RequestContext,
    application: Application,
    outcome: Forward,
    outbound: bytes,
) -> None:
    """Send the request on the next connection, which may have to be opened."""
    head = outcome.access.head
    response = await application.upstream.send(
        outbound, method=head.method, body=None, retriable=_is_safe(head)
    )
    hand_over(context, _arrived, outcome, response)


async def _send_again(
    context: RequestContext, application: Application, outcome: Forward
) -> None:
    """Send the request once more: its connection was closed before a response."""
    # Encoded again: to keep the bytes of each request meanwhile would cost more.
    outbound = outcome.outbound.encode(context.request_id, context.traceparent)
    response = await application.upstream.send_again(
        outbound, method=outcome.access.head.method
    )
    hand_over(context, _arrived, outcome, response)


async def _open_tunnel(
    context: RequestContext,
    application: Application,
    outcome: Forward,
    outbound: bytes,
    offer: WebSocketOffer,
) -> bool | None:
    found = await application.upstream.open_tunnel(
        outbound, key=offer.key, offered_protocols=_protocols(offer.protocols)
    )
    if isinstance(found, Tunnel):
        context.measure()
        cookies = outcome.set_cookies
        # A tunnel may be open for days, and each would keep them.
        del outcome, outbound, offer
        return await run_tunnel(context, found, cookies)
    hand_over(context, _arrived, outcome, found)
    return None


def _arrived(
    context: RequestContext, outcome: Forward, result: UpstreamResult | Exception
) -> Progress:
    """Go on with the result of an exchange."""
    application = context.runtime.applications[outcome.view.name]
    context.awaited = None
    if isinstance(result, Exception):
        if may_repeat(result) and _is_safe(outcome.access.head):
            return _send_again(context, application, outcome)
        raise result
    assert isinstance(result, UpstreamResponse)  # noqa: S101 - only a handshake is a Tunnel
    context.upstream_time = context.services.system.ticks() - context.began
    context.began = 0.0
    context.awaited = result
    cookies = outcome.set_cookies
    if (
        result.received.roles & RESERVED
        or context.sign_in_post is not None
        or (context.runtime.rules.external is not None and may_track(result, context))
    ):
        return _change_session(context, application, result, cookies)
    if cookies and context.services.streams.was_revoked(context.principal.session_key):
        # A user who signed in again while this response was awaited holds a new
        # cookie, which the longer life of the old one must not replace.
        cookies = ()
    return _respond(context, application, result, cookies)


def begin_forward(context: RequestContext, outcome: Forward) -> None:
    """Record what is allowed, and start the writes that no response waits for."""
    services = context.services
    context.verdict, context.reason = ALLOW, outcome.reason
    if context.route is None:  # no session was looked up
        context.route = outcome.route
    context.upstream, context.principal = outcome.view.name, outcome.principal
    for use in outcome.tokens:
        services.report.token_used(use.profile, use.signed)
    if outcome.view.identity.unsent:
        services.report.headers_not_sent(outcome.view)
    if (
        outcome.stale
        and outcome.principal.session_key is not None
        and services.renewer is not None
    ):
        services.renewer.start(outcome.principal.session_key, context.runtime)
    write = outcome.write
    if write is not None:
        # Of an app's sessions none is written; of its users' access tokens the use is.
        services.run_in_background(
            services.tokens.replace(write.key, write.old, write.new)
        )


async def _change_session(
    context: RequestContext,
    application: Application,
    response: UpstreamResponse,
    cookies: Sequence[str],
) -> None:
    """Carry out what the response says about the session, before it is relayed."""
    if may_track(response, context):
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
    elif cookies and context.services.streams.was_revoked(
        context.principal.session_key
    ):
        cookies = ()  # as in `_arrived`
    hand_over(context, partial(_respond, cookies=cookies), application, response)


def _respond(
    context: RequestContext,
    application: Application,
    response: UpstreamResponse,
    cookies: Sequence[str],
) -> Progress:
    """Relay the response: in one write if all of it is here."""
    runtime = context.runtime
    if application.view.restored_prefix:
        head = restored(response.end_to_end, application.view, context)
        response.replace_head(head)
    # An application that did not receive the session cookie must not replace it.
    unasked = context.lookup_result == "error"
    rules = runtime.responses_unasked if unasked else runtime.responses
    if not unasked and response.received.roles & COOKIE:
        for name in removed_cookies(response.end_to_end, rules):
            context.services.report.cookie_not_forwarded(application.view.name, name)
    content = response.content
    if content is None:
        content = response.complete_body()
    if content is None:
        return relay_stream(context, response, rules, cookies, application.idle)
    context.awaited = None
    return send_whole(context, response, rules, cookies, content, application.idle)


async def _upload(
    context: RequestContext,
    application: Application,
    outcome: Forward,
    outbound: bytes,
) -> None:
    """Send a request with a body that may still arrive."""
    response = await send_with_body(context, application, outbound)
    hand_over(context, _arrived, outcome, response)


def _protocols(offered: str | None) -> list[str]:
    return [name.strip() for name in offered.split(",")] if offered else []
