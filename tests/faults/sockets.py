"""WebSockets of the load: each echoes a counter, and says when it was cut."""

import asyncio
import base64
import os
import time

from tests.faults.oracle import GRACE, Expect, Oracle, State, TrackedSession
from tests.faults.wire import Connection, NoResponse

_EVERY = 0.1
"""Seconds between two messages."""
_AGAIN = 0.2
"""Seconds before a WebSocket that was cut is opened again."""
_GIVE_UP = 30.0
"""Seconds after which a WebSocket that outlives its session is left by the client."""
_MASK = b"\x01\x02\x03\x04"


def masked(opcode: int, payload: bytes) -> bytes:
    """Write a short client frame."""
    body = bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + _MASK + body


def handshake(target: str, cookie: str, *more: str) -> bytes:
    """Write the request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: gw.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Cookie: {cookie}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class WebSocketClient:
    """One WebSocket that is opened again whenever it was closed."""

    def __init__(self, oracle: Oracle, port: int, session: TrackedSession) -> None:
        self.session = session
        self.opened = 0
        self.close_codes: list[int | None] = []
        """Code of each close frame; None where the connection was cut without one."""
        self.connected = asyncio.Event()
        self.over = asyncio.Event()
        """Set once it is closed and its session is ended."""
        self._oracle = oracle
        self._port = port
        self._stopping = False
        self._connection: Connection | None = None

    def stop(self) -> None:
        self._stopping = True
        if self._connection is not None:
            self._connection.abort()

    async def run(self) -> None:
        while not self._stopping and self.session.state is not State.ENDED:
            await self._once()
            self.connected.clear()
            if not self._stopping:
                await asyncio.sleep(_AGAIN)
        self.over.set()

    async def _once(self) -> None:
        name = f"ws-{os.urandom(6).hex()}"
        visit = self._oracle.start(
            name, "websocket", "GET", Expect.SESSION, self.session
        )
        try:
            self._connection = await Connection.open(self._port)
            self._connection.writer.write(
                handshake("/home/ws", self.session.cookie, f"X-Visit: {name}")
            )
            async with asyncio.timeout(10):
                head = await self._connection.reader.readuntil(b"\r\n\r\n")
            visit.status = int(head.split(b" ", 2)[1])
        except NoResponse as error:
            visit.failure = error.failure
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            pass
        if visit.status == 101:
            visit.status = 200
        if self._stopping and visit.status is None:
            self._oracle.forget(visit)
        else:
            self._oracle.settle(visit)
        if visit.status == 200:
            await self._talk()
        if self._connection is not None:
            self._connection.abort()

    async def _talk(self) -> None:
        assert self._connection is not None
        self.opened += 1
        self.connected.set()
        sender = asyncio.ensure_future(self._send())
        code: int | None = None
        try:
            code = await self._listen()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            sender.cancel()
        if self._stopping:
            return
        if (ended := self.session.ended_at) is not None:
            outlived = time.monotonic() - ended
            if outlived > GRACE:
                self._oracle.stream_outlived(self.session, outlived)
        self.close_codes.append(code)
        if self.session.state is State.LIVE:
            self._oracle.findings.streams_cut.append(
                f"WebSocket of {self.session.identity}, close code {code}"
            )

    async def _send(self) -> None:
        assert self._connection is not None
        count = 0
        while True:
            self._connection.writer.write(masked(1, b"%d" % count))
            count += 1
            await asyncio.sleep(_EVERY)

    async def _listen(self) -> int:
        assert self._connection is not None
        reader, expected = self._connection.reader, 0
        while True:
            first, length = await reader.readexactly(2)
            payload = await reader.readexactly(length & 127)
            if first & 15 == 8:
                return int.from_bytes(payload[:2])
            if payload != b"%d" % expected:
                self._oracle.findings.damaged.append(
                    f"WebSocket: {payload!r} where {expected} was sent"
                )
            expected += 1
            ended = self.session.ended_at
            if ended is not None and time.monotonic() - ended > _GIVE_UP:
                return 0
