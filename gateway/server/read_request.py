"""Validates the parsed message of a request."""

from collections.abc import Sequence

from gateway.http.fields import Fields, sort_fields
from gateway.http.head import BadRequest, RequestHead, read_head
from gateway.http.headers import Field
from gateway.http.lines import PlainHead
from gateway.http.navigation import is_invalid_navigation
from gateway.reasons import Reason
from gateway.server.context import RequestContext
from gateway.server.exchange import ParsedRequest


def read_request(context: RequestContext) -> RequestHead | BadRequest:
    """Return the head of the request, within the limits of the configuration.

    For a message that is not HTTP, the BadRequest is that of the reader.
    """
    exchange, runtime = context.exchange, context.runtime
    message, client = exchange.message, exchange.client
    if isinstance(message, BadRequest):
        return message
    fields: Fields | BadRequest
    if isinstance(message, PlainHead):
        target, version, fields = message.target, (1, 1), message.fields
    else:
        raw_headers = message.raw_headers
        if exchange.maybe_oversized:
            too_large = check_size(raw_headers, runtime.limits.header_bytes)
            if too_large is not None:
                return too_large
        target, version = message.path, message.version
        fields = sort_fields(raw_headers)
    head = read_head(
        method=message.method,
        raw_target=target,
        version=version,
        fields=fields,
        peer=client.peer,
        tls=client.tls,
        rules=runtime.head_rules,
    )
    limit = runtime.limits.body_bytes
    if (
        limit
        and isinstance(head, RequestHead)
        and head.content_length is not None
        and head.content_length > limit
    ):
        return BadRequest(status=413, reason=Reason.BODY_TOO_LARGE, detail="body")
    return head


def reads_html(message: PlainHead | ParsedRequest | BadRequest) -> bool:
    """Return whether the sender of a message without a valid head is shown pages."""
    if isinstance(message, BadRequest):
        return False
    if isinstance(message, PlainHead):
        fields: Fields | BadRequest = message.fields
    else:
        fields = sort_fields(message.raw_headers)
    return isinstance(fields, Fields) and is_invalid_navigation(fields.values)


def check_size(raw_headers: Sequence[Field], limit: int) -> BadRequest | None:
    """Return a 431 if the fields have more than `limit` bytes together, or None.

    Needed for a message that the parser marks as `maybe_oversized` only.
    """
    size = sum(len(name) + len(value) + 4 for name, value in raw_headers)
    if size <= limit:
        return None
    return BadRequest(status=431, reason=Reason.HEADERS_TOO_LARGE, detail="headers")
