"""One connection of a client: its requests one after the other, and its end.

One task answers them in their order. How large a head may be is the intake's
business; when it must have come, and for how long a client may be silent or take
nothing, is kept here.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from aiohttp.streams import StreamReader
from aiohttp.web import RequestPayloadError

from gateway.proxy.tunnel import Tunnel
from gateway.reasons import Reason
from gateway.server.exchange import Exchange, OnRequest
from gateway.server.request_reader import BODY_BUFFER, READ_AHEAD, RequestReader

_LINGER: Final = 2.0
"""Seconds in which the unread body of a refused request is read and dropped."""
_LAST_BYTES: Final = 30.0
"""Seconds in which a client takes something of the last that it is sent."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: what is closed so is reset."""


class Place:
    """The place of a connection; `client` is what it is counted by, if it is."""

    __slots__ = ("client", "taken")

    def __init__(self, client: str | None) -> None:
        self.client = client
        self.taken = True


class Owner(Protocol):
    """What a connection needs to know from, and tell, the server it is of."""

    loop: asyncio.AbstractEventLoop
    header_bytes: int
    request_headers: float
    keepalive: float
    on_request: OnRequest
    last_word: Callable[[int, Reason, str], bytes]
    report: Callable[[BaseException | None], None]

    def place_for(self, peer: str) -> Place | Reason:
        """Take a place for a connection from `peer`, or return why there is none."""
        ...

    def opened(self, connection: "ClientConnection") -> None:
        """Remember a connection until it is closed."""
        ...

    def closed(self, connection: "ClientConnection") -> None:
        """Forget a connection, and free its place."""
        ...


class ClientConnection(asyncio.Protocol):
    """One connection of a client; the Client of its exchanges."""

    __slots__ = (
        "_closer",
        "_current",
        "_deaf",
        "_full",
        "_head_timer",
        "_held",
        "_idle_since",
        "_idle_timer",
        "_loop",
        "_owner",
        "_reader",
        "_ready",
        "_room",
        "_transport",
        "_tunnel",
        "_wanted",
        "connected",
        "ends_with_connection",
        "peer",
        "place",
        "task",
        "tls",
        "writing_paused",
    )

    task: "asyncio.Task[None]"
    """Answers the requests; ends with the connection."""

    def __init__(self, owner: Owner, place: Place | None = None) -> None:
        self.place = place
        self._owner = owner
        self._loop = owner.loop
        self._reader = RequestReader(
            self, header_bytes=owner.header_bytes, loop=owner.loop
        )
        self._transport: asyncio.Transport = _NO_TRANSPORT
        self._ready: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._wanted: asyncio.Future[None] | None = None  # a request
        self._room: asyncio.Future[None] | None = None  # to write in
        self._held = b""  # what followed a request for another protocol
        self._tunnel: Tunnel | None = None
        self._deaf = False  # what comes is dropped
        self._full = 0  # _OF_REQUESTS, _OF_BODY: why the client is not read
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._closer: asyncio.TimerHandle | None = None
        self.connected = False
        self.writing_paused = False
        self.ends_with_connection = False
        self.peer = ""
        self.tls = False

    @property
    def idle(self) -> bool:
        """Tell whether the connection waits for a request."""
        return self._current is None and not self._ready

    @property
    def after_plain_chunks(self) -> bool:
        """See Client; where more was read, it cannot be told any more."""
        return not self._ready and self._reader.after_plain_chunks

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away at the limit."""
        owner = self._owner
        self._transport = transport  # type: ignore[assignment] # a stream's
        self.connected = True
        self.peer = _peer_of(transport)
        self.tls = transport.get_extra_info("sslcontext") is not None
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
            )
        self.task = self._loop.create_task(self._answer_all())
        owner.opened(self)
        if self.place is None:
            found = owner.place_for(self.peer)
            if isinstance(found, Reason):
                self._turn_away(REFUSED[found], found)
                return
            self.place = found
        self._expect_head()
        self._idle_timer = self._loop.call_later(owner.keepalive, self._idled)

    def data_received(self, data: bytes) -> None:
        """Give what came to whom it is for."""
        if self._tunnel is not None:
            if data:
                self._tunnel.feed(data)
        elif self._deaf:
            return
        elif self._reader.upgraded:
            self._hold(data)
        else:
            self._read(data)

    def eof_received(self) -> None:
        """Take the client's end of sending for the end of the connection."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what is going on: the request, and so the upstream's; the tunnel."""
        self.connected = False
        self._deaf = True
        for timer in (self._head_timer, self._idle_timer, self._closer):
            if timer is not None:
                timer.cancel()
        self._owner.closed(self)
        if self._current is not None:
            gone = exc or ConnectionResetError("the client is gone")
            self._current.payload.set_exception(gone)
        self.task.cancel()
        if self._tunnel is not None:
            self._tunnel.feed_eof()

    def pause_writing(self) -> None:
        """Hear that the client reads more slowly than it is sent to."""
        self.writing_paused = True
        if self._tunnel is not None:
            self._tunnel.pause_upstream_reading()

    def resume_writing(self) -> None:
        """Hear that the client took what there was."""
        self.writing_paused = False
        if self._tunnel is not None:
            self._tunnel.resume_upstream_reading()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # Requests

    def _read(self, data: bytes) -> None:
        try:
            found, rest = self._reader.read(data)
        except Exception as error:  # noqa: BLE001 - law 7: any bytes
            self._owner.report(error)
            self._transport.abort()
            return
        self._deaf = self._reader.broken
        if not found:
            if self._reader.head_bytes:
                self._watch_head()
            return
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._ready += found
        if self._wanted is not None:
            self._wanted.set_result(None)
            self._wanted = None
        if len(self._ready) >= READ_AHEAD:
            self._stop_reading(_OF_REQUESTS)
        if rest:
            self._hold(rest)

    async def _answer_all(self) -> None:
        ready, reader = self._ready, self._reader
        on_request = self._owner.on_request
        try:
            while True:
                if not ready:
                    await self._next_request()
                self._current = exchange = ready.popleft()
                reader.mark_dequeued()
                if self._full & _OF_REQUESTS and len(ready) <= READ_AHEAD // 2:
                    self._go_on_reading(_OF_REQUESTS)
                answered = await on_request(exchange)
                if not exchange.payload.is_eof():
                    await self._linger(exchange.payload)
                self._current = None
                if not answered.keep_alive or not exchange.payload.is_eof():
                    break
                if reader.upgraded and not ready:
                    self._decline_upgrade()
                if ready:
                    # What needs no I/O is answered without a pause: a pipeline of
                    # such requests would keep every other connection waiting.
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - the last to hear of it
            self._owner.report(error)
            self._transport.abort()
        else:
            self.close()

    async def _next_request(self) -> None:
        self._idle_since = self._loop.time()
        if self._reader.head_bytes:
            # It began to come while another request was answered.
            self._watch_head()
        self._wanted = self._loop.create_future()
        await self._wanted

    async def _linger(self, payload: StreamReader) -> None:
        """Read on for a while: closed with bytes unread, the answer may be lost."""
        with suppress(TimeoutError, RequestPayloadError, ConnectionError):
            async with asyncio.timeout(_LINGER):
                while not payload.is_eof():
                    await payload.readany()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= BODY_BUFFER:
            self._stop_reading(_OF_REQUESTS)

    def _decline_upgrade(self) -> None:
        held, self._held = self._held, b""
        self._reader.decline_upgrade()
        if held:
            self.data_received(held)
        if self._full & _OF_REQUESTS:
            self._go_on_reading(_OF_REQUESTS)

    # Answers

    def send(self, data: bytes) -> None:
        """See Client."""
        transport = self._transport
        if transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)

    async def drained(self) -> None:
        """See Client."""
        if self.writing_paused:
            self._room = self._loop.create_future()
            await self._room

    def switch_to_tunnel(self, tunnel: Tunnel) -> None:
        """See Client."""
        if not self.connected:
            raise ConnectionResetError("the client is gone")
        self._tunnel = tunnel
        tunnel.on_client_pause(self.pause_reading, self.resume_reading)
        if self.writing_paused:
            tunnel.pause_upstream_reading()
        tunnel.attach(self._transport)
        held, self._held = self._held, b""
        if held:
            tunnel.feed(held)
        self._go_on_reading(_OF_REQUESTS)

    # Reading: the body's reader and a tunnel pause and resume it, too

    def pause_reading(self) -> None:
        """Stop reading: a body, or the other end of a tunnel, is full."""
        if self._tunnel is None and not self._reader.upgraded:
            self._reader.pause()
        self._stop_reading(_OF_BODY)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on."""
        self._go_on_reading(_OF_BODY, parse=resume_parser)

    def _stop_reading(self, why: int) -> None:
        if not self._full and not self._transport.is_closing():
            self._transport.pause_reading()
        self._full |= why

    def _go_on_reading(self, why: int, *, parse: bool = True) -> None:
        was = self._full
        self._full = was & ~why
        if parse and not self._reader.upgraded:
            self.data_received(b"")  # what the parser had kept
        if was and not self._full and not self._transport.is_closing():
            self._transport.resume_reading()

    # Times

    def _expect_head(self) -> None:
        self._head_timer = self._loop.call_later(
            self._owner.request_headers, self._too_slow
        )

    def _watch_head(self) -> None:
        """See that a head that has begun comes to its end, soon and within its size."""
        if self._reader.head_too_large:
            if self.idle:
                self._turn_away(431, Reason.HEADERS_TOO_LARGE)
            else:
                # An answer is under way: there is no place for another.
                self.abort()
        elif self._head_timer is None and self.idle:
            self._expect_head()

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._reader.head_bytes:
            self._turn_away(408, Reason.REQUEST_TIMEOUT)
        else:
            # Nothing was ever sent: there is no request to answer.
            self.close()

    def _idled(self) -> None:
        left = self._owner.keepalive
        if self.idle and self._head_timer is None:
            left += self._idle_since - self._loop.time()
        if left <= 0:
            self.close()
            return
        # One timer for the whole life of the connection: none for each request.
        self._idle_timer = self._loop.call_later(left, self._idled)

    # The end

    def close(self) -> None:
        """Close when what was written is sent, if the client takes it."""
        self._deaf = True
        transport = self._transport
        if transport.is_closing():
            return
        transport.close()
        left = transport.get_write_buffer_size()
        if left:
            self._closer = self._loop.call_later(_LAST_BYTES, self._give_up, left)

    def _give_up(self, before: int) -> None:
        left = self._transport.get_write_buffer_size()
        if left == before:
            self._transport.abort()
        else:
            self._closer = self._loop.call_later(_LAST_BYTES, self._give_up, left)

    def abort(self) -> None:
        """See Client."""
        transport = self._transport
        if not self.connected:
            return
        self._deaf = True
        if self.ends_with_connection:
            # RFC 9112, section 8: a body that ends with the connection is whole
            # when the connection was closed in order, and only then.
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
        # Not close(), which would send what is still queued, a last chunk with it.
        transport.abort()

    def _turn_away(self, status: int, reason: Reason) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if not self._transport.is_closing():
            self._transport.write(self._owner.last_word(status, reason, self.peer))
        self.close()


REFUSED: Final = {Reason.UPSTREAM_BUSY: 503, Reason.CLIENT_LIMIT: 429}
"""Why there is no place for a connection, and the status that says so."""
_OF_REQUESTS: Final = 1
_OF_BODY: Final = 2
_NO_TRANSPORT: Final = asyncio.Transport()


def _peer_of(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        return str(name[0])
    # A TCP client that is gone has no name either, and is not to be taken
    # for a trusted proxy behind a unix socket.
    return "" if isinstance(transport.get_extra_info("sockname"), str) else "unknown"
