"""A request as it arrives: the parser's message becomes a head, or is refused."""

from gateway.http.head import BadRequest, RequestHead, read_head
from gateway.reasons import Reason
from gateway.server.exchange import Exchange
from gateway.server.serving import Serving


def read_arrival(
    exchange: Exchange, serving: Serving, *, request_id: str, span_id: str
) -> RequestHead | BadRequest:
    """Read the head of an exchange, within the limits of the configuration.

    What a parser could not read comes as its refusal.
    """
    asked, client = exchange.asked, exchange.client
    if isinstance(asked, BadRequest):
        return asked
    raw_headers = asked.raw_headers
    if exchange.fat:
        size = sum(len(name) + len(value) + 4 for name, value in raw_headers)
        if size > serving.limits.header_bytes:
            return BadRequest(
                status=431, reason=Reason.HEADERS_TOO_LARGE, detail="headers"
            )
    head = read_head(
        method=asked.method,
        raw_target=asked.path,
        version=asked.version,
        raw_headers=raw_headers,
        peer=client.peer,
        tls=client.tls,
        rules=serving.head_rules,
        request_id=request_id,
        span_id=span_id,
    )
    limit = serving.limits.body_bytes
    if (
        limit
        and isinstance(head, RequestHead)
        and head.content_length is not None
        and head.content_length > limit
    ):
        return BadRequest(status=413, reason=Reason.BODY_TOO_LARGE, detail="body")
    return head
