"""Accept connections on listening sockets, also while descriptors are short.

The event loop's own server is not used. uvloop ends a server for good when accept(2)
fails with ENOBUFS or ENOMEM, closes waiting connections without a word when it fails
with EMFILE, and hands a connection over only when its TLS handshake is done.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol

from gateway.errors import SHORT_OF
from gateway.server.descriptors import Shortage, descriptors_for_clients

_AT_ONCE: Final = 64
"""Connections that are accepted in one turn of the event loop."""
_RETRY: Final = 0.1
"""Seconds for which nothing is accepted after a failure; who waits keeps waiting."""


class Serve(Protocol):
    """Makes a protocol serve an accepted socket."""

    def __call__(self, connection: socket.socket) -> Coroutine[Any, Any, object]:
        """Return when it is connected, or has failed; owns the socket."""
        ...


class Acceptor:
    """Accepts on some listening sockets, which it owns."""

    def __init__(
        self, sockets: Iterable[socket.socket], *, serve: Serve, shortage: Shortage
    ) -> None:
        """Begin to accept.

        Args:
            sockets: they listen, and do not block.
            serve: what to do with a connection.
            shortage: notes what is used up.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = tuple(sockets)
        self._serve = serve
        self._shortage = shortage
        self._most = descriptors_for_clients()
        self._starting: set[asyncio.Task[object]] = set()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        for one in self._sockets:
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Accept no more; connections that are being opened go on."""
        sockets, self._sockets = self._sockets, ()
        for one in sockets:
            timer = self._paused.pop(one, None)
            if timer is not None:
                timer.cancel()
            else:
                self._loop.remove_reader(one)
            one.close()

    def abort(self) -> None:
        """Accept no more, and give up the handshakes that are under way."""
        self.close()
        for task in self._starting:
            task.cancel()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _peer = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._failed(listening, error)
                return
            if connection.fileno() >= self._most:
                # What is left is for Redis and upstreams: those who are here need it.
                connection.close()
                self._shortage.note(errno.EMFILE)
                continue
            connection.setblocking(False)
            task = self._loop.create_task(self._start(connection))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _failed(self, listening: socket.socket, error: OSError) -> None:
        """Pause where the machine is short of something; else it was this connection.

        accept(2) passes pending errors of the network on as its own.
        """
        if error.errno in SHORT_OF:
            self._shortage.note(error.errno or 0)
            self._loop.remove_reader(listening)
            self._paused[listening] = self._loop.call_later(
                _RETRY, self._resume, listening
            )

    def _resume(self, listening: socket.socket) -> None:
        del self._paused[listening]
        self._loop.add_reader(listening, self._accept, listening)

    async def _start(self, connection: socket.socket) -> object:
        try:
            return await self._serve(connection)
        except OSError as error:
            if error.errno in SHORT_OF:
                self._shortage.note(error.errno or 0)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        return None


def serve_plain(protocol: Callable[[], asyncio.BaseProtocol]) -> Serve:
    """Serve without TLS."""
    loop = asyncio.get_running_loop()

    def serve(connection: socket.socket) -> Coroutine[Any, Any, object]:
        return loop.connect_accepted_socket(protocol, connection)

    return serve
