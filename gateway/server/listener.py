"""The client side of the gateway: knows every connection, and ends them all."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.reasons import Reason
from gateway.server.connection import ClientConnection
from gateway.server.exchange import OnRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """What a client connection may cost. Times in seconds, sizes in bytes."""

    header_bytes: int
    connections: int
    request_headers: float
    keepalive: float


class ClientServer:
    """Makes a ClientConnection for each client; knows all that are open."""

    def __init__(
        self,
        on_request: OnRequest,
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
            report: told of an exception that nobody expected.
            loop: the loop the connections live on.
        """
        self.on_request = on_request
        self.last_word = last_word
        self.report = report
        self.loop = loop
        self.header_bytes = limits.header_bytes
        self.most_connections = limits.connections
        self.request_headers = limits.request_headers
        self.keepalive = limits.keepalive
        self.connections: set[ClientConnection] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __call__(self) -> ClientConnection:
        """Make the protocol of a new connection."""
        return ClientConnection(self)

    @property
    def open(self) -> int:
        """Count the open connections."""
        return len(self.connections)

    def opened(self, connection: ClientConnection) -> bool:
        """Take a connection in; tells whether there is a place for it."""
        self.connections.add(connection)
        self._empty.clear()
        return len(self.connections) <= self.most_connections

    def closed(self, connection: ClientConnection) -> None:
        """Forget it."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def wait_until_empty(self) -> None:
        """Wait until no connection is open."""
        await self._empty.wait()

    def close_idle(self) -> None:
        """Close the connections that wait for a request; the busy ones finish."""
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()

    async def shutdown(self, patience: float) -> None:
        """Close every connection: the idle at once, the busy in `patience` seconds."""
        self.close_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.wait_until_empty()
        tasks = [connection.task for connection in self.connections]
        for connection in tuple(self.connections):
            connection.cut_off()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
