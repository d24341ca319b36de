"""The body of a client's request: counted, in time, and only read when wanted."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from aiohttp.streams import StreamReader

FIRST_PART: Final = 16 * 1024
"""Bytes of a body that are here before a connection to the upstream is taken. With
a read-ahead of the client this is most forms and API calls as a whole."""
_FIRST_WAIT: Final = 1.0
"""Seconds that a body may delay its request while the upstream has connections to
spare: an upstream may want to refuse a body early that a client sends slowly."""


class BodyTooLarge(Exception):  # noqa: N818 - the words of RFC 9110, 15.5.14
    """The body went past the limit; nothing of the rest was passed on."""


class BodyStalled(Exception):  # noqa: N818 - as above
    """The client sent too little for too long."""


class ClientBody:
    """Reads a request body piece by piece, as the upstream takes it.

    `100 Continue` is sent at the first read: by then the request is allowed and a
    connection to the upstream is there (RFC 9110, section 10.1.1), unless the
    upstream is short of connections.
    """

    __slots__ = (
        "_first",
        "_idle",
        "_least_rate",
        "_left",
        "_payload",
        "_send",
        "_silent",
        "_taken",
        "_waited",
        "_want_continue",
        "chunked",
    )

    def __init__(
        self,
        payload: StreamReader,
        *,
        chunked: bool,
        limit: int,
        idle: float,
        send: Callable[[bytes], None],
        expects_continue: bool,
        least_rate: int = 0,
    ) -> None:
        """Wrap a payload.

        Args:
            payload: aiohttp's reader; it pauses the client above its buffer.
            chunked: whether the length is unknown.
            limit: bytes taken at most; 0 is no limit.
            idle: seconds between two pieces, and before `least_rate` counts.
            send: writes to the client; `100 Continue` goes there.
            expects_continue: whether the client waits for it.
            least_rate: bytes that must come for each second that the client is
                waited for after the first `idle`; 0 is any.
        """
        self.chunked = chunked
        self._payload = payload
        self._left = limit or None
        self._idle = idle
        self._least_rate = least_rate
        self._send = send
        self._want_continue = expects_continue
        self._first: list[bytes] = []
        self._taken = 0
        self._waited = 0.0
        self._silent = 0.0  # of that, since the last piece

    async def wait_for_first_part(self, crowded: Callable[[], bool]) -> None:
        """Wait until the body has begun to come, so that it holds no connection idle.

        That is until FIRST_PART bytes or the whole body are here. While `crowded()`
        is false the wait ends after a second, and a client that waits for an answer
        before it sends (100-continue, chunks that depend on answers) is not waited
        for at all.

        Raises:
            BodyTooLarge, BodyStalled, Exception: as `read`.
        """
        if self._payload.is_eof():
            return
        while self._taken < FIRST_PART:
            scarce = crowded()
            if not scarce and (
                self.chunked or self._want_continue or self._waited >= _FIRST_WAIT
            ):
                return
            left = _FIRST_WAIT if scarce else _FIRST_WAIT - self._waited
            try:
                piece = await self._next(at_most=left)
            except TimeoutError:
                continue
            if not piece:
                return
            self._first.append(piece)

    async def read(self) -> bytes:
        """Read the next piece; b"" is the end.

        Raises:
            BodyTooLarge: the limit is passed.
            BodyStalled: too little came for too long.
            Exception: what aiohttp raises when the framing is broken or the
                client is gone (`RequestPayloadError`, `ConnectionError`).
        """
        if self._first:
            piece = b"".join(self._first)
            self._first.clear()
            return piece
        return await self._next(at_most=inf)

    async def _next(self, *, at_most: float) -> bytes:
        """Read a piece; TimeoutError after `at_most` seconds without one."""
        if self._want_continue:
            self._want_continue = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        payload = self._payload
        if payload.total_bytes > self._taken or payload.is_eof():
            piece = await payload.readany()  # it is here: no time to be kept
        else:
            piece = await self._awaited(at_most)
        self._taken += len(piece)
        self._silent = 0.0
        if self._left is not None and self._taken > self._left:
            raise BodyTooLarge
        return piece

    async def _awaited(self, at_most: float) -> bytes:
        """Read a piece that is not here yet, and count the time that it takes.

        Only this time is the client's: an upstream that reads slowly costs it none.
        """
        allowed = self._idle - self._silent
        if self._least_rate:
            earned = self._taken / self._least_rate
            allowed = min(allowed, self._idle + earned - self._waited)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(min(allowed, at_most)):
                return await self._payload.readany()
        except TimeoutError as error:
            if allowed <= at_most:
                raise BodyStalled from error
            raise
        finally:
            took = clock() - began
            self._waited += took
            self._silent += took
