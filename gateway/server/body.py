"""The body of a client's request: counted, in time, and only read when wanted."""

import asyncio
from collections.abc import Callable

from aiohttp.streams import StreamReader


class BodyTooLarge(Exception):  # noqa: N818 - the words of RFC 9110, 15.5.14
    """The body went past the limit; nothing of the rest was passed on."""


class BodyStalled(Exception):  # noqa: N818 - as above
    """The client sent nothing more for too long."""


class ClientBody:
    """Reads a request body piece by piece, as the upstream takes it.

    `100 Continue` is sent at the first read: by then the request is allowed and a
    connection to the upstream is there (RFC 9110, section 10.1.1).
    """

    __slots__ = ("_idle", "_left", "_payload", "_send", "_want_continue", "chunked")

    def __init__(
        self,
        payload: StreamReader,
        *,
        chunked: bool,
        limit: int,
        idle: float,
        send: Callable[[bytes], None],
        expects_continue: bool,
    ) -> None:
        """Wrap a payload.

        Args:
            payload: aiohttp's reader; it pauses the client above its buffer.
            chunked: whether the length is unknown.
            limit: bytes taken at most; 0 is no limit.
            idle: seconds between two pieces.
            send: writes to the client; `100 Continue` goes there.
            expects_continue: whether the client waits for it.
        """
        self.chunked = chunked
        self._payload = payload
        self._left = limit or None
        self._idle = idle
        self._send = send
        self._want_continue = expects_continue

    async def read(self) -> bytes:
        """Read the next piece; b"" is the end.

        Raises:
            BodyTooLarge: the limit is passed.
            BodyStalled: nothing came for `idle` seconds.
            Exception: what aiohttp raises when the framing is broken or the
                client is gone (`RequestPayloadError`, `ConnectionError`).
        """
        if self._want_continue:
            self._want_continue = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(self._idle):
                piece = await self._payload.readany()
        except TimeoutError as error:
            raise BodyStalled from error
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise BodyTooLarge
        return piece
