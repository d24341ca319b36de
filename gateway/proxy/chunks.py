"""Decodes a chunked body with llhttp (strict); its end is known to the byte."""

from typing import Final

from httptools import HttpParserError, HttpResponseParser

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.head import HEAD_END, MAX_HEAD_BYTES

_BEFORE: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head that llhttp must parse before it accepts chunks."""
_SUSPICIOUS_END: Final = b"\n" + HEAD_END
_MAX_STALLED: Final = MAX_HEAD_BYTES
"""Bytes of chunk extensions and trailers allowed without content."""


class ChunkedDecoder:
    """Decoder of one chunked body.

    ended  the last chunk and its trailers were read; trailers are discarded
    clean  no bytes followed them
    error  why the body is invalid
    """

    __slots__ = ("_events", "_parser", "_stalled", "_tail", "clean", "ended", "error")

    def __init__(self) -> None:
        self._stalled = 0
        self._tail = b""
        self.ended = False
        self.clean = False
        self.error: InvalidUpstreamResponse | None = None
        self._events = _Events()
        self._parser = HttpResponseParser(self._events)
        self._parser.feed_data(_BEFORE)
        self._events.next_message_begun = False

    def read(self, data: bytes) -> bytes:
        """Return the content in these bytes; set `ended`, `clean` and `error`."""
        size = len(_SUSPICIOUS_END)
        self._tail = data[-size:] if len(data) >= size else (self._tail + data)[-size:]
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self.error = InvalidUpstreamResponse(f"the response is not HTTP: {error}")
            self.error.__cause__ = error
        events = self._events
        pieces, events.pieces = events.pieces, []
        self._stalled = 0 if pieces else self._stalled + len(data)
        self.ended = events.ended
        if self.ended:
            # llhttp skips empty lines before the next message; here they are excess bytes.
            tail = self._tail
            whole = tail.endswith(HEAD_END) and tail != _SUSPICIOUS_END
            self.clean = whole and not events.next_message_begun and self.error is None
        elif self._stalled > _MAX_STALLED and self.error is None:
            self.error = InvalidUpstreamResponse(
                "chunk extensions or trailers without end"
            )
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Events:
    """Receives what llhttp finds.

    Not the decoder itself: the parser keeps its receiver, and the decoder its parser,
    so each response would leave a reference cycle to the garbage collector.
    """

    __slots__ = ("ended", "next_message_begun", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = False
        self.next_message_begun = False

    def on_message_begin(self) -> None:
        """Record that bytes follow the end."""
        self.next_message_begun = True

    def on_body(self, data: bytes) -> None:
        """Collect content; content of a further message is ignored."""
        if not self.ended:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Record the end of the body."""
        self.ended = True
