"""One upstream: send a request, or open a tunnel."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import cast

from gateway.net.resolver import Resolver
from gateway.proxy.body import RequestBody
from gateway.proxy.dial import Dialer
from gateway.proxy.handshake import Handshake
from gateway.proxy.health import TargetChange
from gateway.proxy.pool import Pool, TargetStats
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.target import TargetAddress
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream_connection import (
    Connection,
    ConnectionClosedBeforeResponse,
    OnResult,
    UpstreamResult,
)


class Upstream:
    """The targets of one upstream and the connections to them.

    Create it inside a running event loop. Timeouts are in seconds: `connect_timeout`
    to connect or to wait for a free connection, `response_timeout` from the last byte
    of the request to the head of the response, `idle_timeout` between bytes of a body
    in either direction. A connection is used for `lifetime` at most. `on_change` is
    called when one of several targets is ejected or readmitted.
    """

    __slots__ = ("_own_resolver", "_pool", "name")

    def __init__(
        self,
        *,
        name: str,
        targets: Sequence[TargetAddress],
        connect_timeout: float,
        response_timeout: float,
        idle_timeout: float,
        max_idle: int = 256,
        max_connections: int = 1024,
        keepalive: float = 55.0,
        lifetime: float = 300.0,
        resolver: Resolver | None = None,
        on_change: Callable[[TargetChange], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        server_name: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self._own_resolver: Resolver | None = None
        if resolver is None:
            resolver = self._own_resolver = Resolver()
        dialer = Dialer(
            timeout=connect_timeout,
            resolver=resolver,
            ssl_context=ssl_context,
            server_name=server_name,
        )
        self._pool = Pool(
            targets=targets,
            dialer=dialer,
            connect_timeout=connect_timeout,
            response_timeout=response_timeout,
            idle_timeout=idle_timeout,
            max_idle=max_idle,
            max_connections=max_connections,
            keepalive=keepalive,
            lifetime=lifetime,
            on_change=on_change,
            clock=clock,
        )

    def begin(self, request: bytes, method: str, done: OnResult) -> Connection | None:
        """Send a request at once on an idle connection; None if there is none.

        `done` is called once, later, with what `send` returns or raises, and must not
        raise. A caller that stops waiting calls `abort` of the connection. With an
        error for which `may_repeat` is true, the request may be sent with `send_again`.

        Args:
            request: the complete head, and the body if there is one.
            method: the request method.
            done: receives the result.
        """
        connection = self._pool.take_idle()
        if connection is not None:
            connection.begin(request, method, None, None, done)
        return connection

    async def send_again(self, head: bytes, *, method: str) -> UpstreamResponse:
        """Send a request without a body on a new connection; raises as `send`.

        A fresh connection cannot be stale, so this attempt is the last.
        """
        connection = await self._pool.take(fresh=True)
        return cast(
            "UpstreamResponse", await _exchanged(connection, head, method, None, None)
        )

    def send(
        self, head: bytes, *, method: str, body: RequestBody | None, retriable: bool
    ) -> Coroutine[None, None, UpstreamResponse]:
        """Send a request; return the response with its head, the body to be read.

        `body` is sent while the response is awaited. A request without a body that is
        `retriable` is sent once more, on a new connection, if a pooled connection was
        closed before any byte of a response.

        Args:
            head: the complete head, with framing field and empty line.
            method: the request method.
            body: None if there is none.
            retriable: whether the method is safe.

        Raises:
            ConnectFailed: no target accepted a connection; nothing was sent.
            UpstreamBusy: all connections are in use; nothing was sent.
            UpstreamTimeout: no response in time.
            InvalidUpstreamResponse: the response is invalid, or there was none.
            Exception: `body.read` failed; the upstream saw an incomplete request.
        """
        answer = self._exchange(head, method, body, None, retriable=retriable)
        # Only a handshake can become a tunnel.
        return cast("Coroutine[None, None, UpstreamResponse]", answer)

    async def open_tunnel(
        self, head: bytes, *, key: bytes, offered_protocols: Collection[str | bytes]
    ) -> Tunnel | UpstreamResponse:
        """Send a WebSocket handshake; return the tunnel, or the response that refused it.

        Raises as `send` does; InvalidUpstreamResponse also if a 101 does not match the
        handshake.
        """
        offered = frozenset(
            name.encode() if isinstance(name, str) else name
            for name in offered_protocols
        )
        handshake = Handshake(key=key, offered_protocols=offered)
        return await self._exchange(head, "GET", None, handshake, retriable=True)

    async def _exchange(
        self,
        head: bytes,
        method: str,
        body: RequestBody | None,
        handshake: Handshake | None,
        *,
        retriable: bool,
    ) -> UpstreamResult:
        pool = self._pool
        safe = retriable and body is None
        connection = pool.take_idle() or await pool.take(fresh=False, safe=safe)
        try:
            return await _exchanged(connection, head, method, body, handshake)
        except ConnectionClosedBeforeResponse as unanswered:
            if not (safe and may_repeat(unanswered)):
                raise
        # A fresh connection cannot be stale, so this attempt is the last.
        connection = await pool.take(fresh=True)
        return await _exchanged(connection, head, method, None, handshake)

    def is_crowded(self) -> bool:
        """Return whether more than half of the connections are in use."""
        return self._pool.is_crowded()

    def drain(self) -> None:
        """Close idle connections; exchanges and tunnels in progress may finish."""
        self._pool.drain()

    async def close(self) -> None:
        """Close every connection at once, also those in use."""
        await self._pool.close()
        if self._own_resolver is not None:
            await self._own_resolver.close()

    def stats(self) -> tuple[TargetStats, ...]:
        """Return the number of connections of each target."""
        return self._pool.stats()


def may_repeat(error: Exception) -> bool:
    """Return whether an idempotent request without a body may be sent once more.

    RFC 9110 section 9.2.2: a proxy repeats a request only if it is idempotent, or was
    certainly not processed. A reused connection may have been closing already.
    """
    return isinstance(error, ConnectionClosedBeforeResponse) and error.reused


async def _exchanged(
    connection: Connection,
    head: bytes,
    method: str,
    body: RequestBody | None,
    handshake: Handshake | None,
) -> UpstreamResult:
    result = connection.exchange(head, method=method, body=body, handshake=handshake)
    try:
        return await result
    except asyncio.CancelledError:
        _abandon(connection, result)
        raise


def _abandon(connection: Connection, result: asyncio.Future[UpstreamResult]) -> None:
    """Abandon an exchange, or its result that came in the same turn of the event loop.

    The connection of a complete response may carry another request already; that of a
    tunnel is the tunnel's.
    """
    if not result.done() or result.cancelled():
        connection.abort()
    elif result.exception() is None:
        result.result().abort()
