"""A connection to an upstream without a socket and without a pool."""

import asyncio
from collections.abc import Callable

from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream_connection import Connection


class Wire(asyncio.Transport):
    """A transport that keeps what it is told."""

    def __init__(self, **extra: object) -> None:
        super().__init__(extra)
        self.writes: list[bytes] = []
        self.open = True
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def abort(self) -> None:
        self.open = False

    close = abort

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Keeper:
    """The pool, as small as can be."""

    response_timeout = idle_timeout = 5.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.clock: Callable[[], float] = lambda: 0.0
        self.kept = False
        self.failures = 0

    def connection_reusable(self, connection: Connection) -> None:
        self.kept = True

    def connection_closed(self, connection: Connection) -> None:
        self.kept = False

    def request_failed(self, connection: Connection) -> None:
        self.failures += 1

    def response_started(self, connection: Connection, *, failed: bool) -> None:
        self.failures += failed

    def connection_tunneled(self, connection: Connection, tunnel: Tunnel) -> None:
        raise AssertionError("no answer here opens a tunnel")

    def response_completed(self, connection: Connection) -> None:
        pass

    def socket_opened(self) -> None:
        pass

    def socket_closed(self) -> None:
        pass
