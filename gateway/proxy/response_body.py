"""Finds the end of a response body in the received bytes. Pure.

There is one reader for each way to mark the end (RFC 9112, section 6.3).
"""

from typing import Protocol

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.chunks import ChunkedDecoder
from gateway.proxy.framing import BY_CHUNKS, BY_LENGTH, Framing


class BodyReader(Protocol):
    """Reads one body.

    ended  the end of the body was read
    clean  no bytes followed it
    error  why the body is invalid
    """

    ended: bool
    clean: bool
    error: InvalidUpstreamResponse | None

    def read(self, data: bytes) -> bytes:
        """Return the content in these bytes."""


def body_reader(framing: Framing) -> BodyReader:
    """Return a reader for a response that has a body."""
    if framing.kind is BY_CHUNKS:
        return ChunkedDecoder()
    if framing.kind is BY_LENGTH:
        return LengthReader(framing.content_length or 0)
    return UntilCloseReader()


class LengthReader:
    """Reads a body of known length."""

    __slots__ = ("_left", "clean", "ended", "error")

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = False
        self.clean = False
        self.error: InvalidUpstreamResponse | None = None

    def read(self, data: bytes) -> bytes:
        """See BodyReader."""
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.ended, self.clean = True, left == 0
        return data if left == 0 else data[:left]


class UntilCloseReader:
    """Reads a body that ends with the connection."""

    __slots__ = ("clean", "ended", "error")

    def __init__(self) -> None:
        self.ended = False
        self.clean = False
        self.error: InvalidUpstreamResponse | None = None

    def read(self, data: bytes) -> bytes:
        """See BodyReader."""
        return data
