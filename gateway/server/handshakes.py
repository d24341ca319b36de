"""TLS towards clients: what comes before there is a connection to serve.

A handshake counts as a connection from its first byte and has a time-out. A client
that speaks plain HTTP to a TLS port gets an answer that says so.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from gateway.server.accepting import Serve
from gateway.server.client_connection import Place

_HANDSHAKE: Final = b"\x16"
"""The first byte of a TLS connection: the content type (RFC 8446, section 5.1)."""
_LINGER: Final = 2.0
"""Seconds in which a client may read why it was refused."""


class Clients(Protocol):
    """What is open already, and may still be opened."""

    handshake: float
    """Seconds for a handshake, from the accepted connection on."""

    def admit(self, peer: str) -> Place | None:
        """Take a place for a connection from `peer`, or none where none is free."""
        ...

    def release(self, place: Place) -> None:
        """Free a place; doing it twice is no error."""
        ...

    def connection(self, place: Place) -> asyncio.BaseProtocol:
        """Make the protocol of a connection that has a place, and will free it."""
        ...

    def plain_http(self, peer: str) -> bytes:
        """Return the answer to a request without TLS."""
        ...


def serve_tls(clients: Clients, context: ssl.SSLContext) -> Serve:
    """Serve over TLS."""

    def serve(connection: socket.socket) -> Coroutine[Any, Any, object]:
        return _greet(connection, clients, context)

    return serve


async def _greet(
    connection: socket.socket, clients: Clients, context: ssl.SSLContext
) -> None:
    peer = _peer_of(connection)
    place = clients.admit(peer)
    if place is None:
        connection.close()
        return
    try:
        await _shake_hands(connection, clients, context, place, peer)
    except BaseException:
        clients.release(place)
        connection.close()
        raise


async def _shake_hands(
    connection: socket.socket,
    clients: Clients,
    context: ssl.SSLContext,
    place: Place,
    peer: str,
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + clients.handshake
    async with asyncio.timeout_at(deadline):
        first = await _first_byte(connection)
    if first == _HANDSHAKE:
        # OSError and ssl.SSLError, which is one: it failed, or took too long.
        await loop.connect_accepted_socket(
            lambda: clients.connection(place),
            connection,
            ssl=context,
            ssl_handshake_timeout=max(deadline - loop.time(), 0.001),
        )
        return
    if first:
        refusal = _PlainRefusal(clients, place, peer)
        await loop.connect_accepted_socket(lambda: refusal, connection)
        return
    raise ConnectionResetError("the client closed without a byte")


async def _first_byte(connection: socket.socket) -> bytes:
    """Wait for the first byte, and leave it to be read; b"" is the end."""
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
    """Answers the first bytes, whatever they are, and closes."""

    def __init__(self, clients: Clients, place: Place, peer: str) -> None:
        self._clients = clients
        self._place = place
        self._peer = peer
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # a stream's
        self._timer = asyncio.get_running_loop().call_later(_LINGER, transport.close)

    def data_received(self, _data: bytes) -> None:
        # Bytes that come later are read and dropped: closed with bytes unread, the
        # answer may be lost.
        if not self._answered:
            self._answered = True
            self._transport.write(self._clients.plain_http(self._peer))
            with suppress(OSError):
                self._transport.write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._timer.cancel()
        self._clients.release(self._place)


def _peer_of(connection: socket.socket) -> str:
    try:
        name = connection.getpeername()
    except OSError:
        return "unknown"  # it is gone
    return str(name[0]) if isinstance(name, tuple) else ""
