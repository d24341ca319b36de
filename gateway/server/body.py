"""The body of a client's request, with limits on its size and rate."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from gateway.server.payload import Payload

FIRST_PART: Final = 16 * 1024
"""Bytes of a body that must arrive before an upstream connection is acquired. Most
forms and API calls fit completely."""
_FIRST_WAIT: Final = 1.0
"""Seconds that a body may delay its request while the upstream has free connections:
an upstream may reject the body of a slow client early."""


class BodyTooLarge(Exception):  # noqa: N818 - the words of RFC 9110, 15.5.14
    """The body exceeds the limit; the rest is not forwarded."""


class BodyStalled(Exception):  # noqa: N818 - as above
    """The client sent too little for too long."""


class ClientBody:
    """Reads a request body piece by piece, at the pace of the upstream.

    `100 Continue` is sent at the first read. The request is then allowed and has an
    upstream connection (RFC 9110, section 10.1.1), unless connections are scarce.
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
        payload: Payload,
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
            payload: its reader; it pauses the client above its buffer.
            chunked: whether the length is unknown.
            limit: maximum size in bytes; 0 disables it.
            idle: seconds between two pieces, and before `least_rate` counts.
            send: writes to the client; `100 Continue` goes there.
            expects_continue: whether the client waits for it.
            least_rate: minimum bytes per second of waiting, after the first `idle`
                seconds; 0 disables it.
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
        """Wait for the first part of the body, so that it holds no idle connection.

        The wait ends when FIRST_PART bytes or the complete body have arrived. While
        `crowded()` is false it ends after a second, and is skipped for chunked bodies
        and `100-continue`, whose client may wait for a response first.

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

    def arrived(self) -> bytes | None:
        """Return the body if all of it has arrived within the limit, else None.

        Small bodies arrive with their head. Then the upstream gets both in one write.
        """
        payload, limit = self._payload, self._left
        if (
            self._want_continue
            or not payload.is_eof()
            or payload.exception() is not None
            or (limit is not None and payload.total_bytes > limit)
        ):
            return None
        rest = payload.read_nowait()
        return b"".join((*self._first, rest)) if self._first else rest

    async def read(self) -> bytes:
        """Return the next piece; b"" is the end.

        Raises:
            BodyTooLarge: the body exceeds the limit.
            BodyStalled: the client sent too little for too long.
            Exception: invalid framing (`RequestPayloadError`), or the client
                disconnected (`ConnectionError`).
        """
        if self._first:
            piece = b"".join(self._first)
            self._first.clear()
            return piece
        return await self._next(at_most=inf)

    async def _next(self, *, at_most: float) -> bytes:
        """Return a piece; raise TimeoutError after `at_most` seconds without one."""
        if self._want_continue:
            self._want_continue = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        payload = self._payload
        if payload.total_bytes > self._taken or payload.is_eof():
            piece = await payload.readany()  # already received: no timeout
        else:
            piece = await self._awaited(at_most)
        self._taken += len(piece)
        self._silent = 0.0
        if self._left is not None and self._taken > self._left:
            raise BodyTooLarge
        return piece

    async def _awaited(self, at_most: float) -> bytes:
        """Wait for a piece, and count the time.

        Only this time counts against the client, not that of a slow upstream.
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
