"""TLS handshakes of clients.

A handshake counts as a connection from its start and has a timeout. A client that
sends plain HTTP to a TLS port gets a 400 that explains it.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from gateway.server.accepting import Serve
from gateway.server.client_connection import ConnectionSlot

_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS connection: the content type (RFC 8446, section 5.1)."""
_LINGER: Final = 2.0
"""Seconds for a rejected client to read the response."""


class Clients(Protocol):
    """The open client connections, and their limits."""

    handshake: float
    """Seconds for a handshake, counted from accept(2)."""

    def admit(self, peer: str) -> ConnectionSlot | None:
        """Reserve a slot for a connection from `peer`; return None if none is free."""
        ...

    def release(self, slot: ConnectionSlot) -> None:
        """Free a slot; idempotent."""
        ...

    def connection(self, slot: ConnectionSlot) -> asyncio.BaseProtocol:
        """Return the protocol of a connection that owns `slot`."""
        ...

    def plain_http(self, peer: str) -> bytes:
        """Return the response to a request without TLS."""
        ...


def serve_tls(clients: Clients, context: ssl.SSLContext) -> Serve:
    """Return a Serve with TLS."""

    def serve(connection: socket.socket) -> Coroutine[Any, Any, object]:
        return _greet(connection, clients, context)

    return serve


async def _greet(
    connection: socket.socket, clients: Clients, context: ssl.SSLContext
) -> None:
    peer = _peer_of(connection)
    slot = clients.admit(peer)
    if slot is None:
        connection.close()
        return
    try:
        await _shake_hands(connection, clients, context, slot, peer)
    except BaseException:
        clients.release(slot)
        connection.close()
        raise


async def _shake_hands(
    connection: socket.socket,
    clients: Clients,
    context: ssl.SSLContext,
    slot: ConnectionSlot,
    peer: str,
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + clients.handshake
    async with asyncio.timeout_at(deadline):
        first = await _first_byte(connection)
    if first == _HANDSHAKE:
        # Raises OSError (ssl.SSLError is one) on failure or timeout.
        await loop.connect_accepted_socket(
            lambda: clients.connection(slot),
            connection,
            ssl=context,
            ssl_handshake_timeout=max(deadline - loop.time(), 0.001),
        )
        return
    if first:
        refusal = _PlainRefusal(clients, slot, peer)
        await loop.connect_accepted_socket(lambda: refusal, connection)
        return
    raise ConnectionResetError("the client closed without a byte")


async def _first_byte(connection: socket.socket) -> bytes:
    """Return the first byte without consuming it; b"" is the end."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(connection, _wake, readable)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


def _wake(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)


class _PlainRefusal(asyncio.Protocol):
    """Sends the response to a plain request, and closes."""

    def __init__(self, clients: Clients, slot: ConnectionSlot, peer: str) -> None:
        self._clients = clients
        self._slot = slot
        self._peer = peer
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # a stream's
        self._timer = asyncio.get_running_loop().call_later(_LINGER, transport.close)

    def data_received(self, _data: bytes) -> None:
        # Later bytes are read and discarded: closing with unread bytes would reset
        # the connection and lose the response.
        if not self._answered:
            self._answered = True
            self._transport.write(self._clients.plain_http(self._peer))
            with suppress(OSError):
                self._transport.write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._timer.cancel()
        self._clients.release(self._slot)


def _peer_of(connection: socket.socket) -> str:
    try:
        name = connection.getpeername()
    except OSError:
        return "unknown"  # disconnected
    return str(name[0]) if isinstance(name, tuple) else ""
