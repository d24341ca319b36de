"""Decodes a chunked body with llhttp; its end is known to the byte.

It is strict, except for spaces after the size of a chunk, with which old servers pad it
(docs/upstream-responses.md has the table). A body that begins with an extension is
decoded by `extended_chunks` instead: llhttp allows no spaces in extensions.
"""

import re
from typing import Final

from httptools import HttpParserError, HttpResponseParser

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.extended_chunks import ExtendedChunks, is_size_start
from gateway.proxy.head import HEAD_END, MAX_HEAD_BYTES

_BEFORE: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head that llhttp must parse before it accepts chunks."""
_BY_LLHTTP: Final = re.compile(
    rb"0*+[0-9A-Fa-f]{0,15}+(?<=[0-9A-Fa-f])[\t ]*+\r\n"
).match
_UNFINISHED: Final = re.compile(rb"[^\r\n]{0,4096}+\r?").fullmatch
_SUSPICIOUS_END: Final = b"\n" + HEAD_END
_MAX_STALLED: Final = MAX_HEAD_BYTES
"""Bytes of chunk extensions and trailers allowed without content."""


class ChunkedDecoder:
    """Decoder of one chunked body.

    ended  the last chunk and its trailers were read; trailers are discarded
    clean  no bytes followed them
    error  why the body is invalid
    """

    __slots__ = (
        "_begun",
        "_events",
        "_extended",
        "_parser",
        "_stalled",
        "_tail",
        "clean",
        "ended",
        "error",
    )

    def __init__(self) -> None:
        self._begun = False
        self._extended: ExtendedChunks | None = None
        self._stalled = 0
        self._tail = b""
        self.ended = False
        self.clean = False
        self.error: InvalidUpstreamResponse | None = None
        self._events = _Events()
        self._parser = HttpResponseParser(self._events)
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self._parser.feed_data(_BEFORE)
        self._events.next_message_begun = False

    def read(self, data: bytes) -> bytes:
        """Return the content in these bytes; set `ended`, `clean` and `error`."""
        if not self._begun:
            data = self._start(data)
            if not data:
                return data
        if self._extended is not None:
            return self._read_extended(self._extended, data)
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

    def _start(self, data: bytes) -> bytes:
        """Return the bytes to decode once the first line is complete, which decides how.

        Until then there are none.
        """
        if self._tail:
            data = self._tail + data
        if _BY_LLHTTP(data) is None:
            if _UNFINISHED(data) is not None and is_size_start(data):
                self._tail = data
                return b""
            self._extended = ExtendedChunks()
        self._begun = True
        self._tail = b""
        return data

    def _read_extended(self, body: ExtendedChunks, data: bytes) -> bytes:
        content = body.read(data)
        self.ended, self.clean, self.error = body.ended, body.clean, body.error
        return content


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
