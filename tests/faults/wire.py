"""A raw HTTP/1.1 client: what was answered, or how an answer failed to come."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

LIMIT = 1 << 20


class Failure(StrEnum):
    """How a request ended without a complete response."""

    REFUSED = "refused"
    CLOSED = "closed before the response"
    TRUNCATED = "truncated response"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete response."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None


class NoResponse(Exception):  # noqa: N818 - a result, not an error of the program
    """The request got no complete response."""

    def __init__(self, failure: Failure, *, reused: bool, begun: bool) -> None:
        super().__init__(failure)
        self.failure = failure
        self.reused = reused
        """Whether the connection had answered an earlier request."""
        self.begun = begun
        """Whether a byte of a response came."""


@dataclass(slots=True)
class Connection:
    """One client connection, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    port: int
    answered: int = 0
    begun: bool = False
    reusable: bool = True

    @classmethod
    async def open(cls, port: int) -> "Connection":
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, limit=LIMIT
            )
        except OSError as error:
            raise NoResponse(Failure.REFUSED, reused=False, begun=False) from error
        return cls(reader, writer, port)

    @property
    def alive(self) -> bool:
        return (
            self.reusable
            and not self.reader.at_eof()
            and not self.writer.transport.is_closing()
        )

    def abort(self) -> None:
        self.reusable = False
        self.writer.transport.abort()

    async def exchange(self, request: bytes, *, head: bool = False) -> Response:
        """Send a request and return its complete response.

        Raises:
            NoResponse: the connection ended first.
        """
        self.begun = False
        try:
            self.writer.write(request)
            response = await self._read(head=head)
        except (asyncio.IncompleteReadError, OSError) as error:
            failure = Failure.TRUNCATED if self.begun else Failure.CLOSED
            raise self._failed(failure) from error
        self.answered += 1
        return response

    def timed_out(self) -> NoResponse:
        return self._failed(Failure.TIMEOUT)

    def _failed(self, failure: Failure) -> NoResponse:
        return NoResponse(failure, reused=self.answered > 0, begun=self.begun)

    async def _read(self, *, head: bool) -> Response:
        status = 100
        fields: tuple[tuple[str, str], ...] = ()
        while status == 100:
            raw = await self.reader.readuntil(b"\r\n\r\n")
            self.begun = True
            status, fields = _head(raw)
        body = b"" if head or status in (204, 304) else await self._body(fields)
        if ("connection", "close") in fields:
            self.abort()
        return Response(status=status, fields=fields, body=body)

    async def _body(self, fields: Sequence[tuple[str, str]]) -> bytes:
        found = dict(fields)
        if "content-length" in found:
            return await self.reader.readexactly(int(found["content-length"]))
        if "chunked" not in found.get("transfer-encoding", ""):
            self.reusable = False
            return await self.reader.read(-1)
        pieces = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(pieces)


def _head(raw: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = raw.decode("latin-1")[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    fields = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    return int(first.split(" ", 2)[1]), fields


@dataclass(slots=True)
class Connections:
    """Kept connections by port, the last used first."""

    limit: int = 24
    _idle: dict[int, list[Connection]] = field(default_factory=dict)

    def take(self, port: int) -> Connection | None:
        idle = self._idle.get(port, [])
        while idle:
            connection = idle.pop()
            if connection.alive:
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.port, [])
        if connection.alive and len(idle) < self.limit:
            idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()


def request(
    method: str,
    target: str,
    *,
    host: str = "gw.test",
    cookie: str | None = None,
    fields: Sequence[str] = (),
    body: bytes = b"",
    close: bool = False,
) -> bytes:
    """Write one request with its framing."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if not any(line.startswith("Accept:") for line in fields):
        lines.append("Accept: application/json")
    if cookie:
        lines.append(f"Cookie: {cookie}")
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
