"""The client connections of this process: creation, limits and shutdown."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.reasons import Reason
from gateway.server.client_connection import (
    LIMIT_STATUS,
    ClientConnection,
    ConnectionSlot,
)
from gateway.server.exchange import OnRequest
from gateway.server.shares import Shares, share_key

_TICK: Final = 1.0
"""Seconds between two looks at the deadlines of all connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """Limits of client connections. Times in seconds, sizes in bytes."""

    header_bytes: int
    connections: int
    share: float
    """Fraction of the connections that one address may hold."""
    request_headers: float
    keepalive: float


class ClientServer:
    """Creates a ClientConnection for each client and tracks the open ones."""

    def __init__(
        self,
        on_request: OnRequest,
        *,
        limits: ListenerLimits,
        early_error_response: Callable[[int, Reason, str], bytes],
        report: Callable[[BaseException | None], None],
        is_shared: Callable[[str], bool],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Create a server.

        Args:
            on_request: handles each request.
            limits: limits of the connections.
            early_error_response: returns a complete response for a connection without
                a request, by status, reason and the address of the peer.
            report: called with an unexpected exception.
            is_shared: returns whether a peer is a proxy with many clients.
            loop: the event loop of the connections.
        """
        self.on_request = on_request
        self.early_error_response = early_error_response
        self.report = report
        self.loop = loop
        self.header_bytes = limits.header_bytes
        self.most_connections = limits.connections
        self.handshake = limits.request_headers
        self._is_shared = is_shared
        self._slots = 0
        self._shares = Shares(limits.connections, limits.share)
        self.request_headers = limits.request_headers
        self.keepalive = limits.keepalive
        self.connections: set[ClientConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(_TICK, limits.request_headers / 8, limits.keepalive / 8)
        self._empty = asyncio.Event()
        self._empty.set()

    def __call__(self) -> ClientConnection:
        """Return the protocol of a new connection."""
        return ClientConnection(self)

    @property
    def open(self) -> int:
        """The number of open connections."""
        return len(self.connections)

    def reserve_slot(self, peer: str) -> ConnectionSlot | Reason:
        """Reserve a slot for a connection from `peer`; return a reason if none is free."""
        if self._slots >= self.most_connections:
            return Reason.UPSTREAM_BUSY
        client = None if self._is_shared(peer) else share_key(peer)
        if client is not None and not self._shares.take(client):
            return Reason.CLIENT_LIMIT
        self._slots += 1
        return ConnectionSlot(client)

    def release(self, slot: ConnectionSlot) -> None:
        """Free a slot; idempotent."""
        if slot.taken:
            slot.taken = False
            self._slots -= 1
            if slot.client is not None:
                self._shares.give_back(slot.client)

    def opened(self, connection: ClientConnection) -> None:
        """Register an open connection."""
        self.connections.add(connection)
        self._empty.clear()
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._sweep)

    def closed(self, connection: ClientConnection) -> None:
        """Unregister a closed connection and free its slot."""
        self.connections.discard(connection)
        if connection.slot is not None:
            self.release(connection.slot)
        if not self.connections:
            self._empty.set()

    def _sweep(self) -> None:
        """Close the connections whose deadline has passed: one timer for all of them."""
        self._timer = None
        now = self.loop.time()
        for connection in [each for each in self.connections if each.deadline < now]:
            connection.time_out()
        if self.connections:
            self._timer = self.loop.call_later(self._tick, self._sweep)

    # TLS: see gateway.server.handshakes.Clients

    def admit(self, peer: str) -> ConnectionSlot | None:
        """Reserve a slot for a handshake from `peer`; return None if none is free."""
        found = self.reserve_slot(peer)
        if isinstance(found, ConnectionSlot):
            return found
        self.early_error_response(
            LIMIT_STATUS[found], found, peer
        )  # only logged: nothing can be sent
        return None

    def connection(self, slot: ConnectionSlot) -> ClientConnection:
        """Return the protocol of a connection that owns `slot`."""
        return ClientConnection(self, slot)

    def plain_http(self, peer: str) -> bytes:
        """Return the response to a request without TLS."""
        return self.early_error_response(400, Reason.TLS_REQUIRED, peer)

    async def wait_until_empty(self) -> None:
        """Wait until no connection is open."""
        await self._empty.wait()

    def close_idle(self) -> None:
        """Close idle connections; busy ones finish their request."""
        for connection in tuple(self.connections):
            if connection.idle:
                connection.close()

    async def shutdown(self, patience: float) -> None:
        """Close every connection: idle ones at once, busy ones after `patience` seconds."""
        self.close_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.wait_until_empty()
        tasks = []
        for connection in tuple(self.connections):
            handling = connection.handling
            connection.abort()
            if handling is not None:
                handling.cancel()
            if isinstance(handling, asyncio.Task):
                tasks.append(handling)
        await asyncio.gather(*tasks, return_exceptions=True)
