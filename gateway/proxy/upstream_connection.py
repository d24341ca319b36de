"""One connection to an upstream, with one exchange at a time.

A response head is parsed as a whole. Bodies are counted by Content-Length or decoded
by chunks, so the end of a response is known to the byte. A connection is reused only
if no bytes follow it.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from math import inf

from gateway.errors import InvalidUpstreamResponse, UpstreamError, UpstreamTimeout
from gateway.proxy.body import RequestBody, complete_request
from gateway.proxy.connection_manager import ConnectionManager, FailureCounter
from gateway.proxy.framing import (
    FIRST_ERROR,
    FIRST_SERVER_ERROR,
    UNTIL_CLOSE,
    Framing,
    read_framing,
)
from gateway.proxy.handshake import Handshake
from gateway.proxy.head import SWITCHING, HeadBytes, ResponseHead
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.response_body import BodyReader, body_reader
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.unread_tls import UnreadTls
from gateway.proxy.upload import Upload

_READ = 64 * 1024
# 501 and 505 depend on the request, not on the health of the server.
_HEALTHY_ERRORS = frozenset({501, 505})


class ConnectionClosedBeforeResponse(InvalidUpstreamResponse):
    """The upstream closed the connection before the first byte of a response.

    `reused`: the connection had carried a request before, so it may have been closing
    when this one was written (RFC 9112 section 9.3.1).
    """

    def __init__(self, reused: bool) -> None:
        self.reused = reused
        super().__init__("the upstream closed the connection without a response")


class _Phase(Enum):
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    UNTIL_CLOSE = "until close"
    CLOSED = "closed"


# Looking up an enum member is slow (CPython 3.11), and this is the hot path.
_IDLE, _HEAD, _BODY, _UNTIL_CLOSE, _CLOSED = _Phase

UpstreamResult = UpstreamResponse | Tunnel
OnResult = Callable[[UpstreamResult | Exception], None]


class Connection(asyncio.Protocol):
    """A connection, and the exchange that uses it."""

    __slots__ = (
        "_body",
        "_done",
        "_failing",
        "_handshake",
        "_head",
        "_keep_alive",
        "_lost",
        "_manager",
        "_method",
        "_phase",
        "_received_any",
        "_response",
        "_transport",
        "_unread",
        "_upload",
        "_used",
        "backend",
        "deadline",
        "expires",
        "host",
        "lives_until",
        "loop",
        "write_paused",
    )

    def __init__(
        self, manager: ConnectionManager["Connection"], backend: FailureCounter
    ) -> None:
        self.loop = manager.loop
        self.backend = backend  # the target, owned by the pool
        self.host = ""  # the resolved address of a name
        self.lives_until = inf  # not reused after this time
        self.deadline = inf  # the exchange times out at this time
        self.expires = inf  # when it is idle, closed at this time
        self.write_paused = False
        self._manager = manager
        self._phase = _IDLE
        self._transport: asyncio.Transport = _NO_TRANSPORT
        self._used = False
        self._lost = False
        self._head = HeadBytes()
        self._upload: Upload | None = None
        self._unread: UnreadTls | None = None
        self._body: BodyReader
        self._response: UpstreamResponse | None = None
        self._done: OnResult | None = None  # called with the result of the exchange

    # The exchange

    @property
    def closed(self) -> bool:
        """Whether no further request can be sent."""
        return self._phase is _CLOSED

    def begin(
        self,
        head: bytes,
        method: str,
        body: RequestBody | None,
        handshake: Handshake | None,
        done: OnResult,
    ) -> None:
        """Send a request; `head` may include a body that has arrived.

        `done` is called once, later, with the response, the tunnel or the error, and
        must not raise; not after `abort`, with which a caller stops waiting.
        """
        self._done = done
        self._response = None
        self._method = method
        self._handshake = handshake
        self._received_any = False
        self._failing = False
        self._phase = _HEAD
        complete = head if body is None else complete_request(head, body)
        self._transport.write(complete or head)
        if complete is not None:
            self.deadline = self._manager.clock() + self._manager.response_timeout
        elif body is not None:
            self.deadline = inf
            if self._transport.get_extra_info("ssl_object") is not None:
                with suppress(OSError):  # no descriptor is free: it can do without
                    self._unread = UnreadTls(self._transport)
            self._upload = Upload(body, head, self)

    def exchange(
        self,
        head: bytes,
        *,
        method: str,
        body: RequestBody | None,
        handshake: Handshake | None,
    ) -> asyncio.Future[UpstreamResult]:
        """Send a request; return a future of the response or tunnel.

        It fails with an UpstreamError. A caller that stops waiting calls `abort`.
        """
        future: asyncio.Future[UpstreamResult] = self.loop.create_future()
        done = partial(_settle, future)
        self.begin(head, method=method, body=body, handshake=handshake, done=done)
        return future

    def abort(self) -> None:
        """Close the connection at once, in the middle of an exchange."""
        self._done = None
        self._close()

    def _close(self) -> None:
        if self._phase is _CLOSED:
            return
        self._phase = _CLOSED
        self.deadline = inf
        self._stop_upload()
        self._transport.abort()
        self._manager.connection_closed(self)

    def shut_down(self) -> None:
        """Close the connection at once; the exchange fails."""
        self._fail(InvalidUpstreamResponse("the gateway closed the connection"))

    def close(self) -> None:
        """Close an idle connection."""
        if self._phase is not _CLOSED:
            self._phase = _CLOSED
            self._transport.close()
            self._manager.connection_closed(self)

    def time_out(self) -> None:
        """Fail the exchange with UpstreamTimeout: its deadline has passed."""
        if self._phase is _HEAD:
            self._manager.request_failed(self)
        if self._phase is not _HEAD:
            what = (
                "the upstream sent nothing for too long in the middle of its response"
            )
        elif self._upload is not None:
            what = "the upstream stopped reading the request"
        else:
            what = "the upstream did not respond in time"
        self._fail(UpstreamTimeout(what))

    def rearm(self) -> None:
        """Set the deadline for what the exchange waits for now."""
        manager = self._manager
        if self.write_paused and self._upload is not None:
            self.deadline = manager.clock() + manager.idle_timeout
        elif self._phase is _HEAD:
            # No deadline while the client still sends: its own timeout applies.
            waiting = self._upload is None
            self.deadline = (
                manager.clock() + manager.response_timeout if waiting else inf
            )
        elif self._response is not None and self._response.waiting:
            self.deadline = manager.clock() + manager.idle_timeout
        else:
            self.deadline = inf

    def pause_reading(self) -> None:
        """Stop reading; TCP flow control pauses the upstream."""
        if self._phase is not _CLOSED:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading."""
        if self._phase is not _CLOSED:
            self._transport.resume_reading()

    # The request's body: the BodyWriter of its upload

    def write(self, data: bytes) -> None:
        """See BodyWriter."""
        # Not writelines: in Python 3.12 and 3.13 asyncio's does not pause the protocol
        # when the buffer is full (CVE-2024-12254).
        self._transport.write(data)

    def upload_finished(self) -> None:
        """See BodyWriter."""
        self._upload = None
        self.rearm()

    def upload_failed(self, error: Exception) -> None:
        """See BodyWriter."""
        self._upload = None
        self._fail(error)

    def _stop_upload(self) -> None:
        if self._upload is not None:
            self._upload.stop()
            self._upload = None

    # The response

    def _take_head(self, head: ResponseHead, rest: bytes) -> None:
        framing = head.framing
        if framing is None or self._method == "HEAD":
            framing = read_framing(self._method, head)
        if (
            framing.ordinary
            and len(rest) == framing.body_bytes
            and not self.backend.strikes
            and not (self._upload or self._unread or self._lost)
        ):
            # A complete response, after which the connection is free: most are.
            self.expires = inf
            self._release()
            done, self._done = self._done, None
            if done is not None:
                done(UpstreamResponse(head, framing, None, rest))
            return
        self._take_unusual(head, framing, rest)

    def _take_unusual(self, head: ResponseHead, framing: Framing, rest: bytes) -> None:
        status = head.status
        failing = status >= FIRST_SERVER_ERROR and status not in _HEALTHY_ERRORS
        self._failing = failing
        if failing or self.backend.strikes:
            self._manager.response_started(self, failed=failing)
        if status == SWITCHING:
            self._switch(framing, head, rest)
            return
        self._keep_alive = framing.keep_alive
        seconds = framing.keep_alive_seconds
        self.expires = inf if seconds is None else self._expiry(seconds)
        if self._upload is not None and status >= FIRST_ERROR and not self._keep_alive:
            # RFC 9112 section 9.5: the server does not want the rest of the body.
            self._stop_upload()
        self.deadline = inf
        length = framing.body_bytes
        if length is not None and len(rest) >= length:
            content = rest[:length]
            response = UpstreamResponse(head, framing, None, content)
            self._end(clean=len(rest) == len(content))
        else:
            response = UpstreamResponse(head, framing, self)
            self._response = response
            self._body = body_reader(framing)
            self._phase = _UNTIL_CLOSE if framing.kind is UNTIL_CLOSE else _BODY
            if rest:
                self._read_body(rest)
        done, self._done = self._done, None
        if done is not None:
            done(response)

    def _expiry(self, seconds: int) -> float:
        """Return when an idle connection expires: before the upstream's own timeout.

        A request must arrive before the upstream closes.
        """
        return self._manager.clock() + max(seconds - 1, seconds / 2)

    def _switch(self, framing: Framing, head: ResponseHead, rest: bytes) -> None:
        handshake = self._handshake
        if handshake is None:
            raise InvalidUpstreamResponse("unexpected 101")
        handshake.check(head.pairs())
        done, self._done = self._done, None
        self.deadline = inf
        self._phase = _CLOSED
        tunnel = Tunnel(self._transport, framing.end_to_end, early=rest)
        self._transport.set_protocol(tunnel)
        if self.backend.strikes:
            self._manager.response_completed(self)
        self._manager.connection_tunneled(self, tunnel)
        if done is not None:
            done(tunnel)

    def _read_body(self, data: bytes) -> None:
        response, body = self._response, self._body
        if response is None:
            return
        content = body.read(data)
        if content:
            response.feed(content)
        if body.ended:
            self._end(clean=body.clean)
        elif body.error is not None:
            raise body.error

    def _end(self, *, clean: bool) -> None:
        """End a complete response; keep the connection if it is reusable."""
        if self._unread is not None:
            self._release_unread()
        response = self._response
        if response is not None:
            self._response = None
            response.finish(None)
        if self.backend.strikes and not self._failing:
            self._manager.response_completed(self)
        if clean and self._keep_alive and self._upload is None and not self._lost:
            self._release()
        else:
            self._close()

    def _release(self) -> None:
        self._phase = _IDLE
        self._used = True
        self.deadline = inf
        self._manager.connection_reusable(self)

    def _fail(self, error: Exception) -> None:
        done, response = self._done, self._response
        self._done = self._response = None
        self._close()
        if response is not None:
            response.finish(error)
        if done is not None:
            done(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._manager.socket_opened()
        self._transport = transport  # type: ignore[assignment] # a stream's

    def data_received(self, data: bytes) -> None:
        """Parse response bytes; unsolicited bytes close the connection."""
        try:
            if self._phase is _HEAD:
                self._received_any = True
                found = self._head.final_head(data)
                if found is not None:
                    head, rest = found
                    self._take_head(head, rest)
            elif self._phase is _IDLE:
                self.abort()
            elif self._phase is not _CLOSED:
                self._read_body(data)
                if self._response is not None:
                    self.rearm()
        except UpstreamError as error:
            self._manager.request_failed(self)
            self._fail(error)

    def eof_received(self) -> None:
        """Treat a half-close as the end of the connection."""
        self._upstream_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange and wake the upload."""
        upload = self._upload
        self._lost = True
        if exc is not None or self._unread is not None:
            self._read_what_came_before()
            self._release_unread()
        self._upstream_closed(exc)
        if upload is not None:
            upload.resume()
        self._manager.socket_closed()

    def _read_what_came_before(self) -> None:
        """Read a response that arrived before a reset, if there is one.

        An upstream that refuses a body answers, closes, and resets the connection for
        the bytes that still come (RFC 9112, section 9.6). The write that fails ends the
        transport; what it had not read yet is still in the receive buffer of the kernel.
        """
        if self._handshake is not None:
            return  # a tunnel needs a living transport
        if self._unread is not None:
            received = self._unread.read()
            if received and self._phase not in {_IDLE, _CLOSED}:
                self.data_received(received)
            return
        opened = self._transport.get_extra_info("socket")
        if opened is None or self._transport.get_extra_info("ssl_object") is not None:
            return
        while self._phase not in {_IDLE, _CLOSED}:
            try:
                data = os.read(opened.fileno(), _READ)
            except OSError:
                return
            if not data:
                return
            self.data_received(data)

    def _release_unread(self) -> None:
        if self._unread is not None:
            self._unread.close()
            self._unread = None

    def _upstream_closed(self, exc: Exception | None) -> None:
        failure: UpstreamError
        if self._phase is _CLOSED:
            return
        if self._phase is _IDLE:
            self.abort()
            return
        if self._phase is _UNTIL_CLOSE and exc is None:
            self._end(clean=False)
            return
        if self._phase is _HEAD and not self._received_any:
            failure = ConnectionClosedBeforeResponse(self._used)
        else:
            failure = InvalidUpstreamResponse(
                "the upstream closed in the middle of its response"
            )
        # A stale pooled connection does not mean that the target is unhealthy.
        if not (isinstance(failure, ConnectionClosedBeforeResponse) and failure.reused):
            self._manager.request_failed(self)
        failure.__cause__ = exc
        self._fail(failure)

    def pause_writing(self) -> None:
        """Pause the upload."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Resume the upload."""
        self.write_paused = False
        if self._upload is not None:
            self._upload.resume()


_NO_TRANSPORT = asyncio.Transport()


def _settle(
    future: asyncio.Future[UpstreamResult], result: UpstreamResult | Exception
) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
