"""Decodes a chunked body whose extensions llhttp does not read. Pure.

The grammar is that of RFC 9112, section 7.1: lines end with CRLF. Spaces after a size
and extensions of any form are skipped, as nginx, HAProxy and Go skip them.
"""

import re
from typing import Final

from gateway.errors import InvalidUpstreamResponse
from gateway.http.response_fields import LENGTH, read_field
from gateway.proxy.head import MAX_HEAD_BYTES

_CRLF: Final = b"\r\n"
# 15 digits after the zeros: below 2**60. Extensions are discarded.
_SIZE_LINE: Final = re.compile(
    rb"(0*+[0-9A-Fa-f]{0,15}+)(?<=[0-9A-Fa-f])[\t ]*+(?:;[\t -~\x80-\xff]*+)?+"
).fullmatch
_SIZE_START: Final = re.compile(
    rb"0*+[0-9A-Fa-f]{0,15}+(?:(?<=[0-9A-Fa-f])[\t ]*+(?:;[\t -~\x80-\xff]*+)?+)?+\r?"
).fullmatch
_NO_LINE: Final = re.compile(rb"[\0\n]|\r(?!\Z)").search
_MAX_SIZE_LINE: Final = 4096
"""The limit of Go, for a size with its extensions."""
_BAD_SIZE: Final = "invalid chunk size or extension"
_MAX_TRAILERS: Final = MAX_HEAD_BYTES

# What the next bytes are; a positive number is the content left in a chunk.
_SIZE, _END_OF_CHUNK, _TRAILERS = 0, -1, -2


class ExtendedChunks:
    """Decoder of one chunked body: a BodyReader. Trailers are discarded."""

    __slots__ = ("_held", "_state", "_trailers", "clean", "ended", "error")

    def __init__(self) -> None:
        self._state = _SIZE
        self._held = b""  # a part of a line
        self._trailers = 0  # bytes of trailers
        self.ended = False
        self.clean = False
        self.error: InvalidUpstreamResponse | None = None

    def read(self, data: bytes) -> bytes:
        """See BodyReader."""
        pieces: list[bytes] = []
        if self.ended or self.error is not None:
            self.clean = False
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        try:
            self._read(data, pieces)
        except InvalidUpstreamResponse as error:
            self.error = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, data: bytes, pieces: list[bytes]) -> None:
        at, end = 0, len(data)
        while at < end and not self.ended:
            step = self._step(data, at, pieces)
            if step == 0:
                break  # the rest of a line is missing
            at += step
        self.clean = self.ended and at == end
        self._held = data[at:]

    def _step(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Read content or a line at a place; return its bytes, 0 for a part of a line."""
        state = self._state
        if state > 0:
            piece = data[at : at + state]
            pieces.append(piece)
            self._state = state - len(piece) or _END_OF_CHUNK
            return len(piece)
        line = data.find(_CRLF, at)
        rest = data[at:] if line < 0 else data[at:line]
        whole = line >= 0
        if state == _END_OF_CHUNK:
            if rest not in ({b""} if whole else {b"\r"}):
                raise InvalidUpstreamResponse("a chunk exceeds its size")
            self._state = _SIZE
        elif state == _SIZE:
            if whole:
                self._state = _size_of(rest) or _TRAILERS
            elif not is_size_start(rest):
                raise InvalidUpstreamResponse(_BAD_SIZE)
        else:
            self._read_trailer(rest, whole=whole)
        if whole:
            return line + 2 - at
        self._state = state
        return 0

    def _read_trailer(self, line: bytes, *, whole: bool) -> None:
        if self._trailers + len(line) > _MAX_TRAILERS:
            raise InvalidUpstreamResponse("trailers without end")
        if not whole:
            if _NO_LINE(line) is not None:
                raise InvalidUpstreamResponse("a trailer is not a field")
        elif line:
            self._trailers += len(line)
            _check_trailer(line)
        else:
            self.ended = True


def _size_of(line: bytes) -> int:
    found = _SIZE_LINE(line)
    if found is None or len(line) > _MAX_SIZE_LINE:
        raise InvalidUpstreamResponse(_BAD_SIZE)
    return int(found[1], 16)


def is_size_start(start: bytes) -> bool:
    """Return whether a line that begins so can be the size of a chunk."""
    return len(start) <= _MAX_SIZE_LINE and _SIZE_START(start) is not None


def _check_trailer(line: bytes) -> None:
    if read_field(line).role == LENGTH:
        raise InvalidUpstreamResponse("Content-Length as a trailer")
