"""Writes responses to the client: the gateway's own, and an upstream's."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Final

from gateway.http.chunked import LAST_CHUNK, chunk
from gateway.http.head import RequestHead
from gateway.pages.reply import Reply
from gateway.proxy.response import UpstreamResponse
from gateway.server.context import RequestContext
from gateway.server.exchange import Client
from gateway.server.response_head import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    ResponseHeaderFilter,
    build_response_head,
    encode_local_response,
)
from gateway.spine.answers import Answer

_PATIENCE: Final = 30.0
"""Seconds within which a client must read some of a local response."""


def send_local(
    context: RequestContext,
    answer: Answer | Reply,
    cookies: Sequence[str] = (),
    *,
    close: bool = False,
) -> bool | Coroutine[None, None, bool]:
    """Send a response of the gateway's own.

    Raises:
        ConnectionError: the client disconnected, or read nothing for too long.
    """
    head = context.received_head
    reply = (
        answer
        if isinstance(answer, Reply)
        else context.runtime.pages.render(answer, context.request_id)
    )
    keep_alive = head is not None and not close and _may_keep_alive(context, head)
    context.status, context.responded = reply.status, True
    head_only = head is not None and head.method == "HEAD"
    context.body_bytes = 0 if head_only else len(reply.body)
    client = context.exchange.client
    client.send(
        encode_local_response(
            reply,
            head_only=head_only,
            keep_alive=keep_alive,
            request_id=context.request_id,
            set_cookies=cookies,
            now=context.now,
        )
    )
    if client.writing_paused:
        return wait_for(client, _PATIENCE, keep_alive)
    return keep_alive


def send_whole(
    context: RequestContext,
    response: UpstreamResponse,
    rules: ResponseHeaderFilter,
    cookies: Sequence[str],
    content: bytes,
    patience: float,
) -> bool | Coroutine[None, None, bool]:
    """Relay a response that has arrived completely, in one write.

    `patience`: seconds that the client may read nothing.

    Raises:
        ConnectionError: the client disconnected.
    """
    head = context.received_head
    assert head is not None  # noqa: S101 - narrows
    keep_alive = _may_keep_alive(context, head)
    client = context.exchange.client
    sent = build_response_head(
        response.end_to_end,
        rules,
        len(content) if response.has_body else _length(head, response),
        keep_alive,
        context.request_id,
        cookies,
        context.now,
    )
    context.status, context.responded = response.status, True
    context.body_bytes = len(content)
    client.send(sent + content)
    if client.writing_paused:
        return wait_for(client, patience, keep_alive)
    return keep_alive


async def relay(
    context: RequestContext,
    response: UpstreamResponse,
    rules: ResponseHeaderFilter,
    cookies: Sequence[str],
    patience: float,
) -> bool:
    """Relay a response as it arrives, at the pace of the client.

    `patience`: seconds that the client may read nothing.

    Raises:
        ConnectionError: the client disconnected, or read nothing for too long.
        UpstreamError: the response is incomplete; the client must notice.
    """
    head = context.head
    length = _length(head, response)
    keep_alive = length != UNTIL_CLOSE and _may_keep_alive(context, head)
    client = context.exchange.client
    client.ends_with_connection = length == UNTIL_CLOSE
    sent = build_response_head(
        head=response.end_to_end,
        rules=rules,
        length=length,
        keep_alive=keep_alive,
        request_id=context.request_id,
        set_cookies=cookies,
        now=context.now,
    )
    context.status, context.responded = response.status, True
    client.send(sent)
    chunked = length == CHUNKED
    while piece := await response.read():
        context.body_bytes += len(piece)
        client.send(chunk(piece) if chunked else piece)
        if client.writing_paused:
            await wait_for(client, patience, keep_alive)
    if chunked:
        client.send(LAST_CHUNK)
    # The head may have been written before the gateway began to drain.
    return keep_alive and not context.services.draining


async def wait_for(client: Client, patience: float, keep_alive: bool) -> bool:
    """Wait until the send buffer has drained; return `keep_alive`.

    Raises:
        ConnectionAbortedError: it has not after `patience` seconds.
    """
    try:
        async with asyncio.timeout(patience):
            await client.drained()
    except TimeoutError as error:
        # Otherwise it could hold its connection, and one of the upstream, forever.
        raise ConnectionAbortedError("client write timeout") from error
    return keep_alive


def _may_keep_alive(context: RequestContext, head: RequestHead) -> bool:
    exchange = context.exchange
    # Unread bytes of a body could be parsed as the next request, for example after
    # a client gave up waiting for `100 Continue`; so the connection ends.
    return (
        head.keep_alive
        and not exchange.maybe_cut
        and not context.services.draining
        and (exchange.whole or exchange.payload.is_eof())
        and (not head.chunked or exchange.client.after_plain_chunks)
    )


def _length(head: RequestHead, response: UpstreamResponse) -> int:
    """Return the length of the body, or how its end is indicated to the client."""
    if not response.has_body:
        # RFC 9110, section 8.6: HEAD and 304 may have the Content-Length of the body
        # that is not sent; a 204 MUST NOT.
        known = response.content_length
        if known is not None and response.status != 204:
            return known
        return NO_BODY if response.status in {204, 304} or head.method == "HEAD" else 0
    if response.content_length is not None:
        return response.content_length
    # RFC 9112, section 6.3: without a length the body of an HTTP/1.0 response ends
    # with the connection.
    return CHUNKED if head.http_version >= (1, 1) else UNTIL_CLOSE
