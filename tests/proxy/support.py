"""An upstream that is told, byte by byte, what to do; and what is sent to it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, TypeAlias

from gateway.http.response_fields import NOT_END_TO_END
from gateway.proxy.response import UpstreamResponse
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream import Upstream
from tests.servers import PATIENCE

GET = b"GET /x HTTP/1.1\r\nHost: app\r\n\r\n"
HEAD = b"HEAD /x HTTP/1.1\r\nHost: app\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One connection that the scripted upstream has accepted."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number  # 0 for the first connection
        self.received = b""

    async def head(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.received += head
        return head

    async def exactly(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.received += data
        return data

    async def rest(self) -> bytes:
        """Everything until the other side closes, in order or not."""
        parts = []
        try:
            while data := await self.reader.read(65536):
                parts.append(data)
        except ConnectionResetError:
            pass
        rest = b"".join(parts)
        self.received += rest
        return rest

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, data: bytes) -> None:
        await self.head()
        self.write(data)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script: TypeAlias = Callable[[Peer], Awaitable[object]]


class ScriptedUpstream:
    """Runs `script(peer)` for each connection; remembers the peers and failures."""

    address: TargetAddress

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.failures: list[Exception] = []

    async def accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = Peer(reader, writer, len(self.peers))
        self.peers.append(peer)
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        try:
            await self.script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway went away: what was received tells
        except asyncio.CancelledError:
            pass  # the test is over
        except Exception as error:  # noqa: BLE001 - the test is told at its end
            self.failures.append(error)
        finally:
            self.tasks.discard(task)
            writer.close()

    @property
    def received(self) -> list[bytes]:
        return [peer.received for peer in self.peers]


@asynccontextmanager
async def scripted(
    script: Script,
    *,
    path: str | None = None,
    ssl: SSLContext | None = None,
) -> AsyncIterator[ScriptedUpstream]:
    """Serve `script` on a free port, or on a unix socket at `path`."""
    upstream = ScriptedUpstream(script)
    if path is not None:
        server = await asyncio.start_unix_server(upstream.accept, path)
        upstream.address = TargetAddress(scheme="http", host="x", port=0, path=path)
    else:
        server = await asyncio.start_server(upstream.accept, "127.0.0.1", 0, ssl=ssl)
        upstream.address = TargetAddress(
            scheme="https" if ssl else "http",
            host="127.0.0.1",
            port=server.sockets[0].getsockname()[1],
        )
    try:
        yield upstream
    finally:
        server.close()
        for task in list(upstream.tasks):
            task.cancel()
        if upstream.tasks:
            await asyncio.wait(upstream.tasks)
        assert upstream.failures == []


@asynccontextmanager
async def client_of(
    *targets: TargetAddress | ScriptedUpstream,
    **options: Any,
) -> AsyncIterator[Upstream]:
    """An Upstream, patient unless told otherwise, closed at the end."""
    settings: dict[str, Any] = {
        "name": "app",
        "connect_timeout": PATIENCE,
        "response_timeout": PATIENCE,
        "idle_timeout": PATIENCE,
        **options,
    }
    upstream = Upstream(
        targets=[
            target if isinstance(target, TargetAddress) else target.address
            for target in targets
        ],
        **settings,
    )
    try:
        yield upstream
    finally:
        await upstream.close()


async def get(
    client: Upstream, head: bytes = GET, method: str = "GET", *, retriable: bool = True
) -> UpstreamResponse:
    return await client.send(head, method=method, body=None, retriable=retriable)


def relayed_fields(response: UpstreamResponse) -> list[tuple[bytes, bytes]]:
    """The fields that go on to the client."""
    fields = response.end_to_end.fields
    return [(f.name, f.value) for f in fields if not f.role & NOT_END_TO_END]


async def whole(response: UpstreamResponse) -> bytes:
    parts = []
    while data := await response.read():
        parts.append(data)
    return b"".join(parts)


class Streamed:
    """A request body of which nothing has arrived yet."""

    def arrived(self) -> bytes | None:
        return None


class Pieces(Streamed):
    """A request body of pieces; an exception among them is raised."""

    def __init__(
        self, *pieces: asyncio.Event | bytes | Exception, chunked: bool = False
    ) -> None:
        self.pieces = list(pieces)
        self.chunked = chunked

    async def read(self) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, asyncio.Event):
            await piece.wait()
            return await self.read()
        return piece
