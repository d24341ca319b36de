"""The result of an endpoint, and reading of form fields."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from gateway.pages.reply import Reply
from gateway.server.body import ClientBody
from gateway.server.context import RequestContext
from gateway.spine.answers import Answer

_FORM_LIMIT: Final = 16 * 1024
_FIELDS: Final = 20
_IDLE: Final = 10.0
_LEAST_RATE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResponse:
    """A response of the gateway, and its Set-Cookie values."""

    reply: Reply | Answer
    cookies: tuple[str, ...] = ()


async def read_form(context: RequestContext) -> dict[str, str]:
    """Return the fields of an HTML form (WHATWG URL, section 5) of at most 16 KiB.

    A repeated field is ambiguous and ignored. An invalid form is empty.

    Raises:
        BodyTooLarge, BodyStalled, RequestPayloadError: as ClientBody.read.
    """
    if not context.head.has_body:
        return {}
    body = ClientBody(
        context.exchange.payload,
        chunked=context.head.chunked,
        limit=_FORM_LIMIT,
        idle=_IDLE,
        least_rate=_LEAST_RATE,
        send=context.exchange.client.send,
        expects_continue=context.head.expect_continue,
    )
    pieces = []
    while piece := await body.read():
        pieces.append(piece)
    try:
        pairs = parse_qsl(
            b"".join(pieces).decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_FIELDS,
        )
    except ValueError:
        return {}
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}
