"""Sends the body of a request at the pace of the upstream."""

import asyncio
from typing import Protocol

from gateway.errors import InvalidUpstreamResponse
from gateway.http.chunked import LAST_CHUNK, chunk
from gateway.proxy.body import BodyLengthError, RequestBody, declared_length


class BodyWriter(Protocol):
    """The connection that a body is written to."""

    loop: asyncio.AbstractEventLoop
    write_paused: bool
    """Whether the send buffer is full."""

    def write(self, data: bytes) -> None:
        """Write to the upstream."""

    def rearm(self) -> None:
        """Set the deadline of the exchange."""

    def upload_finished(self) -> None:
        """Record that the complete body was written."""

    def upload_failed(self, error: Exception) -> None:
        """Record that the body cannot be completed."""


class Upload:
    """Sends one body, in a task of its own."""

    __slots__ = ("_drain_waiter", "_stopped", "_task", "_writer")

    def __init__(self, body: RequestBody, head: bytes, writer: BodyWriter) -> None:
        self._writer = writer
        self._drain_waiter: asyncio.Future[None] | None = None
        self._stopped = False
        self._task = writer.loop.create_task(self._send(body, head))

    def resume(self) -> None:
        """Resume after the send buffer has drained, or the connection is lost."""
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    def stop(self) -> None:
        """Stop sending, without a callback."""
        self._stopped = True
        self._task.cancel()

    async def _send(self, body: RequestBody, head: bytes) -> None:
        try:
            if body.chunked:
                await self._send_chunks(body)
            else:
                await self._send_length(body, declared_length(head))
        except asyncio.CancelledError:
            self._fail(InvalidUpstreamResponse("sending the request was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - passed to the exchange
            self._fail(error)
        else:
            if not self._stopped:
                self._writer.upload_finished()

    def _fail(self, error: Exception) -> None:
        if not self._stopped:
            self._writer.upload_failed(error)

    async def _send_chunks(self, body: RequestBody) -> None:
        while data := await body.read():
            self._writer.write(chunk(data))
            if self._writer.write_paused:
                await self._drain()
        self._writer.write(LAST_CHUNK)

    async def _send_length(self, body: RequestBody, length: int) -> None:
        while length and (data := await body.read()):
            length -= len(data)
            if length < 0:
                raise BodyLengthError("body exceeds Content-Length")
            self._writer.write(data)
            if self._writer.write_paused:
                await self._drain()
        if length:
            raise BodyLengthError("body is shorter than Content-Length")

    async def _drain(self) -> None:
        self._drain_waiter = self._writer.loop.create_future()
        self._writer.rearm()
        try:
            await self._drain_waiter
        finally:
            self._drain_waiter = None
        self._writer.rearm()
