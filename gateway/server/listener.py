"""The client side of the gateway: aiohttp's HTTP/1.1 server, made fit for a proxy.

aiohttp parses, keeps connections alive and lingers; this module changes what a
proxy must change: bodies are not decompressed, a head must arrive in time and
within its size, a request that cannot be parsed gets our page and never an echo,
and connections are counted. The only home of `aiohttp.web_protocol`.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import aiohttp
from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.errors import GatewayError
from gateway.reasons import Reason

_LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request target. RFC 9112, section 3, asks for at least 8000 octets."""
_FIELDS: Final = 100
"""Header fields of one request; nginx has no such limit, Apache and HAProxy 100."""
_LINGER: Final = 2.0
"""Seconds in which the unread body of a refused request is read and dropped."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: what is closed so is reset."""
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
"""How a chunked body ends that has no trailer fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """What a client connection may cost. Times in seconds, sizes in bytes."""

    header_bytes: int
    connections: int
    request_headers: float
    keepalive: float


class Answered:
    """What the handler gives back to aiohttp: the answer is written already."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, _request: object) -> None:
        """Do nothing: the head is out."""

    async def write_eof(self) -> None:
        """Do nothing: the body is out."""


class Exchange:
    """One request as aiohttp's parser gives it, without `web.Request`'s readings.

    `web.Request` decodes, joins and guesses (path, url, cookies); no decision may
    read those, so they are not even made.
    """

    __slots__ = ("_task", "failure", "message", "payload", "protocol", "writer")

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: "ClientConnection",
        writer: StreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        self.message = message
        self.payload = payload
        self.protocol = protocol
        self.writer = writer
        self._task = task
        self.failure: tuple[int, Reason] | None = None

    def _finish(self) -> None:
        """Release what a form parser would hold: nothing (called by aiohttp)."""

    def _cancel(self, exc: BaseException) -> None:
        """Fail the body, as the client is gone (called by aiohttp)."""
        self.payload.set_exception(exc)


class ExchangeHandler(Protocol):
    """What the listener calls for each request."""

    def __call__(self, exchange: Exchange) -> Awaitable[Answered]:
        """Answer one request; never raises but for cancellation."""
        ...


class ClientConnection(RequestHandler):
    """One connection of a client."""

    __slots__ = (
        "_ahead",
        "_head_bytes",
        "_head_timer",
        "_last_read",
        "_limits",
        "_uncounted",
        "ends_with_connection",
        "fat",
        "on_pause",
        "on_resume",
    )

    def __init__(
        self,
        server: "ClientServer",
        *,
        limits: ListenerLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=cast("Any", None),
            keepalive_timeout=limits.keepalive,
            lingering_time=_LINGER,
            max_line_size=_LINE_LIMIT,
            # One more than the line limit when both are alike: the error of the
            # parser tells them apart by nothing else.
            max_field_size=limits.header_bytes + (limits.header_bytes == _LINE_LIMIT),
            max_headers=_FIELDS,
            # A proxy passes the bytes on as they are; decompressing here would
            # also let 19 KB become 20 MB.
            auto_decompress=False,
        )
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._last_read = b""
        self._uncounted = False
        self._ahead = 0
        self.ends_with_connection = False
        """The answer being sent has no other end than that of the connection."""
        self.fat = False
        """The head may be above the limit, for all that was counted."""
        self.on_pause: Callable[[], None] | None = None
        self.on_resume: Callable[[], None] | None = None

    @property
    def server(self) -> "ClientServer":
        """The server that this connection belongs to."""
        return cast("ClientServer", self._manager)

    @property
    def peer(self) -> str:
        """The address of the other end of the socket; "" for a unix socket."""
        name = self.peername
        if isinstance(name, tuple):
            return name[0]
        # A TCP client that is gone has no name either, and is not to be taken
        # for a trusted proxy behind a unix socket.
        return "" if isinstance(self.sockname, str) else "unknown"

    @property
    def tls(self) -> bool:
        """Tell whether TLS ends here."""
        return self.ssl_context is not None

    @property
    def idle(self) -> bool:
        """Tell whether the connection waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def after_plain_chunks(self) -> bool:
        """Tell whether the last bytes read ended a chunked body without trailers.

        aiohttp's parser keeps the last trailer field of a message and gives it to
        the next message of the connection as a header (seen in 3.14.5). Behind a
        proxy that shares connections that is another person's request: where there
        may have been trailers, none may follow.
        """
        return not self._messages and self._last_read.endswith(_LAST_CHUNK)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away at the limit."""
        super().connection_made(transport)
        server = self.server
        server.opened()
        if server.open > self._limits.connections:
            self._turn_away(503, Reason.UPSTREAM_BUSY)
            return
        self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._disarm()
        self.server.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and watch that an unfinished head stays small and quick."""
        seen = self._request_count
        # A line of trailers has a colon, so none of them can look like a last chunk.
        kept = -len(_LAST_CHUNK)
        self._last_read = (data if len(data) > 6 else self._last_read + data)[kept:]
        ahead = self._reads_ahead
        super().data_received(data)
        if self._request_count != seen:
            self._ahead = 0
            size = self._head_bytes + len(data)
            self.fat = self._uncounted or size > self._limits.header_bytes
            # What follows the end of a head may be a body, or the next head.
            self._uncounted = not data.endswith(_HEAD_END)
            if self._head_timer is not None:
                self._disarm()
            return
        if not data:
            return
        if not self.idle:
            self._uncounted = True
            if ahead:
                self._ahead += len(data)
                if self._ahead > self._limits.header_bytes + _LINE_LIMIT:
                    # An answer is under way: there is no place for another.
                    self.cut_off()
            return
        # A part of a head. aiohttp has no timeout for it, and caps each field but
        # not their sum: that is where a slow or a fat client would sit for ever.
        if self._head_timer is None:
            self._arm()
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.header_bytes + _LINE_LIMIT:
            self._turn_away(431, Reason.HEADERS_TOO_LARGE)

    @property
    def _reads_ahead(self) -> bool:
        """Tell whether what comes now is the head of a request after this one."""
        if self._upgraded or self._payload_parser is not None:
            return False
        last = self._messages[-1][1] if self._messages else None
        if last is None and self._current_request is not None:
            last = cast("Exchange", self._current_request).payload
        return last is not None and last.is_eof()

    def cut_off(self) -> None:
        """Close in the middle of an answer, so that it cannot be taken for whole."""
        transport = self.transport
        if transport is None:
            return
        if self.ends_with_connection:
            # RFC 9112, section 8: a body that ends with the connection is whole
            # when the connection was closed in order, and only then.
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
        # Not close(), which would send what is still queued, a last chunk with it.
        transport.abort()

    def pause_writing(self) -> None:
        """Tell a tunnel that the client reads more slowly than it is sent to."""
        super().pause_writing()
        if self.on_pause is not None:
            self.on_pause()

    def resume_writing(self) -> None:
        """Tell a tunnel to go on."""
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Hand what aiohttp would log to the gateway's own log, without a body."""
        self.server.report(kw.get("exc_info"))

    def _make_error_handler(self, err_info: Any) -> Any:
        """Answer what could not be parsed with our page, echoing nothing of it."""
        failure = _failure_of(err_info.exc)

        async def refuse(exchange: Exchange) -> Answered:
            exchange.failure = failure
            return await self.server.on_request(exchange)

        return refuse

    def _arm(self) -> None:
        self._head_bytes = 0
        self._head_timer = self._loop.call_later(
            self._limits.request_headers, self._too_slow
        )

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._turn_away(408, Reason.REQUEST_TIMEOUT)
        else:
            # Nothing was ever sent: there is no request to answer.
            self.force_close()

    def _turn_away(self, status: int, reason: Reason) -> None:
        self._disarm()
        if self.transport is not None:
            self.transport.write(self.server.last_word(status, reason, self.peer))
        self.force_close()


class ClientServer(web.Server):
    """Makes a ClientConnection for each client; knows all that are open."""

    def __init__(
        self,
        on_request: ExchangeHandler,
        *,
        limits: ListenerLimits,
        last_word: Callable[[int, Reason, str], bytes],
        report: Callable[[BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Prepare a server.

        Args:
            on_request: answers each request.
            limits: what a connection may cost.
            last_word: a complete answer for a connection that has no request yet, by
                status, reason and the address of the peer.
            report: told of an exception that aiohttp caught.
            loop: the loop the connections live on.
        """
        super().__init__(
            cast("Any", on_request),
            request_factory=cast("Any", Exchange),
            # A client that leaves cancels its request, and so the upstream's.
            handler_cancellation=True,
            loop=loop,
        )
        self.on_request = on_request
        self.limits = limits
        self.last_word = last_word
        self.report = report
        self.open = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self, limits=self.limits, loop=self._loop)

    def opened(self) -> None:
        """Count a connection."""
        self.open += 1
        self._empty.clear()

    def closed(self) -> None:
        """Count it off."""
        self.open -= 1
        if self.open == 0:
            self._empty.set()

    async def wait_until_empty(self) -> None:
        """Wait until no connection is open."""
        await self._empty.wait()

    def close_idle(self) -> None:
        """Close the connections that wait for a request; the busy ones finish."""
        for connection in self.connections:
            if cast("ClientConnection", connection).idle:
                connection.force_close()


def require_c_parser() -> None:
    """Refuse to run on aiohttp's pure-Python parser.

    It accepts what the C parser refuses, a bare CR in a chunk extension among it,
    and that is a request-smuggling hole in a proxy.

    Raises:
        GatewayError: when the C extension is missing or switched off.
    """
    from aiohttp import http_parser  # noqa: PLC0415 - asked once, at start

    parsers = cast("Any", http_parser)
    if parsers.HttpRequestParser is not getattr(parsers, "HttpRequestParserC", None):
        raise GatewayError(
            f"aiohttp {aiohttp.__version__} runs without its C parser; unset"
            " AIOHTTP_NO_EXTENSIONS and install a wheel of aiohttp for this platform"
        )


def _failure_of(exc: BaseException) -> tuple[int, Reason]:
    if isinstance(exc, LineTooLong):
        if exc.args[1:2] == (_LINE_LIMIT,):
            return 414, Reason.TARGET_TOO_LONG
        return 431, Reason.HEADERS_TOO_LARGE
    if "Too many headers" in str(exc):
        return 431, Reason.HEADERS_TOO_LARGE
    return 400, Reason.BAD_REQUEST
