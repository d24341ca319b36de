"""A response of an upstream: its head, and its body as it arrives."""

import asyncio
from typing import Protocol

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.framing import Framing
from gateway.proxy.head import ResponseHead

HIGH_WATER = 256 * 1024  # queued bytes above which reading pauses


class Source(Protocol):
    """The connection that a response is read from."""

    loop: asyncio.AbstractEventLoop

    def pause_reading(self) -> None:
        """Stop reading from the upstream."""

    def resume_reading(self) -> None:
        """Resume reading."""

    def rearm(self) -> None:
        """Set the deadline of the exchange."""

    def abort(self) -> None:
        """Close the connection at once."""


class UpstreamResponse:
    """One response; read it to its end, or call `abort`.

    The connection returns to its pool as soon as the last byte has arrived, read or not.
    """

    __slots__ = (
        "_error",
        "_paused",
        "_pieces",
        "_queued",
        "_source",
        "_waiter",
        "content",
        "content_length",
        "end_to_end",
        "has_body",
        "received",
        "status",
    )

    def __init__(
        self,
        received: ResponseHead,
        framing: Framing,
        source: Source | None,
        content: bytes | None = None,
    ) -> None:
        """Create a response; without a source, `content` is the complete body."""
        self.content = content
        self.status = received.status
        self.received = received
        self.content_length = framing.content_length
        self.has_body = framing.body_bytes != 0
        self.end_to_end = framing.end_to_end  # without the fields that Connection names
        self._source = source  # None: the end has arrived
        self._pieces = [content] if content else []
        self._queued = 0
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The names and values of all fields, as received."""
        return self.received.pairs()

    def replace_head(self, head: ResponseHead) -> None:
        """Relay these fields instead of those received."""
        self.end_to_end = head

    def complete_body(self) -> bytes | None:
        """Return the rest of the body if all of it has arrived, else None."""
        if self._source is not None or self._error is not None:
            return None
        pieces = self._pieces
        if len(pieces) == 1 and not self._paused:
            self._queued = 0
            return pieces.pop()
        return self._take()

    async def read(self) -> bytes:
        """Return the next bytes as soon as there are any; b"" at the end.

        Raises:
            InvalidUpstreamResponse: the body is incomplete, or its framing is invalid.
            UpstreamTimeout: no bytes arrived within the idle timeout.
            Exception: reading the body of the request failed meanwhile.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            source = self._source
            if source is None:
                return b""
            self._waiter = source.loop.create_future()
            source.rearm()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.abort()
                raise
            finally:
                self._waiter = None
        return self._take()

    def abort(self) -> None:
        """Close the upstream's connection at once, unless the end has arrived."""
        source = self._source
        if source is not None:
            self._source = None
            self._error = InvalidUpstreamResponse("response aborted before completion")
            self._pieces.clear()
            source.abort()
            self._wake()

    @property
    def waiting(self) -> bool:
        """Whether a reader waits for the next bytes."""
        return self._waiter is not None and not self._waiter.done()

    def feed(self, data: bytes) -> None:
        """Add bytes of the body; called by the connection."""
        self._pieces.append(data)
        self._queued += len(data)
        if self._queued > HIGH_WATER and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause_reading()
        self._wake()

    def finish(self, error: Exception | None) -> None:
        """End the body, with `error` if it failed; called by the connection."""
        source = self._source
        self._source = None
        self._error = error
        if self._paused and source is not None:
            self._paused = False
            source.resume_reading()
        self._wake()

    def _take(self) -> bytes:
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._queued = 0
        if self._paused:
            self._paused = False
            if self._source is not None:
                self._source.resume_reading()
        return data

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
