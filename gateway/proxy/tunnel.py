"""A WebSocket after its 101: bytes both ways, as they are."""

import asyncio
import secrets
from collections.abc import Callable

from gateway.proxy.frames import FrameTracker, close_frame

CLOSE_TIMEOUT = (
    1.0  # seconds that a close of ours may wait, for a boundary or an answer
)
_LINGER = 10.0  # seconds for the upstream to take the last bytes of a client who left
_MAX_EARLY = 256 * 1024  # bytes kept before the client's side is there


class Tunnel(asyncio.Protocol):
    """The upstream's end of a tunnel, and the way to the client's.

    Upstream bytes wait until `attach`. The end of either side ends the other.
    """

    __slots__ = (
        "_client",
        "_client_full",
        "_client_pause",
        "_client_resume",
        "_close_timer",
        "_closed",
        "_down",
        "_early",
        "_linger",
        "_loop",
        "_on_closed",
        "_up",
        "_upstream",
        "_upstream_full",
        "_upstream_lost",
        "bytes_down",
        "bytes_up",
        "response_headers",
    )

    def __init__(
        self,
        upstream: asyncio.Transport,
        response_headers: list[tuple[bytes, bytes]],
        *,
        early: bytes,
    ) -> None:
        self.response_headers = response_headers  # end-to-end ones of the 101
        self.bytes_up = 0
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
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._close_timer: asyncio.TimerHandle | None = (
            None  # set: a close of ours is on
        )
        self._linger: asyncio.TimerHandle | None = None

    # The client's side, called by the server

    def attach(
        self, client: asyncio.Transport, on_closed: Callable[[], None] | None = None
    ) -> None:
        """Write upstream bytes to `client` from now on, those that waited first.

        `on_closed` is called once, when both sides are over: the upstream's is closed
        and the client's transport has been told to close. Until `on_client_pause`
        says otherwise the client's transport is paused itself when the upstream does
        not take more.
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
        """Have the client's reading stopped and started by these."""
        self._client_pause = pause
        self._client_resume = resume

    def feed(self, data: bytes) -> None:
        """Pass the client's bytes on to the upstream."""
        if not self._upstream_lost and not self._upstream.is_closing():
            self.bytes_up += self._up.forward(data)
            if self._up.rest:
                self._pause_client()
                self._loop.call_soon(self._continue_up)
        elif self._close_timer is not None:
            self._up.tracker.feed(data)
        self._end_if_answered()

    def feed_eof(self) -> None:
        """End both sides in order, because the client's has ended."""
        if self._upstream_lost:
            self._finish()
        elif self._linger is None:
            self._upstream.close()
            self._linger = self._loop.call_later(_LINGER, self.abort)

    def abort(self) -> None:
        """End both sides at once."""
        self._upstream.abort()
        if self._client is not None:
            self._client.abort()
        if self._upstream_lost:
            self._finish()

    def pause_upstream_reading(self) -> None:
        """Stop reading the upstream: the client does not take more."""
        self._client_full = True
        if not self._upstream_lost:
            self._upstream.pause_reading()

    def resume_upstream_reading(self) -> None:
        """Read the upstream again."""
        self._client_full = False
        if self._down is not None and self._down.rest:
            return
        if not self._upstream_lost and not self._upstream.is_closing():
            self._upstream.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket with a Close to both sides, each between two frames.

        What is in the middle of a frame, or does not answer the Close, is cut off
        after `CLOSE_TIMEOUT`.
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
        """Wait until both sides are over."""
        await asyncio.shield(self._closed)

    def add_closed_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, when both sides are over."""
        if self._closed.done():
            callback()
        else:
            self._on_closed.append(callback)

    # The upstream's side: asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Pass the upstream's bytes on, or keep them until there is a client."""
        if self._down is not None:
            self._forward_down(self._down, data)
            self._end_if_answered()
            return
        self._early.append(data)
        if sum(map(len, self._early)) > _MAX_EARLY:
            self._upstream.pause_reading()

    def pause_writing(self) -> None:
        """Have the client wait: the upstream does not take more."""
        self._upstream_full = True
        self._pause_client()

    def resume_writing(self) -> None:
        """Have the client go on."""
        self._upstream_full = False
        self._resume_client()

    def eof_received(self) -> None:
        """End both sides when the upstream has ended its own."""

    def connection_lost(self, _exc: Exception | None) -> None:
        """Close the client's side after what was written to it.

        A client who has just got a Close of ours may still answer it: closing before
        would reset the connection under it.
        """
        self._upstream_lost = True
        down = self._down
        if self._close_timer is None or down is None or not down.ended:
            self._finish()

    # Inside

    def _finish(self) -> None:
        for timer in (self._close_timer, self._linger):
            if timer is not None:
                timer.cancel()
        if self._client is not None:
            self._client.close()
        if not self._closed.done():
            self._closed.set_result(None)
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
        """Pass on, in a later turn, what was too many frames for one."""
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
        """Once a close of ours is out and answered on a side, close that side."""
        down = self._down
        if self._close_timer is None or down is None:
            return
        # RFC 6455 section 5.5.1: after a Close both ways the connection is closed.
        if down.ended and self._up.tracker.closed and self._client is not None:
            self._client.close()
            if self._upstream_lost:
                self._finish()
        if self._up.ended and down.tracker.closed:
            self._upstream.close()


class _TunnelDirection:
    """One direction: passes bytes on, and puts in a Close where one may stand."""

    __slots__ = ("_frame", "_masked", "_write", "ended", "rest", "tracker")

    def __init__(self, write: Callable[[bytes], None], *, masked: bool) -> None:
        self.tracker = FrameTracker()
        self.ended = False  # the other side has got a Close
        self.rest = b""  # frames for a later turn of the event loop
        self._write = write
        self._masked = masked
        self._frame: bytes | None = None  # a Close of ours, waiting for its place

    def forward(self, data: bytes) -> int:
        """Pass `data` on, up to where our Close stands; return how much.

        Of very many frames some are left in `rest`; the next call goes on with them.
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
        """Put in a Close now, or at the end of the frame that is on its way."""
        mask = secrets.token_bytes(4) if self._masked else None
        self._frame = close_frame(code, reason, mask=mask)
        self._write_close()

    def _write_close(self) -> None:
        if not self.tracker.at_boundary or self._frame is None:
            return
        if not self.tracker.closed:
            self._write(self._frame)
        self.ended = True
