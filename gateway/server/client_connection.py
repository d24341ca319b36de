"""Server side of one HTTP/1.x client connection.

`ClientConnection` feeds received bytes to its `RequestReader`, queues complete request
heads, and gives one request at a time to the handler, in order. After an upgrade it
passes bytes to the tunnel. It enforces the header, keep-alive, linger and final-write
timeouts; the reader limits the size of a head.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final, Protocol

from aiohttp.web import RequestPayloadError

from gateway.proxy.tunnel import Tunnel
from gateway.reasons import Reason
from gateway.server.exchange import Exchange, Handling, OnRequest
from gateway.server.payload import Payload
from gateway.server.request_reader import BODY_BUFFER, READ_AHEAD, RequestReader

_LINGER: Final = 2.0
"""Seconds for which the unread body of a rejected request is read and discarded."""
_FINAL_WRITE: Final = 30.0
"""Seconds within which the send buffer must shrink after `close`."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of zero: close(2) sends a RST."""


class ConnectionSlot:
    """One of the connections that are allowed; `client` is its key in the shares."""

    __slots__ = ("client", "taken")

    def __init__(self, client: str | None) -> None:
        self.client = client
        self.taken = True


class ConnectionManager(Protocol):
    """The server that a connection belongs to: settings and callbacks."""

    loop: asyncio.AbstractEventLoop
    header_bytes: int
    request_headers: float
    keepalive: float
    on_request: OnRequest
    early_error_response: Callable[[int, Reason, str], bytes]
    report: Callable[[BaseException | None], None]

    def reserve_slot(self, peer: str) -> ConnectionSlot | Reason:
        """Reserve a slot for a connection from `peer`; return a reason if none is free."""
        ...

    def opened(self, connection: "ClientConnection") -> None:
        """Register an open connection."""
        ...

    def closed(self, connection: "ClientConnection") -> None:
        """Unregister a closed connection and free its slot."""
        ...


class ClientConnection(asyncio.Protocol):
    """A client connection; implements `Client` for its exchanges."""

    __slots__ = (
        "_close_timer",
        "_current",
        "_discard_input",
        "_drain_waiter",
        "_head_expected",
        "_loop",
        "_manager",
        "_pause_reasons",
        "_reader",
        "_ready",
        "_transport",
        "_tunnel",
        "_upgrade_data",
        "connected",
        "deadline",
        "ends_with_connection",
        "handling",
        "peer",
        "slot",
        "tls",
        "writing_paused",
    )

    def __init__(
        self, manager: ConnectionManager, slot: ConnectionSlot | None = None
    ) -> None:
        self.slot = slot
        self._manager = manager
        self._loop = manager.loop
        self._reader = RequestReader(
            self,
            header_bytes=manager.header_bytes,
            loop=manager.loop,
        )
        self._transport: asyncio.Transport = _NO_TRANSPORT
        self._ready: list[Exchange] = []
        self._current: Exchange | None = None
        self._drain_waiter: asyncio.Future[None] | None = (
            None  # set by a drained buffer
        )
        self._upgrade_data = b""  # bytes after an upgrade request
        self._tunnel: Tunnel | None = None
        self._discard_input = False  # received bytes are dropped
        self._pause_reasons = 0  # bits: _QUEUE_FULL, _BODY_FULL, _UPGRADE_FULL
        self._head_expected = False  # the deadline is that of a request head
        self.deadline = inf  # when it has waited for its client for too long
        self._close_timer: asyncio.TimerHandle | None = None
        self.handling: Handling | None = None
        self.connected = False
        self.writing_paused = False
        self.ends_with_connection = False
        self.peer = ""
        self.tls = False

    @property
    def idle(self) -> bool:
        """Whether no request is queued or being handled."""
        return self._current is None and not self._ready

    @property
    def after_plain_chunks(self) -> bool:
        """See Client; False once another request has been read."""
        return not self._ready and self._reader.after_plain_chunks

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection; reject it with 503 or 429 if a limit is reached."""
        manager = self._manager
        self._transport = transport  # type: ignore[assignment] # a stream's
        self.connected = True
        self.peer = _peer_of(transport)
        self.tls = transport.get_extra_info("sslcontext") is not None
        manager.opened(self)
        if self.slot is None:
            found = manager.reserve_slot(self.peer)
            if isinstance(found, Reason):
                self._reject(LIMIT_STATUS[found], found)
                return
            self.slot = found
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Dispatch bytes to the tunnel, the upgrade buffer or the request reader."""
        reader = self._reader
        if self._tunnel is not None or self._discard_input or reader.upgraded:
            self._receive_no_request(data)
            return
        try:
            exchange = reader.read_ordinary(data)
            found, rest = reader.parse(data) if exchange is None else ((exchange,), b"")
        except Exception as error:  # noqa: BLE001 - invariant 7: any bytes
            self._manager.report(error)
            self._transport.abort()
            return
        if (
            exchange is not None
            and self._current is None
            and not self._ready
            and not self._transport.is_closing()
        ):
            self._begin(exchange)
            return
        self._discard_input = reader.broken
        if not found:
            if reader.head_bytes:
                self._watch_head()
            return
        self._ready += found
        if len(self._ready) >= READ_AHEAD:
            self._add_pause_reason(_QUEUE_FULL)
        if rest:
            self._buffer_upgrade_data(rest)
        if self._current is None:
            self._begin_next()

    def _receive_no_request(self, data: bytes) -> None:
        if self._tunnel is not None:
            if data:
                self._tunnel.feed(data)
        elif not self._discard_input:
            self._buffer_upgrade_data(data)

    def eof_received(self) -> None:
        """Treat a half-close as the end of the connection: asyncio closes it."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the request, and with it the upstream's; end the tunnel."""
        self.connected = False
        self._discard_input = True
        self.deadline = inf
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._manager.closed(self)
        if self._current is not None:
            gone = exc or ConnectionResetError("the client is gone")
            self._current.payload.set_exception(gone)
        if self.handling is not None:
            self.handling.cancel()
        if self._tunnel is not None:
            self._tunnel.feed_eof()

    def pause_writing(self) -> None:
        """Stop reading from the upstream of a tunnel: the send buffer is full."""
        self.writing_paused = True
        if self._tunnel is not None:
            self._tunnel.pause_upstream_reading()

    def resume_writing(self) -> None:
        """Resume writing after the send buffer has drained."""
        self.writing_paused = False
        if self._tunnel is not None:
            self._tunnel.resume_upstream_reading()
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    # Requests

    def _begin_next(self) -> None:
        """Pass the next request to the handler, unless one is being handled."""
        ready = self._ready
        if not ready or self._current is not None or self._transport.is_closing():
            return
        # At once: what is parsed below must not begin before it.
        self._current = exchange = ready.pop(0)
        if self._reader.queued:
            self._reader.mark_dequeued(exchange)
        if self._pause_reasons & _QUEUE_FULL and len(ready) <= READ_AHEAD // 2:
            self._remove_pause_reason(_QUEUE_FULL)
        self._begin(exchange)

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self.deadline = inf
        self._head_expected = False
        self._manager.on_request(exchange)

    def finished(self, keep_alive: bool) -> None:
        """See Client."""
        exchange = self._current
        if (
            exchange is not None
            and self.connected
            and not (exchange.whole or exchange.payload.is_eof())
        ):
            self._begin_to_linger(exchange.payload, keep_alive)
            return
        self._current = self.handling = None
        if not keep_alive:
            self.close()
            return
        reader = self._reader
        if self._ready:
            # A request without I/O ends at once: a pipeline of them would block every
            # other connection.
            self._loop.call_soon(self._begin_next)
            return
        if reader.upgraded:
            # The next request would begin, and may end, inside of the end of this one.
            self._loop.call_soon(self._decline_upgrade)
        self.deadline = self._loop.time() + self._manager.keepalive  # it is idle
        if reader.head_bytes:
            # It began to arrive while another request was handled.
            self._watch_head()

    def _begin_to_linger(self, payload: Payload, keep_alive: bool) -> None:
        lingering = self._loop.create_task(self._linger(payload))
        self.handling = lingering

        def ended(done: asyncio.Task[bool]) -> None:
            self._current = None
            self.finished(keep_alive and not done.cancelled() and done.result())

        lingering.add_done_callback(ended)

    async def _linger(self, payload: Payload) -> bool:
        """Discard input for a while: closing with unread bytes resets the response.

        Returns whether the body has been read to its end.
        """
        with suppress(TimeoutError, RequestPayloadError, ConnectionError):
            async with asyncio.timeout(_LINGER):
                while not payload.is_eof():
                    await payload.readany()
        return payload.is_eof()

    def _buffer_upgrade_data(self, data: bytes) -> None:
        self._upgrade_data += data
        if len(self._upgrade_data) >= BODY_BUFFER:
            self._add_pause_reason(_UPGRADE_FULL)

    def _decline_upgrade(self) -> None:
        held, self._upgrade_data = self._upgrade_data, b""
        self._reader.decline_upgrade()
        if held:
            self.data_received(held)
        # Another such request may have been the first of what was held.
        if (
            self._pause_reasons & _UPGRADE_FULL
            and len(self._upgrade_data) < BODY_BUFFER
        ):
            self._remove_pause_reason(_UPGRADE_FULL)

    # Responses

    def send(self, data: bytes) -> None:
        """See Client."""
        transport = self._transport
        if transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)

    async def drained(self) -> None:
        """See Client."""
        if self.writing_paused:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    def switch_to_tunnel(self, tunnel: Tunnel) -> None:
        """See Client."""
        if not self.connected:
            raise ConnectionResetError("the client is gone")
        self._tunnel = tunnel
        self._reader.forget()
        tunnel.on_client_pause(self.pause_reading, self.resume_reading)
        if self.writing_paused:
            tunnel.pause_upstream_reading()
        tunnel.attach(self._transport)
        held, self._upgrade_data = self._upgrade_data, b""
        if held:
            tunnel.feed(held)
        self._remove_pause_reason(_UPGRADE_FULL)

    # Flow control; the body's reader and a tunnel call these, too

    def pause_reading(self) -> None:
        """Stop reading: the body buffer, or the other end of a tunnel, is full."""
        if self._tunnel is None and not self._reader.upgraded:
            self._reader.pause()
        self._add_pause_reason(_BODY_FULL)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume reading; `resume_parser` also parses what is buffered."""
        self._remove_pause_reason(_BODY_FULL, parse=resume_parser)

    def _add_pause_reason(self, why: int) -> None:
        if not self._pause_reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._pause_reasons |= why

    def _remove_pause_reason(self, why: int, *, parse: bool = True) -> None:
        was = self._pause_reasons
        self._pause_reasons = was & ~why
        if parse and not self._reader.upgraded:
            self.data_received(b"")  # parses what is buffered
        if was and not self._pause_reasons and not self._transport.is_closing():
            self._transport.resume_reading()

    # Timeouts

    def _expect_head(self) -> None:
        self._head_expected = True
        self.deadline = self._loop.time() + self._manager.request_headers

    def _watch_head(self) -> None:
        """Enforce the size limit and the timeout of an incomplete head."""
        if self._reader.head_too_large:
            if self.idle:
                self._reject(431, Reason.HEADERS_TOO_LARGE)
            else:
                # A response has begun, so no other can be sent.
                self.abort()
        elif self.idle and not self._head_expected:
            self._expect_head()

    def time_out(self) -> None:
        """Close the connection: its deadline has passed."""
        self.deadline = inf
        if self._reader.head_bytes:
            self._reject(408, Reason.REQUEST_TIMEOUT)
        else:
            # The client sent nothing, so there is no request to answer.
            self.close()

    # Closing

    def close(self) -> None:
        """Stop processing input and close after pending data is written.

        Aborts if the send buffer does not shrink for `_FINAL_WRITE` seconds.
        """
        self._discard_input = True
        transport = self._transport
        if transport.is_closing():
            return
        transport.close()
        left = transport.get_write_buffer_size()
        if left:
            self._close_timer = self._loop.call_later(
                _FINAL_WRITE, self._abort_if_stalled, left
            )

    def _abort_if_stalled(self, before: int) -> None:
        left = self._transport.get_write_buffer_size()
        if left == before:
            self._transport.abort()
        else:
            self._close_timer = self._loop.call_later(
                _FINAL_WRITE, self._abort_if_stalled, left
            )

    def abort(self) -> None:
        """See Client."""
        transport = self._transport
        if not self.connected:
            return
        self._discard_input = True
        if self.ends_with_connection:
            # RFC 9112, section 8: a body that ends with the connection is whole
            # when the connection was closed in order, and only then.
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
        # close() would still send what is queued, even a last chunk.
        transport.abort()

    def _reject(self, status: int, reason: Reason) -> None:
        self.deadline = inf
        if not self._transport.is_closing():
            self._transport.write(
                self._manager.early_error_response(status, reason, self.peer)
            )
        self.close()


LIMIT_STATUS: Final = {Reason.UPSTREAM_BUSY: 503, Reason.CLIENT_LIMIT: 429}
"""Status of the response, by the reason why a connection is rejected."""
_QUEUE_FULL: Final = 1
_BODY_FULL: Final = 2
_UPGRADE_FULL: Final = 4
_NO_TRANSPORT: Final = asyncio.Transport()


def _peer_of(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        # One object for all connections of a client: what is kept of its requests is
        # found by it.
        return sys.intern(str(name[0]))
    # A disconnected TCP client has no peer name either; it must not pass for a
    # trusted proxy behind a Unix socket.
    return "" if isinstance(transport.get_extra_info("sockname"), str) else "unknown"
