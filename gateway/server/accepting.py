"""Accept connections on listening sockets, also while descriptors are short.

The event loop's own server is not used. When accept(2) fails with ENOBUFS or ENOMEM,
uvloop closes the server; with EMFILE it silently closes waiting connections. It also
passes a connection on only after its TLS handshake.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from gateway.errors import SHORT_OF
from gateway.server.descriptors import Shortage, descriptors_for_clients
from gateway.server.sockets import BACKLOG

_AT_ONCE: Final = 64
"""Connections accepted in one iteration of the event loop."""
_RETRY: Final = 0.1
"""Seconds to pause after a failure; clients stay in the backlog meanwhile."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Serves without TLS: `protocol` makes the protocol of each connection."""

    protocol: Callable[[], asyncio.BaseProtocol]


class Serve(Protocol):
    """Attaches a protocol to an accepted socket, which may take a while."""

    def __call__(self, connection: socket.socket) -> Coroutine[Any, Any, object]:
        """Own the socket; return when it is connected or has failed."""
        ...


class Acceptor:
    """Accepts connections on listening sockets, which it owns."""

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        *,
        serve: Serve | Plain,
        shortage: Shortage,
    ) -> None:
        """Start accepting.

        Args:
            sockets: non-blocking listening sockets.
            serve: called for each connection.
            shortage: reports exhausted resources.
        """
        self._loop = asyncio.get_running_loop()
        self._sockets = tuple(sockets)
        self._serve = serve
        self._shortage = shortage
        self._most = descriptors_for_clients()
        self._starting: set[asyncio.Future[Any]] = set()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        for one in self._sockets:
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Stop accepting; handshakes in progress continue.

        Connections in the backlog are accepted first: close(2) would reset them, and
        their clients may have sent requests already.
        """
        for one in self._sockets:
            # Bounded: clients may go on to connect.
            for _ in range(BACKLOG):
                if one in self._paused or not self._accept_one(one):
                    break
        self._end()

    async def wait_started(self, seconds: float) -> None:
        """Wait up to `seconds` until each accepted connection has its protocol."""
        if self._starting:
            await asyncio.wait(self._starting, timeout=seconds)

    def abort(self) -> None:
        """Stop accepting and cancel handshakes in progress."""
        self._end()
        for starting in tuple(self._starting):
            starting.cancel()

    def _end(self) -> None:
        sockets, self._sockets = self._sockets, ()
        for one in sockets:
            timer = self._paused.pop(one, None)
            if timer is not None:
                timer.cancel()
            else:
                self._loop.remove_reader(one)
            one.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if not self._accept_one(listening):
                return

    def _accept_one(self, listening: socket.socket) -> bool:
        """Accept a connection; return whether another may wait."""
        try:
            connection, _peer = listening.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return self._failed(listening, error)
        if connection.fileno() >= self._most:
            # The remaining descriptors are reserved for Redis and upstreams.
            connection.close()
            self._shortage.note(errno.EMFILE)
            return True
        serve = self._serve
        if isinstance(serve, Plain):
            attaching = self._loop.connect_accepted_socket(serve.protocol, connection)
            self._attach(attaching, connection)
            return True
        connection.setblocking(False)
        task = self._loop.create_task(self._start(serve(connection), connection))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return True

    def _attach(
        self,
        attaching: Coroutine[Any, Any, object],
        connection: socket.socket,
        ready: "asyncio.Future[Any] | None" = None,
    ) -> None:
        """Attach a protocol, without a task: the loop calls the protocol in its next turn.

        Driven by hand: the coroutine waits for a future of the loop, and for nothing else.
        """
        if ready is not None:
            self._starting.discard(ready)
        try:
            ready = attaching.send(None)
        except StopIteration:
            return
        except OSError as error:
            self._not_started(connection, error)
            return
        except asyncio.CancelledError:
            connection.close()
            return
        self._starting.add(ready)
        ready.add_done_callback(partial(self._attach, attaching, connection))

    def _failed(self, listening: socket.socket, error: OSError) -> bool:
        """Pause if a resource is exhausted; any other error concerns one connection.

        accept(2) also returns pending network errors of the new socket. Returns whether
        another connection may be accepted.
        """
        if error.errno not in SHORT_OF:
            return True
        self._shortage.note(error.errno or 0)
        self._loop.remove_reader(listening)
        self._paused[listening] = self._loop.call_later(_RETRY, self._resume, listening)
        return False

    def _resume(self, listening: socket.socket) -> None:
        del self._paused[listening]
        self._loop.add_reader(listening, self._accept, listening)

    async def _start(
        self, serving: Coroutine[Any, Any, object], connection: socket.socket
    ) -> object:
        try:
            return await serving
        except OSError as error:
            self._not_started(connection, error)
        except asyncio.CancelledError:
            connection.close()
            raise
        return None

    def _not_started(self, connection: socket.socket, error: OSError) -> None:
        if error.errno in SHORT_OF:
            self._shortage.note(error.errno or 0)
        connection.close()
