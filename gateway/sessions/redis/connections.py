"""All connections to one server, of one generation: they are closed together.

A generation is the time between two changes of the server that the address means.
Nothing of an earlier one is used or believed: an answer that comes on a connection
that was given up is no answer.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.connect import open_line
from gateway.sessions.redis.line import Line

# Seconds after which a connection is replaced: a name or a balancer that leads
# elsewhere now is followed, even where the old server says nothing.
LIFE: Final = 300.0
MOST_IDLE: Final = 64

CHANGED: Final = "the server changed meanwhile"

T = TypeVar("T")


class Connections:
    """The shared line of look-ups, and others that one caller has at a time.

    `greet` is awaited with each new line before anything else is asked on it.
    """

    def __init__(self, client: Redis, greet: Callable[[Line], Awaitable[None]]) -> None:
        self.client = client
        self.closed = False
        self.gone = asyncio.Event()
        self._greet = greet
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self._idle: deque[Line] = deque()
        self._lent: set[Line] = set()

    async def shared(self, ask: Callable[[Line], Awaitable[T]]) -> T:
        """Ask on the line that all look-ups share; on a new one if that has ended."""
        for last in (False, True):
            line = self._line
            if line is None or line.closed or (line.age > LIFE and not line.busy):
                line = await self._renewed()
            try:
                return await ask(line)
            except ConnectionError:
                # Redis may have closed it while nobody asked; a look-up may be
                # repeated, as it changes nothing.
                if last:
                    raise
            except BaseException:
                # No answer in time, or one that no healthy Redis gives: the next
                # look-up finds out anew where Redis is.
                line.close()
                raise
        raise AssertionError

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Line]:
        """Lend a line to one caller; it is kept for the next if it is still good."""
        line = self._take()
        if line is None:
            line = await self.open()
        self._lent.add(line)
        try:
            yield line
        except BaseException:
            line.close()
            raise
        finally:
            self._lent.discard(line)
            if line.busy or self.closed or len(self._idle) >= MOST_IDLE:
                line.close()
            elif not line.closed:
                self._idle.append(line)

    async def call(self, work: Callable[[Line], Awaitable[T]]) -> T:
        """Work on a line of one's own; once more where a kept one was dead."""
        for last in (False, True):
            fresh = not self._idle
            try:
                async with self.lend() as line:
                    return await work(line)
            except ConnectionError:
                if last or fresh:
                    raise
                self._drop_idle()
        raise AssertionError

    async def open(self) -> Line:
        """Open one more connection to the server.

        Raises:
            StoreUnavailable: all of them were closed meanwhile.
        """
        line = await open_line(self.client)
        try:
            await self._greet(line)
        except BaseException:
            line.close()
            raise
        if self.closed:
            line.close()
            raise StoreUnavailable(CHANGED)
        return line

    def close(self) -> None:
        """Close every line at once; who waits on one hears that it has ended."""
        self.closed = True
        self.gone.set()
        if self._line is not None:
            self._line.close()
        self._drop_idle()
        for line in tuple(self._lent):
            line.close()

    async def disconnect(self) -> None:
        """Let go of what the library holds for this server."""
        with contextlib.suppress(RedisError, OSError):
            await self.client.aclose()

    async def _renewed(self) -> Line:
        async with self._opening:
            line = self._line
            if line is None or line.closed or (line.age > LIFE and not line.busy):
                new = await self.open()
                if line is not None:
                    line.close()
                self._line = line = new
            return line

    def _take(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if not line.closed and line.age <= LIFE:
                return line
            line.close()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
