"""One connection to an upstream: one exchange at a time, over llhttp (strict).

The head is cut off at its empty line and given to the parser; bodies with a length
are counted here, chunked ones parsed. So the end of an answer is known to the byte,
and a connection is used again only when nothing came after it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from math import inf
from typing import Protocol, assert_never

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from gateway.errors import BadAnswer, UpstreamError, UpstreamTimeout
from gateway.proxy.body import BodyLengthError, RequestBody, declared_length
from gateway.proxy.framing import MAX_HEAD_BYTES, BodyKind, Framing, read_framing
from gateway.proxy.handshake import Handshake
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.tunnel import Tunnel

MAX_INTERIM = 20  # 1xx answers before the final one
_MAX_STALLED = MAX_HEAD_BYTES  # chunk extensions and trailers without any content
_HEAD_END = b"\r\n\r\n"
_SUSPICIOUS_END = b"\n" + _HEAD_END
_FIRST_STATUS, _SWITCHING, _FIRST_FINAL, _FIRST_ERROR, _LAST_STATUS = (
    100,
    101,
    200,
    400,
    599,
)
_HTTP11 = b"HTTP/1.1 "
_HTTP10 = b"HTTP/1.0 "


class Owner(Protocol):
    """What a connection needs to know from, and tell, the pool it is of."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    response_timeout: float
    idle_timeout: float

    def reusable(self, connection: "Connection") -> None:
        """Take back a connection that is ready for the next request."""

    def gone(self, connection: "Connection") -> None:
        """Forget a connection that takes no further request."""

    def tunneled(self, connection: "Connection", tunnel: Tunnel) -> None:
        """Count a connection that became a tunnel until the tunnel ends."""

    def opened(self) -> None:
        """Hear that a socket is open."""

    def lost(self) -> None:
        """Hear that a socket is closed."""


class Unanswered(BadAnswer):
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

Answer = UpstreamResponse | Tunnel


class Connection(asyncio.Protocol):
    """A connection and the exchange that is on it."""

    __slots__ = (
        "_answer",
        "_end_seen",
        "_fields",
        "_handshake",
        "_head_done",
        "_head_size",
        "_heard",
        "_interim",
        "_keep_alive",
        "_method",
        "_owner",
        "_parser",
        "_phase",
        "_pieces",
        "_pump",
        "_remaining",
        "_response",
        "_stalled",
        "_start",
        "_tail",
        "_transport",
        "_used",
        "_writable",
        "_write_paused",
        "deadline",
        "expires",
        "loop",
        "slot",
    )

    def __init__(self, owner: Owner, slot: object) -> None:
        self.loop = owner.loop
        self.slot = slot  # the pool's: which target this counts for
        self.deadline = inf  # the time by which something has to happen
        self.expires = inf  # the time after which it is not used again
        self._owner = owner
        self._phase = _IDLE
        self._transport: asyncio.Transport = _NO_TRANSPORT
        self._used = False
        self._write_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._response: UpstreamResponse | None = None
        self._answer: asyncio.Future[Answer] | None = None

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
    ) -> asyncio.Future[Answer]:
        """Send a request; the future is the head of the answer, or an UpstreamError.

        Whoever stops waiting for it calls `abort`.
        """
        self._answer = answer = self.loop.create_future()
        self._response = None
        self._method = method
        self._handshake = handshake
        self._heard = False
        self._interim = 0
        self._end_seen = False
        self._phase = _HEAD
        self._expect_head()
        self._transport.write(head)
        if body is None:
            self.deadline = self._owner.clock() + self._owner.response_timeout
        else:
            self.deadline = inf
            self._pump = self.loop.create_task(self._send_body(body, head))
        return answer

    def abort(self) -> None:
        """Close at once: the upstream sees a request, or an answer, cut off."""
        if self._phase is _CLOSED:
            return
        self._phase = _CLOSED
        self.deadline = inf
        self._stop_pump()
        self._transport.abort()
        self._owner.gone(self)

    def shut_down(self) -> None:
        """Close at once, and tell whoever waits for the answer."""
        self._fail(BadAnswer("the gateway closed the connection"))

    def close(self) -> None:
        """Close a connection that has no exchange."""
        if self._phase is not _CLOSED:
            self._phase = _CLOSED
            self._transport.close()
            self._owner.gone(self)

    def time_out(self) -> None:
        """End the exchange because its deadline has passed."""
        if self._phase is not _HEAD:
            what = "the upstream went silent in the middle of its answer"
        elif self._pump is not None:
            what = "the upstream stopped taking the request"
        else:
            what = "the upstream did not answer in time"
        self._fail(UpstreamTimeout(what))

    def rearm(self) -> None:
        """Set the deadline from what is being waited for right now."""
        owner = self._owner
        if self._write_paused and self._pump is not None:
            self.deadline = owner.clock() + owner.idle_timeout
        elif self._phase is _HEAD:
            # As long as the request comes in, the client is waited for.
            waiting = self._pump is None
            self.deadline = owner.clock() + owner.response_timeout if waiting else inf
        elif self._response is not None and self._response.waiting:
            self.deadline = owner.clock() + owner.idle_timeout
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

    # The request's body

    async def _send_body(self, body: RequestBody, head: bytes) -> None:
        try:
            if body.chunked:
                await self._send_chunks(body)
            else:
                await self._send_length(body, declared_length(head))
        except asyncio.CancelledError:
            self._give_up_body(BadAnswer("the sending of the request was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiter gets it
            self._give_up_body(error)
        else:
            self._pump = None
            self.rearm()

    def _give_up_body(self, error: Exception) -> None:
        if self._pump is not None:  # else it was stopped, and nobody waits for it
            self._pump = None
            self._fail(error)

    async def _send_chunks(self, body: RequestBody) -> None:
        while data := await body.read():
            self._transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            if self._write_paused:
                await self._drain()
        self._transport.write(b"0\r\n\r\n")

    async def _send_length(self, body: RequestBody, length: int) -> None:
        while length and (data := await body.read()):
            length -= len(data)
            if length < 0:
                raise BodyLengthError("more body than the head said")
            self._transport.write(data)
            if self._write_paused:
                await self._drain()
        if length:
            raise BodyLengthError("less body than the head said")

    async def _drain(self) -> None:
        self._writable = self.loop.create_future()
        self.rearm()
        try:
            await self._writable
        finally:
            self._writable = None
        self.rearm()

    def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    # The answer

    def _expect_head(self) -> None:
        self._parser = HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._head_done = False
        self._head_size = 0
        self._start = b""
        self._tail = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field from the parser. Those of trailers are dropped."""
        if not self._head_done:
            self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Hear from the parser that the head is whole."""
        self._head_done = True

    def on_message_begin(self) -> None:
        """Hear from the parser that bytes came after the end."""
        if self._phase is _CHUNKED:
            self._keep_alive = False

    def on_body(self, data: bytes) -> None:
        """Take content out of a chunk from the parser; not that of a next message."""
        if not self._end_seen:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Hear from the parser that the last chunk is over."""
        if self._phase is _CHUNKED:
            self._end_seen = True

    def _read_head(self, data: bytes) -> None:
        while data:
            tail = self._tail
            joined = tail + data if tail else data
            end = joined.find(_HEAD_END)
            size = end + len(_HEAD_END) - len(tail) if end >= 0 else len(data)
            if self._head_size + size > MAX_HEAD_BYTES:
                raise BadAnswer(
                    f"the head of the answer is over {MAX_HEAD_BYTES} bytes"
                )
            if len(self._start) < len(_HTTP11):
                self._start = (self._start + data[: len(_HTTP11)])[: len(_HTTP11)]
            self._parse(data[:size] if size < len(data) else data)
            if self._head_done is not (end >= 0):
                raise BadAnswer("an answer whose head has no clear end")
            if end < 0:
                self._head_size += size
                self._tail = joined[1 - len(_HEAD_END) :]
                return
            data = data[size:]
            status = self._parser.get_status_code()
            if status >= _FIRST_FINAL or status == _SWITCHING:
                self._take_head(status, data)
                return
            self._skip_interim(status)

    def _parse(self, data: bytes) -> None:
        # Raised after the head of a 101: what follows is not the parser's.
        with suppress(HttpParserUpgrade):
            self._parser.feed_data(data)

    def _skip_interim(self, status: int) -> None:
        # RFC 9110 section 15.2: a client parses 1xx answers and may ignore them. We
        # answer Expect ourselves, and 103 is advice that we do not pass on.
        self._minor()
        self._interim += 1
        if status < _FIRST_STATUS or self._interim > MAX_INTERIM:
            raise BadAnswer("a status below 100, or too many interim answers")
        self._expect_head()

    def _minor(self) -> int:
        if self._start == _HTTP11:
            return 1
        if self._start == _HTTP10:
            return 0
        raise BadAnswer("not an answer in HTTP/1.1 or HTTP/1.0")

    def _take_head(self, status: int, rest: bytes) -> None:
        minor = self._minor()
        if status > _LAST_STATUS:
            raise BadAnswer("a status above 599")
        framing = read_framing(
            method=self._method, status=status, minor=minor, fields=self._fields
        )
        if status == _SWITCHING:
            self._switch(framing, rest)
            return
        response = UpstreamResponse(status, self._fields, framing, self)
        self._response = response
        self._keep_alive = framing.keep_alive
        self._expire(framing.keep_alive_seconds)
        if self._pump is not None and status >= _FIRST_ERROR and not framing.keep_alive:
            # RFC 9112 section 9.5: such an answer says that the rest is not wanted.
            self._stop_pump()
            self._keep_alive = False
        answer = self._answer
        self.deadline = inf
        if framing.kind is BodyKind.NONE or framing.content_length == 0:
            self._end(clean=not rest)
        else:
            self._phase = _phase_for(framing.kind)
            self._remaining = framing.content_length or 0
            self._stalled = 0
            if rest:
                self._read_body(rest)
        self._answer = None
        if answer is not None and not answer.done():
            answer.set_result(response)

    def _expire(self, seconds: int | None) -> None:
        """Keep the connection for less than the upstream says it will.

        What we send must arrive before the upstream closes.
        """
        if seconds is None:
            self.expires = inf
        else:
            self.expires = self._owner.clock() + max(seconds - 1, seconds / 2)

    def _switch(self, framing: Framing, rest: bytes) -> None:
        handshake = self._handshake
        if handshake is None:
            raise BadAnswer("a 101 that nobody asked for")
        handshake.check(self._fields)
        headers = framing.end_to_end
        answer = self._answer
        self._answer = None
        self.deadline = inf
        self._phase = _CLOSED
        tunnel = Tunnel(self._transport, headers, early=rest)
        self._transport.set_protocol(tunnel)
        self._owner.tunneled(self, tunnel)
        if answer is not None and not answer.done():
            answer.set_result(tunnel)

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
            self._read_chunks(response, data)
        else:
            response.feed(data)

    def _read_chunks(self, response: UpstreamResponse, data: bytes) -> None:
        size = len(_SUSPICIOUS_END)
        self._tail = data[-size:] if len(data) >= size else (self._tail + data)[-size:]
        error: HttpParserError | None = None
        try:
            self._parser.feed_data(data)
        except HttpParserError as caught:
            error = caught
        pieces = self._pieces
        if pieces:
            self._pieces = []
            self._stalled = 0
            response.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        else:
            self._stalled += len(data)
        if self._end_seen:
            # The parser skips empty lines before a next message; here they are bytes
            # after the end, like any other.
            tail = self._tail
            clean = tail.endswith(_HEAD_END) and tail != _SUSPICIOUS_END
            self._end(clean=clean and error is None)
        elif error is not None:
            raise error
        elif self._stalled > _MAX_STALLED:
            raise BadAnswer("chunk extensions or trailers without end")

    def _end(self, *, clean: bool) -> None:
        """End a whole answer; keep the connection if nothing speaks against it."""
        response = self._response
        self._response = None
        if response is not None:
            response.finish(None)
        if clean and self._keep_alive and self._pump is None:
            self._phase = _IDLE
            self._used = True
            self.deadline = inf
            self._owner.reusable(self)
        else:
            self.abort()

    def _fail(self, error: Exception) -> None:
        answer, response = self._answer, self._response
        self._answer = self._response = None
        self.abort()
        if response is not None:
            response.finish(error)
        if answer is not None and not answer.done():
            answer.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._owner.opened()
        self._transport = transport  # type: ignore[assignment] # a stream's

    def data_received(self, data: bytes) -> None:
        """Read on in the answer; bytes that nobody asked for end the connection."""
        try:
            if self._phase is _HEAD:
                self._heard = True
                self._read_head(data)
            elif self._phase is _IDLE:
                self.abort()
            elif self._phase is not _CLOSED:
                self._read_body(data)
                if self._response is not None:
                    self.rearm()
        except UpstreamError as error:
            self._fail(error)
        except HttpParserError as error:
            failure = BadAnswer(f"the answer is not HTTP: {error}")
            failure.__cause__ = error
            self._fail(failure)

    def eof_received(self) -> None:
        """Take the upstream's end of sending for the end of the connection."""
        self._upstream_closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody who waits for something."""
        self._upstream_closed(exc)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._owner.lost()

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
        if self._phase is _HEAD and not self._heard:
            failure = Unanswered(self._used)
        else:
            failure = BadAnswer("the upstream closed in the middle of its answer")
        failure.__cause__ = exc
        self._fail(failure)

    def pause_writing(self) -> None:
        """Make the pump wait."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let the pump go on."""
        self._write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)


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
