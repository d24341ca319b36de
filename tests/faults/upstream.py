"""The upstream of the fault tests: it reports each request to the oracle.

One program answers on several ports. `Behaviour` is what a port does wrong.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.wire import LIMIT

Arrived = Callable[[str, str | None, str | None], None]
WS_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DOWNLOAD = bytes(range(256)) * 1024
"""The body of a download: 256 KiB, so that a piece that is lost shows."""


class Behaviour(StrEnum):
    """What an upstream does with a request."""

    GOOD = "answers"
    RESETS = "resets the connection in the middle of a response"
    HANGS = "never answers"
    GARBAGE = "answers bytes that are not HTTP"
    ENDLESS = "answers a head without end"
    CLOSES = "closes as the request is written"
    FAILS = "answers 503"


@dataclass(slots=True)
class Head:
    """The head of a request as the upstream got it."""

    method: str
    target: str
    fields: dict[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def id(self) -> str | None:
        return self.fields.get("x-visit")


@dataclass
class Upstream:
    """Answers, and reports what came by its X-Visit id."""

    arrived: Arrived | None = None
    behaviour: Behaviour = Behaviour.GOOD
    port: int = 0
    address: str = "127.0.0.1"
    served: int = 0
    delay: float = 0.0
    """Seconds before each response."""
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, self.address, self.port, limit=LIMIT, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, and reset those that are open."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            reset(writer)
        await asyncio.sleep(0)

    @property
    def connections(self) -> int:
        return len(self._open)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = _read_head(await reader.readuntil(b"\r\n\r\n"))
        self.served += 1
        if self.behaviour is Behaviour.CLOSES and head.method == "POST":
            return False
        digest = await _read_body(reader, head)
        if self.arrived is not None and head.id is not None:
            self.arrived(head.id, head.fields.get("x-auth-user-id"), digest)
        if self.behaviour is not Behaviour.GOOD:
            await self._misbehave(reader, writer)
            return False
        if self.delay:
            await asyncio.sleep(self.delay)
        if head.fields.get("upgrade", "").lower() == "websocket":
            await _echo(reader, writer, head)
            return False
        writer.write(_response(head, digest))
        await writer.drain()
        return True

    async def _misbehave(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match self.behaviour:
            case Behaviour.RESETS:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                writer.write(b"x" * 5000)
                await writer.drain()
                reset(writer)
            case Behaviour.HANGS:
                await reader.read()
            case Behaviour.GARBAGE:
                writer.write(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n")
            case Behaviour.ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\n")
                with contextlib.suppress(OSError):
                    while not writer.transport.is_closing():
                        writer.write(b"X-More: and more\r\n" * 64)
                        await writer.drain()
                        await asyncio.sleep(0)
            case Behaviour.FAILS:
                writer.write(
                    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
                )
            case Behaviour.GOOD | Behaviour.CLOSES:
                pass


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if raw is not None:
            linger = struct.pack("ii", 1, 0)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _read_head(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1")[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return Head(method, target, {n.lower(): v.strip() for n, _, v in pairs})


async def _read_body(reader: asyncio.StreamReader, head: Head) -> str | None:
    """Return the digest of the body; None where there is none.

    Raises:
        IncompleteReadError: the body was cut off.
    """
    digest = hashlib.sha256()
    if "content-length" in head.fields:
        left = int(head.fields["content-length"])
        while left:
            piece = await reader.read(min(left, 65536))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            digest.update(piece)
            left -= len(piece)
    elif "chunked" in head.fields.get("transfer-encoding", ""):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            digest.update((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
    else:
        return None
    return digest.hexdigest()


def _response(head: Head, digest: str | None) -> bytes:
    more = ""
    body = DOWNLOAD if head.path.endswith("/download") else b""
    if not body:
        seen = {
            "id": head.id,
            "user": head.fields.get("x-auth-user-id"),
            "digest": digest,
        }
        body = json.dumps(seen).encode()
    if head.path == "/auth/login" and "x-sign-in" in head.fields:
        more = f"X-Gateway-Sign-In: {head.fields['x-sign-in']}\r\n"
    elif head.path == "/auth/logout":
        more = "X-Gateway-Sign-Out: this\r\n"
    start = f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return start.encode() + (b"" if head.method == "HEAD" else body)


async def _echo(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head
) -> None:
    """Answer a WebSocket handshake, and send back each small masked frame."""
    accept = hashlib.sha1(head.fields["sec-websocket-key"].encode() + WS_KEY)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64.b64encode(accept.digest())
        + b"\r\n\r\n"
    )
    while True:
        first, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(length & 127)
        plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        writer.write(bytes((first, len(plain))) + plain)
        if first & 15 == 8:
            return
        await writer.drain()
