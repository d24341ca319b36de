"""A WebSocket after its 101: bytes are forwarded unchanged in both directions."""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial

from gateway.proxy.frames import FrameTracker, close_frame
from gateway.proxy.head import ResponseHead

CLOSE_TIMEOUT = 1.0  # seconds to wait for a frame boundary, or for the peer's Close
_LINGER = 10.0  # seconds to write the last bytes of a disconnected client
_MAX_EARLY = 256 * 1024  # bytes buffered before the client is attached


class Tunnel(asyncio.Protocol):
    """The upstream side of a tunnel; `attach` connects the client side.

    Upstream bytes are buffered until then. The end of either side ends the other.
    """

    __slots__ = (
        "_client",
        "_client_full",
        "_client_pause",
        "_client_resume",
        "_close_timer",
        "_down",
        "_early",
        "_head",
        "_linger",
        "_loop",
        "_on_closed",
        "_over",
        "_up",
        "_upstream",
        "_upstream_full",
        "_upstream_lost",
        "bytes_down",
    )

    def __init__(
        self,
        upstream: asyncio.Transport,
        response_head: ResponseHead,
        *,
        early: bytes,
    ) -> None:
        self._head: ResponseHead | None = response_head
        self.bytes_down = 0
        self._loop = asyncio.get_running_loop()
        self._upstream = upstream
        self._client: asyncio.Transport | None = None
        self._client_pause: Callable[[], None] | None = None
        self._client_resume: Callable[[], None] | None = None
        self._up = _TunnelDirection(upstream.write, masked=True)
        self._down: _TunnelDirection | None = None
        self._early = [early] if early else []
        self._client_full = False
        self._upstream_full = False
        self._upstream_lost = False
        self._on_closed: list[Callable[[], None]] = []
        self._over = False
        self._close_timer: asyncio.TimerHandle | None = (
            None  # set while `close` is in progress
        )
        self._linger: asyncio.TimerHandle | None = None

    # The client side, called by the server

    def take_response_head(self) -> ResponseHead:
        """Return the head of the 101, without hop-by-hop fields; once.

        It is not kept: a tunnel may be open for days.
        """
        head, self._head = self._head, None
        assert head is not None  # noqa: S101 - narrows
        return head

    def attach(
        self, client: asyncio.Transport, on_closed: Callable[[], None] | None = None
    ) -> None:
        """Write upstream bytes to `client` from now on, buffered ones first.

        `on_closed` is called once, when the upstream side is closed and the client's
        transport is closing. Unless `on_client_pause` sets other callbacks, the
        client's transport is paused while the upstream's send buffer is full.
        """
        self._client = client
        self._down = _TunnelDirection(client.write, masked=False)
        if self._client_pause is None:
            self._client_pause = client.pause_reading
            self._client_resume = client.resume_reading
        early, self._early = self._early, []
        for data in early:
            self._forward_down(self._down, data)
        if on_closed is not None:
            self._on_closed.append(on_closed)
        if self._upstream_lost:
            self._finish()
        elif not self._client_full:
            self.resume_upstream_reading()

    def on_client_pause(
        self, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        """Set the callbacks that pause and resume reading from the client."""
        self._client_pause = pause
        self._client_resume = resume

    def feed(self, data: bytes) -> None:
        """Forward bytes of the client to the upstream."""
        if not self._upstream_lost and not self._upstream.is_closing():
            self._up.forward(data)
            if self._up.rest:
                self._pause_client()
                self._loop.call_soon(self._continue_up)
        elif self._close_timer is not None:
            self._up.tracker.feed(data)
        self._end_if_answered()

    def feed_eof(self) -> None:
        """Close both sides after pending data: the client has disconnected."""
        if self._upstream_lost:
            self._finish()
        elif self._linger is None:
            self._upstream.close()
            self._linger = self._loop.call_later(_LINGER, self.abort)

    def abort(self) -> None:
        """Abort both sides at once."""
        self._upstream.abort()
        if self._client is not None:
            self._client.abort()
        if self._upstream_lost:
            self._finish()

    def pause_upstream_reading(self) -> None:
        """Stop reading from the upstream: the client's send buffer is full."""
        self._client_full = True
        if not self._upstream_lost:
            self._upstream.pause_reading()

    def resume_upstream_reading(self) -> None:
        """Resume reading from the upstream."""
        self._client_full = False
        if self._down is not None and self._down.rest:
            return
        if not self._upstream_lost and not self._upstream.is_closing():
            self._upstream.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket with a Close frame to both sides, each between two frames.

        A side that stays in the middle of a frame, or does not send its own Close, is
        aborted after `CLOSE_TIMEOUT`.
        """
        if self._upstream_lost or self._close_timer is not None:
            return
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self.abort)
        self._up.close(code, reason)
        if self._down is not None:
            self._down.close(code, reason)
        if self._client is None:
            self._upstream.close()
        self._end_if_answered()

    async def closed(self) -> None:
        """Wait until both sides are closed."""
        if self._over:
            return
        waiter = self._loop.create_future()
        self._on_closed.append(partial(_wake, waiter))
        await waiter

    def add_closed_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when both sides are closed."""
        if self._over:
            callback()
        else:
            self._on_closed.append(callback)

    # The upstream side: asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Forward bytes of the upstream, or buffer them until a client is attached."""
        if self._down is not None:
            self._forward_down(self._down, data)
            self._end_if_answered()
            return
        self._early.append(data)
        if sum(map(len, self._early)) > _MAX_EARLY:
            self._upstream.pause_reading()

    def pause_writing(self) -> None:
        """Stop reading from the client: the upstream's send buffer is full."""
        self._upstream_full = True
        self._pause_client()

    def resume_writing(self) -> None:
        """Resume reading from the client."""
        self._upstream_full = False
        self._resume_client()

    def eof_received(self) -> None:
        """Treat a half-close as the end of the connection."""

    def connection_lost(self, _exc: Exception | None) -> None:
        """Close the client side after pending data.

        A client that has just received a Close frame may still answer it; closing
        before that would reset its connection.
        """
        self._upstream_lost = True
        down = self._down
        if self._close_timer is None or down is None or not down.ended:
            self._finish()

    # Internals

    def _finish(self) -> None:
        for timer in (self._close_timer, self._linger):
            if timer is not None:
                timer.cancel()
        if self._client is not None:
            self._client.close()
        self._over = True
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()

    def _client_closing(self) -> bool:
        return self._client is None or self._client.is_closing()

    def _forward_down(self, down: "_TunnelDirection", data: bytes) -> None:
        if not self._client_closing():
            self.bytes_down += down.forward(data)
            if down.rest and not self._upstream_lost:
                self._upstream.pause_reading()
                self._loop.call_soon(self._continue_down, down)

    def _continue_up(self) -> None:
        """Forward the frames that were too many for one iteration of the event loop."""
        if self._up.rest:
            self.feed(b"")
        self._resume_client()

    def _continue_down(self, down: "_TunnelDirection") -> None:
        if down.rest:
            self._forward_down(down, b"")
            self._end_if_answered()
        if not down.rest and not self._client_full:
            self.resume_upstream_reading()

    def _pause_client(self) -> None:
        if self._client_pause is not None and not self._client_closing():
            self._client_pause()

    def _resume_client(self) -> None:
        if self._upstream_full or self._up.rest:
            return
        if self._client_resume is not None and not self._client_closing():
            self._client_resume()

    def _end_if_answered(self) -> None:
        """Close each side that has both received and sent a Close frame."""
        down = self._down
        if self._close_timer is None or down is None:
            return
        # RFC 6455 section 5.5.1: after Close frames in both directions.
        if down.ended and self._up.tracker.closed and self._client is not None:
            self._client.close()
            if self._upstream_lost:
                self._finish()
        if self._up.ended and down.tracker.closed:
            self._upstream.close()


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():  # cancelled
        waiter.set_result(None)


class _TunnelDirection:
    """One direction: forwards bytes, and writes a Close frame between two frames."""

    __slots__ = ("_frame", "_masked", "_write", "ended", "rest", "tracker")

    def __init__(self, write: Callable[[bytes], None], *, masked: bool) -> None:
        self.tracker = FrameTracker()
        self.ended = False  # a Close frame was written
        self.rest = b""  # frames for a later iteration of the event loop
        self._write = write
        self._masked = masked
        self._frame: bytes | None = None  # a Close frame waiting for a boundary

    def forward(self, data: bytes) -> int:
        """Forward `data` up to a pending Close frame; return the number of bytes.

        Of thousands of frames some are left in `rest` for the next call.
        """
        if self.rest:
            data, self.rest = self.rest + data, b""
        if self._frame is None:
            passed = self.tracker.feed(data)
            if passed < len(data):
                data, self.rest = data[:passed], data[passed:]
            self._write(data)
            return passed
        passed = 0
        if not self.ended:
            passed = self.tracker.finish_frame(data)
            self._write(data[:passed])
            self._write_close()
        self.tracker.feed(data[passed:])
        return passed

    def close(self, code: int, reason: str) -> None:
        """Write a Close frame now, or at the end of the current frame."""
        mask = secrets.token_bytes(4) if self._masked else None
        self._frame = close_frame(code, reason, mask=mask)
        self._write_close()

    def _write_close(self) -> None:
        if not self.tracker.at_boundary or self._frame is None:
            return
        if not self.tracker.closed:
            self._write(self._frame)
        self.ended = True
