"""What a client sends, made into requests: aiohttp's parser, and what it lets pass.

The parser is strict C code (llhttp). It caps a line, a field and their number, but
not the sum of the fields; it takes RTSP for HTTP, and hides that it did. Both are
watched here. The only home of aiohttp's parser.
"""

import asyncio
import re
from collections.abc import Sequence
from math import inf
from typing import Any, Final, cast

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web import RequestPayloadError

from gateway.errors import GatewayError
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason
from gateway.server.exchange import Client, Exchange

LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request target. RFC 9112, section 3, asks for at least 8000 octets."""
READ_AHEAD: Final = 32
"""Requests of one connection that wait for their turn; then it is not read."""
BODY_BUFFER: Final = 64 * 1024
"""Bytes of a body that are held; at twice that the client is not read."""
_FIELDS: Final = 100
"""Header fields of one request; nginx has no such limit, Apache and HAProxy 100."""
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
"""How a chunked body ends that has no trailer fields."""
_FOREIGN: Final = re.compile(rb" (?:RTSP|ICE)/[0-9]\.[0-9]\r?\n").search
"""llhttp reads these protocols too, and gives their version as one of HTTP."""
_KEPT: Final = 10
"""Bytes of the last read that are kept: one less than the longest of _FOREIGN."""


class RequestReader:
    """Reads the requests of one connection.

    last_read   the end of what was read last
    head_bytes  how much there is of a head that has not come to its end
    upgraded    what was read last wants another protocol; what follows is not read
    broken      what was read last is no HTTP; nothing after it is read
    """

    __slots__ = (
        "_body",
        "_client",
        "_foreign",
        "_limit",
        "_parser",
        "_paused",
        "_uncounted",
        "broken",
        "head_bytes",
        "last_read",
        "upgraded",
    )

    def __init__(
        self, client: Client, *, header_bytes: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._client = client
        self._limit = header_bytes
        self._parser = HttpRequestParser(
            # It pauses and resumes whom it reads from, and asks for nothing else.
            cast("BaseProtocol", client),
            loop,
            BODY_BUFFER,
            max_line_size=LINE_LIMIT,
            # One more than the line limit when both are alike: the error of the
            # parser tells them apart by nothing else.
            max_field_size=header_bytes + (header_bytes == LINE_LIMIT),
            max_headers=_FIELDS,
            payload_exception=RequestPayloadError,
            # A proxy passes the bytes on as they are; decompressing here would
            # also let 19 KB become 20 MB.
            auto_decompress=False,
            max_msg_queue_size=READ_AHEAD,
        )
        self._body: StreamReader = EMPTY_PAYLOAD  # of the last request read
        self._foreign = False
        self._paused = False
        self._uncounted = False
        self.head_bytes = 0
        self.last_read = b""
        self.upgraded = False
        self.broken = False

    def read(self, data: bytes) -> tuple[Sequence[Exchange], bytes]:
        """Read on: the requests whose heads came to their end, and what is left.

        What is left is not HTTP: it follows a request for another protocol.
        """
        before = self.last_read
        self.last_read = (data if len(data) >= _KEPT else before + data)[-_KEPT:]
        between = self._body.is_eof()  # what comes is no body
        self._paused = False
        try:
            found, self.upgraded, rest = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self.broken = True
            if not between:
                self._body.set_exception(RequestPayloadError("invalid chunked body"))
                return (), b""
            return (self._refused(_refusal_of(error)),), b""
        foreign = b"RTSP/" in data or b"ICE/" in data or before[-1:] not in b"\n"
        if foreign and (between or self._paused or self._body.is_eof()):
            self._foreign = self._foreign or _FOREIGN(before + data) is not None
        if not found:
            if not between:
                # What follows the end of a head may be a body, or the next head.
                self._uncounted = True
            else:
                self.head_bytes += len(data)
            return (), rest
        if self._foreign:
            self.broken = True
            return (self._refused(_ANOTHER_PROTOCOL),), b""
        # Without data it is what the parser had kept, of which nothing was counted.
        size = self.head_bytes + len(data) if data else inf
        maybe_oversized = self._uncounted or size > self._limit
        self._uncounted = not data.endswith(_HEAD_END)
        self.head_bytes = 0
        self._body = found[-1][1]
        client = self._client
        return [
            Exchange(message, body, client, maybe_oversized=maybe_oversized)
            for message, body in found
        ], rest

    @property
    def head_too_large(self) -> bool:
        """Tell whether a head is too large before it has come to its end."""
        return self.head_bytes > self._limit + LINE_LIMIT

    @property
    def after_plain_chunks(self) -> bool:
        """Tell whether the last bytes read ended a chunked body without trailers.

        aiohttp's parser keeps the last trailer field of a message and gives it to
        the next message of the connection as a header (seen in 3.14.5). Behind a
        proxy that shares connections that is another person's request: where there
        may have been trailers, none may follow.
        """
        # A line of trailers has a colon, so none of them can look like a last chunk.
        return self.last_read.endswith(_LAST_CHUNK)

    def mark_dequeued(self) -> None:
        """Hear that a request has its turn: there is room for one more."""
        self._parser.message_consumed()

    def pause(self) -> None:
        """Stop in the middle of a body; the next read goes on."""
        self._paused = True
        self._parser.pause_reading()

    def decline_upgrade(self) -> None:
        """Read HTTP again: nothing came of the other protocol."""
        self.upgraded = False
        self._parser.set_upgraded(False)

    def _refused(self, refusal: BadRequest) -> Exchange:
        return Exchange(refusal, EMPTY_PAYLOAD, self._client)


def require_c_parser() -> None:
    """Refuse to run on aiohttp's pure-Python parser.

    It accepts what the C parser refuses, a bare CR in a chunk extension among it,
    and that is a request-smuggling hole in a proxy.

    Raises:
        GatewayError: when the C extension is missing or switched off.
    """
    from aiohttp import http_parser  # noqa: PLC0415 - asked once, at start

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
