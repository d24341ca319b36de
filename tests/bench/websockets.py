"""WebSockets that echo, and a client of many that sends the next message on each echo.

    python -m tests.bench.websockets PORT

Every message has the same length: a proxy passes bytes on, and does not look at them.
"""

import asyncio
import base64
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

import uvloop

from tests.bench.client import FIELDS, Destination
from tests.bench.processes import OTHER_CORE, running, wait_until
from tests.servers import free_port

_HERE = Path(__file__).parents[2]
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
PAYLOAD: Final = b"m" * 64
# RFC 6455, 5.2: a final text frame; a client's is masked, here with a mask of zeros.
FROM_CLIENT: Final = b"\x81" + bytes([0x80 | len(PAYLOAD)]) + bytes(4) + PAYLOAD
FROM_SERVER: Final = b"\x81" + bytes([len(PAYLOAD)]) + PAYLOAD


class _Echo(asyncio.Protocol):
    """Answers a handshake, then each frame of the client's length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.open = False
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        if not self.open:
            head, end, rest = self.waiting.partition(b"\r\n\r\n")
            if not end:
                return
            self.open, self.waiting = True, rest
            self.transport.write(accept(head))
        whole = len(self.waiting) // len(FROM_CLIENT)
        if whole:
            self.waiting = self.waiting[whole * len(FROM_CLIENT) :]
            self.transport.write(FROM_SERVER * whole)


def accept(head: bytes) -> bytes:
    """Return the 101 for the head of a handshake."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            digest = hashlib.sha1(value.strip() + _GUID).digest()
            return (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + base64.b64encode(digest)
                + b"\r\n\r\n"
            )
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def echoing(folder: Path) -> Iterator[int]:
    """Run the echoing server; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.websockets", str(port)]
    with running("echo", command, folder, cores=OTHER_CORE, cwd=_HERE) as program:
        if not wait_until(lambda: "ready" in program.log.read_text(), program):
            raise RuntimeError(f"no echo: {program.last_words()}")
        yield port


def handshake(to: Destination, number: int) -> bytes:
    """Return the request of a handshake, with the cookie of one session."""
    fields = {
        **{name: FIELDS[name] for name in ("User-Agent", "Accept-Language")},
        **to.fields,
        "Host": f"127.0.0.1:{to.port}",
        "Origin": f"http://127.0.0.1:{to.port}",
        "Cookie": to.cookies[number % len(to.cookies)],
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {to.path}/ws HTTP/1.1\r\n{lines}\r\n".encode()


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self.request = request
        self.head = b""
        self.failure: str | None = None
        self.opened = asyncio.get_running_loop().create_future()
        self.messages = self.received = 0
        self.sending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.head += data
            if b"\r\n\r\n" in self.head:
                if not self.head.startswith(b"HTTP/1.1 101"):
                    self.failure = self.head.split(b"\r\n")[0].decode("latin-1")
                self.opened.set_result(None)
            return
        self.received += len(data)
        while self.received >= len(FROM_SERVER):
            self.received -= len(FROM_SERVER)
            self.messages += 1
            self.send()

    def connection_lost(self, _: Exception | None) -> None:
        self.failure = self.failure or "connection lost"
        if not self.opened.done():
            self.opened.set_result(None)

    def send(self) -> None:
        if self.sending:
            self.transport.write(FROM_CLIENT)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What some WebSockets did; `spent` is the difference of the clock's readings."""

    messages: int
    seconds: float
    spent: float
    failures: Sequence[str]


def exchange(
    to: Destination, connections: int, seconds: float, clock: Callable[[], float]
) -> Exchange:
    """Send on every connection, each time its last message came back.

    The clock is read when all are open, and at the end.
    """
    return uvloop.run(_exchange(to, connections, seconds, clock))


async def _exchange(
    to: Destination, connections: int, seconds: float, clock: Callable[[], float]
) -> Exchange:
    loop = asyncio.get_running_loop()
    clients = [_Client(handshake(to, number)) for number in range(connections)]
    for client in clients:
        await loop.create_connection(partial(_itself, client), "127.0.0.1", to.port)
    await asyncio.gather(*(client.opened for client in clients))
    start, before = time.monotonic(), clock()
    for client in clients:
        client.sending = True
        client.send()
    await asyncio.sleep(seconds)
    spent, elapsed = clock() - before, time.monotonic() - start
    found = Exchange(
        messages=sum(client.messages for client in clients),
        seconds=elapsed,
        spent=spent,
        failures=[client.failure for client in clients if client.failure],
    )
    for client in clients:
        client.sending = False
        client.transport.abort()
    return found


def _itself(client: _Client) -> _Client:
    return client


def main() -> None:
    """Echo until the process is ended."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(_Echo, "127.0.0.1", int(sys.argv[1]), backlog=4096)
        print("ready", flush=True)
        await asyncio.Event().wait()

    uvloop.run(serve())


if __name__ == "__main__":
    main()
