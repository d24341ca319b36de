"""Reads requests from bytes: ordinary ones by their lines, all others with aiohttp's parser.

The parser is strict C code (llhttp). It limits a line, a field and their number, but
not the sum of the fields, and it accepts RTSP as HTTP without reporting it; those checks
are added here. The only module that imports aiohttp's parser.

`read_plain` reads a request that arrives whole in one piece, while the parser holds no
part of another one. So each byte is read by one of the two, and a connection of ordinary
requests never creates a parser.
"""

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Any, Final, cast

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web import RequestPayloadError

from gateway.errors import GatewayError
from gateway.http.lines import PlainHead, read_plain
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason
from gateway.server.exchange import Client, Exchange, ParsedRequest
from gateway.server.payload import ArrivedBody, Payload
from gateway.server.protocol_search import ProtocolSearch

LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request target. RFC 9112, section 3, recommends at least 8000."""
READ_AHEAD: Final = 32
"""Requests of one connection that may be queued; then reading pauses."""
BODY_BUFFER: Final = 64 * 1024
"""Bytes of a body that are buffered; at twice that, reading pauses."""
_FIELDS: Final = 100
"""Header fields of one request; Apache and HAProxy allow 100, nginx has no limit."""
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
"""The end of a chunked body without trailers."""
_TAIL: Final = len(_LAST_CHUNK)


class RequestReader:
    """Reads the requests of one connection.

    last_read   the last bytes that were read
    head_bytes  size of the incomplete head so far
    queued      requests of the parser that are not handled yet
    upgraded    the last request asks for another protocol; later bytes are not parsed
    broken      the input is not HTTP; later bytes are not parsed
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_client",
        "_limit",
        "_loop",
        "_made",
        "_parser_holds",
        "_paused",
        "_plain_limit",
        "_protocols",
        "_uncounted",
        "_uploading",
        "broken",
        "head_bytes",
        "last_read",
        "queued",
        "upgraded",
    )

    def __init__(
        self,
        client: Client,
        *,
        header_bytes: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Create a reader of the requests of `client`."""
        self._client = client
        self._limit = header_bytes
        self._plain_limit = min(header_bytes, LINE_LIMIT)
        self._loop = loop
        self._made: HttpRequestParser | None = None
        self._parser_holds = False  # a part of a request, or may
        self.queued = 0
        self._body: Payload = EMPTY_PAYLOAD  # of the last request read
        self._chunked = False  # the last body is
        self._uploading: Exchange | None = None  # a request whose body had not ended
        self._protocols = ProtocolSearch()
        self._paused = False
        self._uncounted = False
        self.head_bytes = 0
        self.last_read = b""
        self.upgraded = False
        self.broken = False

    def read_ordinary(self, data: bytes) -> Exchange | None:
        """Return the one ordinary request that `data` consists of; None: `parse` it."""
        if self._parser_holds or len(data) > BODY_BUFFER:
            return None
        if (plain := read_plain(data, self._plain_limit)) is None:
            return None
        head, received = plain
        self.last_read = data[-_TAIL:]
        self._body = body = ArrivedBody(received) if received else EMPTY_PAYLOAD
        client = self._client
        key = (head, client.peer, client.tls) if head.kept else None
        return Exchange(head, body, client, True, key)

    def parse(self, data: bytes) -> tuple[Sequence[Exchange], bytes]:
        """Parse bytes; return the requests with a complete head, and remaining bytes.

        Remaining bytes follow a request for another protocol.
        """
        if not self._parser_holds:
            if not data:
                return (), b""  # nothing is buffered
            self._protocols.restart()
        self._parser_holds = True
        self.last_read = (self.last_read + data[-_TAIL:])[-_TAIL:]
        between = self._body.is_eof()  # not inside a body
        held = self._paused or self.queued >= READ_AHEAD
        in_order = not held and (between or self._protocols.left > 0)
        self._paused = False
        try:
            found, self.upgraded, rest = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self.broken = True
            if not between:
                self._body.set_exception(RequestPayloadError("invalid chunked body"))
                return (), b""
            return (self._refused(_refusal_of(error)),), b""
        foreign = self._search(data, found, in_order)
        if not found:
            if not between:
                # After the end of a body the next head may have begun.
                self._uncounted = True
            else:
                self.head_bytes += len(data)
            return (), rest
        if foreign:
            self.broken = True
            return (self._refused(_ANOTHER_PROTOCOL),), b""
        # Without data the parser continues with bytes that were not counted.
        size = self.head_bytes + len(data) if data else inf
        maybe_oversized = self._uncounted or size > self._limit
        self._uncounted = not data.endswith(_HEAD_END)
        self.head_bytes = 0
        self._body = found[-1][1]
        self.queued += len(found)
        self._parser_holds = (
            self._uncounted
            or self._paused
            or self.upgraded
            or not self._body.is_eof()
            or self.queued >= READ_AHEAD  # then it stops between two requests
        )
        client = self._client
        exchanges = [
            Exchange(message, body, client, maybe_oversized=maybe_oversized)
            for message, body in found
        ]
        if "Upgrade" in found[-1][0].headers and not self.upgraded:
            exchanges[-1].maybe_cut = not _ends_with_head(data, self._body)
        self._chunked = found[-1][0].chunked
        self._uploading = None if self._body.is_eof() else exchanges[-1]
        exchanges[-1].maybe_cut |= self._protocols.found
        return exchanges, rest

    def _search(
        self,
        data: bytes,
        found: Sequence[tuple[ParsedRequest, Payload]],
        in_order: bool,
    ) -> bool:
        """Return whether one of the requests found may be one of another protocol."""
        chunked = found[-1][0].chunked if found else self._chunked
        body = found[-1][1] if found else self._body
        foreign = self._protocols.search(
            data,
            [message for message, _ in found],
            in_order=in_order,
            # Of what the parser holds back the chunks may end in the middle.
            in_chunks=chunked and not (body.is_eof() or self._paused),
        )
        if self._protocols.found and self._uploading is not None:
            # It may be in the body, where it is allowed, or behind it: none follows.
            self._uploading.maybe_cut = True
        return foreign

    @property
    def head_too_large(self) -> bool:
        """Whether an incomplete head exceeds the limit."""
        return self.head_bytes > self._limit + LINE_LIMIT

    @property
    def after_plain_chunks(self) -> bool:
        """Whether the last bytes read ended a chunked body without trailers.

        aiohttp's parser adds the last trailer field of a message to the header fields
        of the next one on the connection (seen in 3.14.5). Behind a proxy that shares
        connections that is the request of another user, so a connection that may have
        carried trailers is not reused.
        """
        # A trailer line has a colon, so none can look like a last chunk.
        return self.last_read.endswith(_LAST_CHUNK)

    def mark_dequeued(self, exchange: Exchange) -> None:
        """Reduce the parser's count of queued requests by one, if it read this one."""
        if not isinstance(exchange.message, PlainHead | BadRequest):
            self.queued -= 1
            self._parser.message_consumed()

    def pause(self) -> None:
        """Pause in the middle of a body; the next `parse` continues."""
        self._paused = True
        self._parser.pause_reading()

    def decline_upgrade(self) -> None:
        """Parse HTTP again: the upgrade was declined."""
        self.upgraded = False
        self._parser.set_upgraded(False)

    def forget(self) -> None:
        """Free the parser: no request follows an upgrade that was accepted."""
        self._made = None

    @property
    def _parser(self) -> HttpRequestParser:
        """The parser, created when it is first needed."""
        if self._made is None:
            self._made = HttpRequestParser(
                # It only calls pause_reading and resume_reading.
                cast("BaseProtocol", self._client),
                self._loop,
                BODY_BUFFER,
                max_line_size=LINE_LIMIT,
                # One more than the line limit if they are equal: the parser's error
                # distinguishes the two only by the limit.
                max_field_size=self._limit + (self._limit == LINE_LIMIT),
                max_headers=_FIELDS,
                payload_exception=RequestPayloadError,
                # A proxy forwards bytes unchanged; decompressing would also turn 19 KB
                # into 20 MB.
                auto_decompress=False,
                max_msg_queue_size=READ_AHEAD,
            )
        return self._made

    def _refused(self, refusal: BadRequest) -> Exchange:
        return Exchange(refusal, EMPTY_PAYLOAD, self._client)


def _ends_with_head(data: bytes, body: Payload) -> bool:
    """Return whether nothing can follow the one request of these bytes.

    After a request for a protocol other than WebSocket, aiohttp's parser drops the
    bytes behind it (seen in 3.14.5).
    """
    return body is EMPTY_PAYLOAD and data.find(_HEAD_END) == len(data) - len(_HEAD_END)


def require_c_parser() -> None:
    """Raise unless aiohttp uses its C parser.

    The pure-Python parser accepts a bare CR in a chunk extension, among others, which
    allows request smuggling through a proxy.

    Raises:
        GatewayError: the C extension is missing or disabled.
    """
    from aiohttp import http_parser  # noqa: PLC0415 - used once, at start

    parsers = cast("Any", http_parser)
    if parsers.HttpRequestParser is not getattr(parsers, "HttpRequestParserC", None):
        raise GatewayError(
            f"aiohttp {aiohttp.__version__} runs without its C parser; unset"
            " AIOHTTP_NO_EXTENSIONS and install a wheel of aiohttp for this platform"
        )


_ANOTHER_PROTOCOL: Final = BadRequest(
    status=505, reason=Reason.BAD_VERSION, detail="not HTTP"
)


def _refusal_of(error: BaseException) -> BadRequest:
    status, reason = 400, Reason.BAD_REQUEST
    if isinstance(error, LineTooLong):
        status, reason = 431, Reason.HEADERS_TOO_LARGE
        if error.args[1:2] == (LINE_LIMIT,):
            status, reason = 414, Reason.TARGET_TOO_LONG
    elif "Too many headers" in str(error):
        status, reason = 431, Reason.HEADERS_TOO_LARGE
    return BadRequest(status=status, reason=reason, detail="not HTTP/1.1")
