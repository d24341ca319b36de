"""One connection to an upstream: one exchange at a time.

The head is cut off at its empty line and read as a whole; bodies with a length are
counted here, chunked ones taken apart. So the end of an answer is known to the byte,
and a connection is used again only when nothing came after it.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Protocol, assert_never

from gateway.errors import InvalidUpstreamResponse, UpstreamError, UpstreamTimeout
from gateway.proxy.body import RequestBody
from gateway.proxy.chunks import ChunkedDecoder
from gateway.proxy.framing import BodyKind, Framing, read_framing
from gateway.proxy.handshake import Handshake
from gateway.proxy.head import HeadBytes, read_response_head
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upload import Upload

MAX_INTERIM = 20  # 1xx answers before the final one
_SWITCHING, _FIRST_FINAL, _FIRST_ERROR, _FIRST_SERVER_ERROR = 101, 200, 400, 500
# What a server cannot do for this one request says nothing of its health.
_HEALTHY_ERRORS = frozenset({501, 505})


class FailureCounter(Protocol):
    """The target of a connection; `strikes` counts failures since the last success."""

    strikes: int


class ConnectionManager(Protocol):
    """What a connection needs to know from, and tell, the pool it is of."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    response_timeout: float
    idle_timeout: float

    def connection_reusable(self, connection: "Connection") -> None:
        """Take back a connection that is ready for the next request."""

    def connection_closed(self, connection: "Connection") -> None:
        """Forget a connection that takes no further request."""

    def connection_tunneled(self, connection: "Connection", tunnel: Tunnel) -> None:
        """Count a connection that became a tunnel until the tunnel ends."""

    def response_started(self, connection: "Connection", *, failed: bool) -> None:
        """Count a response head; `failed`: its status says that the server fails."""

    def response_completed(self, connection: "Connection") -> None:
        """Count a whole response of a target that had failed before."""

    def request_failed(self, connection: "Connection") -> None:
        """Count a request that got no response, or not the whole of it."""

    def socket_opened(self) -> None:
        """Hear that a socket is open."""

    def socket_closed(self) -> None:
        """Hear that a socket is closed."""


class ConnectionClosedBeforeResponse(InvalidUpstreamResponse):
    """The upstream closed before a byte of an answer.

    `reused`: on a connection that had served before, so that it may have been closing
    (RFC 9112 section 9.3.1) when the request was written.
    """

    def __init__(self, reused: bool) -> None:
        self.reused = reused
        super().__init__("the upstream closed the connection without an answer")


class _Phase(Enum):
    IDLE = "idle"
    HEAD = "head"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"
    CLOSED = "closed"


# Looking a member up in its class is slow (CPython 3.11), and this is the hot path.
_IDLE, _HEAD, _LENGTH, _CHUNKED, _UNTIL_CLOSE, _CLOSED = _Phase

UpstreamResult = UpstreamResponse | Tunnel


class Connection(asyncio.Protocol):
    """A connection and the exchange that is on it."""

    __slots__ = (
        "_decoder",
        "_failing",
        "_handshake",
        "_head",
        "_interim",
        "_keep_alive",
        "_manager",
        "_method",
        "_phase",
        "_received_any",
        "_remaining",
        "_response",
        "_result_future",
        "_transport",
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

    def __init__(self, manager: ConnectionManager, backend: FailureCounter) -> None:
        self.loop = manager.loop
        self.backend = backend  # the pool's: which target this counts for
        self.host = ""  # the address that a name was resolved to
        self.lives_until = inf  # the time after which it is not kept
        self.deadline = inf  # the time by which something has to happen
        self.expires = inf  # the time after which it is not used again
        self.write_paused = False
        self._manager = manager
        self._phase = _IDLE
        self._transport: asyncio.Transport = _NO_TRANSPORT
        self._used = False
        self._head = HeadBytes()
        self._upload: Upload | None = None
        self._response: UpstreamResponse | None = None
        self._result_future: asyncio.Future[UpstreamResult] | None = None

    # The exchange

    @property
    def closed(self) -> bool:
        """Tell whether no request can be sent any more."""
        return self._phase is _CLOSED

    def exchange(
        self,
        head: bytes,
        *,
        method: str,
        body: RequestBody | None,
        handshake: Handshake | None,
    ) -> asyncio.Future[UpstreamResult]:
        """Send a request; the future is the head of the answer, or an UpstreamError.

        Whoever stops waiting for it calls `abort`.
        """
        self._result_future = result_future = self.loop.create_future()
        self._response = None
        self._method = method
        self._handshake = handshake
        self._received_any = False
        self._failing = False
        self._interim = 0
        self._phase = _HEAD
        self._transport.write(head)
        if body is None:
            self.deadline = self._manager.clock() + self._manager.response_timeout
        else:
            self.deadline = inf
            self._upload = Upload(body, head, self)
        return result_future

    def abort(self) -> None:
        """Close at once: the upstream sees a request, or an answer, cut off."""
        if self._phase is _CLOSED:
            return
        self._phase = _CLOSED
        self.deadline = inf
        self._stop_upload()
        self._transport.abort()
        self._manager.connection_closed(self)

    def shut_down(self) -> None:
        """Close at once, and tell whoever waits for the answer."""
        self._fail(InvalidUpstreamResponse("the gateway closed the connection"))

    def close(self) -> None:
        """Close a connection that has no exchange."""
        if self._phase is not _CLOSED:
            self._phase = _CLOSED
            self._transport.close()
            self._manager.connection_closed(self)

    def time_out(self) -> None:
        """End the exchange because its deadline has passed."""
        if self._phase is _HEAD:
            self._manager.request_failed(self)
        if self._phase is not _HEAD:
            what = "the upstream went silent in the middle of its answer"
        elif self._upload is not None:
            what = "the upstream stopped taking the request"
        else:
            what = "the upstream did not answer in time"
        self._fail(UpstreamTimeout(what))

    def rearm(self) -> None:
        """Set the deadline from what is being waited for right now."""
        manager = self._manager
        if self.write_paused and self._upload is not None:
            self.deadline = manager.clock() + manager.idle_timeout
        elif self._phase is _HEAD:
            # As long as the request comes in, the client is waited for.
            waiting = self._upload is None
            self.deadline = (
                manager.clock() + manager.response_timeout if waiting else inf
            )
        elif self._response is not None and self._response.waiting:
            self.deadline = manager.clock() + manager.idle_timeout
        else:
            self.deadline = inf

    def pause_reading(self) -> None:
        """Stop reading, so that TCP makes the upstream wait."""
        if self._phase is not _CLOSED:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._phase is not _CLOSED:
            self._transport.resume_reading()

    # The request's body: the BodyWriter of its upload

    def write(self, *pieces: bytes) -> None:
        """See BodyWriter."""
        # Not writelines: asyncio's own, in Python 3.12 and 3.13, never says that the
        # buffer is full (CVE-2024-12254).
        self._transport.write(b"".join(pieces))

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

    # The answer

    def _read_head(self, data: bytes) -> None:
        while data:
            found = self._head.take(data)
            if found is None:
                return
            head, data = found
            status, minor, fields = read_response_head(head)
            if status >= _FIRST_FINAL or status == _SWITCHING:
                self._take_head(status, minor, fields, data)
                return
            # RFC 9110 section 15.2: a client parses 1xx answers and may ignore them.
            # We answer Expect ourselves, and 103 is advice that we do not pass on.
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise InvalidUpstreamResponse("too many interim answers")

    def _take_head(
        self, status: int, minor: int, fields: list[tuple[bytes, bytes]], rest: bytes
    ) -> None:
        framing = read_framing(
            method=self._method, status=status, minor=minor, fields=fields
        )
        failing = status >= _FIRST_SERVER_ERROR and status not in _HEALTHY_ERRORS
        self._failing = failing
        if failing or self.backend.strikes:
            self._manager.response_started(self, failed=failing)
        if status == _SWITCHING:
            self._switch(framing, fields, rest)
            return
        self._keep_alive = framing.keep_alive
        seconds = framing.keep_alive_seconds
        self.expires = inf if seconds is None else self._expiry(seconds)
        if self._upload is not None and status >= _FIRST_ERROR and not self._keep_alive:
            # RFC 9112 section 9.5: such an answer says that the rest is not wanted.
            self._stop_upload()
        self.deadline = inf
        length = framing.content_length or 0
        bodiless = framing.kind is BodyKind.NONE or framing.content_length == 0
        if bodiless or (framing.kind is BodyKind.LENGTH and len(rest) >= length):
            # All of it is here, as it is with most answers.
            content = b"" if bodiless else rest[:length]
            response = UpstreamResponse(status, fields, framing, None, content)
            self._end(clean=len(rest) == len(content))
        else:
            response = UpstreamResponse(status, fields, framing, self)
            self._response = response
            self._phase = _phase_for(framing.kind)
            self._remaining = length
            if self._phase is _CHUNKED:
                self._decoder = ChunkedDecoder()
            if rest:
                self._read_body(rest)
        result_future, self._result_future = self._result_future, None
        if result_future is not None and not result_future.done():
            result_future.set_result(response)

    def _expiry(self, seconds: int) -> float:
        """Keep the connection for less than the upstream says it will.

        What we send must arrive before the upstream closes.
        """
        return self._manager.clock() + max(seconds - 1, seconds / 2)

    def _switch(
        self, framing: Framing, fields: list[tuple[bytes, bytes]], rest: bytes
    ) -> None:
        handshake = self._handshake
        if handshake is None:
            raise InvalidUpstreamResponse("a 101 that nobody asked for")
        handshake.check(fields)
        result_future, self._result_future = self._result_future, None
        self.deadline = inf
        self._phase = _CLOSED
        tunnel = Tunnel(self._transport, framing.end_to_end, early=rest)
        self._transport.set_protocol(tunnel)
        if self.backend.strikes:
            self._manager.response_completed(self)
        self._manager.connection_tunneled(self, tunnel)
        if result_future is not None and not result_future.done():
            result_future.set_result(tunnel)

    def _read_body(self, data: bytes) -> None:
        response = self._response
        if response is None:
            return
        if self._phase is _LENGTH:
            over = len(data) - self._remaining
            self._remaining -= len(data)
            response.feed(data if over <= 0 else data[:-over])
            if over >= 0:
                self._end(clean=over == 0)
        elif self._phase is _CHUNKED:
            decoder = self._decoder
            content = decoder.read(data)
            if content:
                response.feed(content)
            if decoder.ended:
                self._end(clean=decoder.clean)
            elif decoder.error is not None:
                raise decoder.error
        else:
            response.feed(data)

    def _end(self, *, clean: bool) -> None:
        """End a whole answer; keep the connection if nothing speaks against it."""
        response = self._response
        if response is not None:
            self._response = None
            response.finish(None)
        if self.backend.strikes and not self._failing:
            self._manager.response_completed(self)
        if clean and self._keep_alive and self._upload is None:
            self._phase = _IDLE
            self._used = True
            self.deadline = inf
            self._manager.connection_reusable(self)
        else:
            self.abort()

    def _fail(self, error: Exception) -> None:
        result_future, response = self._result_future, self._response
        self._result_future = self._response = None
        self.abort()
        if response is not None:
            response.finish(error)
        if result_future is not None and not result_future.done():
            result_future.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._manager.socket_opened()
        self._transport = transport  # type: ignore[assignment] # a stream's

    def data_received(self, data: bytes) -> None:
        """Read on in the answer; bytes that nobody asked for end the connection."""
        try:
            if self._phase is _HEAD:
                self._received_any = True
                self._read_head(data)
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
        """Take the upstream's end of sending for the end of the connection."""
        self._upstream_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody who waits for something."""
        upload = self._upload
        self._upstream_closed(exc)
        if upload is not None:
            upload.resume()
        self._manager.socket_closed()

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
                "the upstream closed in the middle of its answer"
            )
        # A kept connection that turns out to be closed says nothing of the target.
        if not (isinstance(failure, ConnectionClosedBeforeResponse) and failure.reused):
            self._manager.request_failed(self)
        failure.__cause__ = exc
        self._fail(failure)

    def pause_writing(self) -> None:
        """Make the upload wait."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Let the upload go on."""
        self.write_paused = False
        if self._upload is not None:
            self._upload.resume()


def _phase_for(kind: BodyKind) -> _Phase:
    match kind:
        case BodyKind.LENGTH:
            return _LENGTH
        case BodyKind.CHUNKED:
            return _CHUNKED
        case BodyKind.UNTIL_CLOSE:
            return _UNTIL_CLOSE
        case BodyKind.NONE:
            return _IDLE
        case unreachable:
            assert_never(unreachable)


_NO_TRANSPORT = asyncio.Transport()
