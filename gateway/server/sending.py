"""Writes answers to the client: our own replies, and an upstream's as it comes."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.http.head import RequestHead
from gateway.pages.reply import Reply
from gateway.proxy.response import UpstreamResponse
from gateway.server.answer import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    AnswerRules,
    own_answer,
    relayed_head,
)
from gateway.server.exchange import Answered, Client, Exchange
from gateway.server.story import Story
from gateway.server.tools import Tools

_PATIENCE: Final = 30.0
"""Seconds in which a client takes something of a reply of ours, which are small."""


async def own_reply(
    exchange: Exchange,
    head: RequestHead | None,
    story: Story,
    tools: Tools,
    reply: Reply,
    cookies: Sequence[str] = (),
    *,
    close: bool = False,
) -> Answered:
    """Send one of our replies; `head` is None when the request was not readable.

    Raises:
        ConnectionError: the client is gone, or took nothing for too long.
    """
    keep_alive = (
        head is not None and not close and _may_keep_alive(exchange, head, tools)
    )
    story.status, story.answered = reply.status, True
    head_only = head is not None and head.method == "HEAD"
    story.body_bytes = 0 if head_only else len(reply.body)
    answer = own_answer(
        reply,
        head_only=head_only,
        keep_alive=keep_alive,
        request_id=story.request_id,
        set_cookies=cookies,
        now=story.now,
    )
    client = exchange.client
    client.send(answer)
    if client.writing_paused:
        await wait_for(client, _PATIENCE)
    return Answered(keep_alive=keep_alive)


def send_whole(
    exchange: Exchange,
    head: RequestHead,
    story: Story,
    tools: Tools,
    response: UpstreamResponse,
    rules: AnswerRules,
    cookies: Sequence[str],
    content: bytes,
) -> Answered:
    """Pass an upstream's answer on that has arrived as a whole, in one write.

    Raises:
        ConnectionError: the client is gone.
    """
    length = len(content) if response.has_body else _length(head, response)
    keep_alive = _may_keep_alive(exchange, head, tools)
    status_and_fields = relayed_head(
        status=response.status,
        headers=response.end_to_end(),
        rules=rules,
        length=length,
        keep_alive=keep_alive,
        request_id=head.request_id,
        set_cookies=cookies,
        now=story.now,
    )
    story.status, story.answered = response.status, True
    story.body_bytes = len(content)
    exchange.client.send(status_and_fields + content)
    return Answered(keep_alive=keep_alive)


async def relay(
    exchange: Exchange,
    head: RequestHead,
    story: Story,
    tools: Tools,
    response: UpstreamResponse,
    rules: AnswerRules,
    cookies: Sequence[str],
    patience: float,
) -> Answered:
    """Pass an upstream's answer on as it comes, with the client's backpressure.

    `patience` is for how many seconds a client may take nothing.

    Raises:
        ConnectionError: the client is gone, or took nothing for too long.
        UpstreamError: the answer broke off; the client must see that it did.
    """
    length = _length(head, response)
    keep_alive = length != UNTIL_CLOSE and _may_keep_alive(exchange, head, tools)
    client = exchange.client
    client.ends_with_connection = length == UNTIL_CLOSE
    status_and_fields = relayed_head(
        status=response.status,
        headers=response.end_to_end(),
        rules=rules,
        length=length,
        keep_alive=keep_alive,
        request_id=head.request_id,
        set_cookies=cookies,
        now=story.now,
    )
    story.status, story.answered = response.status, True
    client.send(status_and_fields)
    chunked = length == CHUNKED
    while piece := await response.read():
        story.body_bytes += len(piece)
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if client.writing_paused:
            await wait_for(client, patience)
    if chunked:
        client.send(b"0\r\n\r\n")
    # The head may have been written before the gateway was told to stop.
    return Answered(keep_alive=keep_alive and not tools.draining)


async def wait_for(client: Client, patience: float) -> None:
    """Wait while the client takes nothing; no timer where it does.

    Raises:
        ConnectionAbortedError: for `patience` seconds.
    """
    try:
        async with asyncio.timeout(patience):
            await client.drained()
    except TimeoutError as error:
        # It holds a connection, maybe one of the upstream's too, and could
        # for ever.
        raise ConnectionAbortedError("the client takes nothing") from error


def _may_keep_alive(exchange: Exchange, head: RequestHead, tools: Tools) -> bool:
    # A body that nobody read to its end would be taken for the next request by a
    # client that gave up on `100 Continue`; the connection ends instead.
    return (
        head.keep_alive
        and not tools.draining
        and exchange.payload.is_eof()
        and (not head.chunked or exchange.client.after_plain_chunks)
    )


def _length(head: RequestHead, response: UpstreamResponse) -> int:
    """Tell how the client will know the end of a body that may not be here yet."""
    if not response.has_body:
        # RFC 9110, section 8.6: HEAD and 304 may tell the length of the body that
        # is not sent; a 204 MUST NOT.
        known = response.content_length
        if known is not None and response.status != 204:
            return known
        return NO_BODY if response.status in {204, 304} or head.method == "HEAD" else 0
    if response.content_length is not None:
        return response.content_length
    # HTTP/1.0, section 8.1 of RFC 9112 for the rest: without a length the end of
    # the connection is the end of the body.
    return CHUNKED if head.http_version >= (1, 1) else UNTIL_CLOSE
