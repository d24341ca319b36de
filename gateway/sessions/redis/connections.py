"""All connections to one server, of one generation: they are closed together.

A generation is the time between two changes of the server that the address means.
Nothing of an earlier one is used: an answer on a connection that was given up is
discarded.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.errors import StoreUnavailable
from gateway.sessions.redis.connect import open_connection
from gateway.sessions.redis.redis_connection import RedisConnection

# Seconds after which a connection is replaced: a name or a balancer that leads
# elsewhere now is followed, even where the old server closes nothing.
LIFE: Final = 300.0
MOST_IDLE: Final = 64

CHANGED: Final = "the server changed meanwhile"

T = TypeVar("T")


class Connections:
    """The connection shared by look-ups, and exclusive ones.

    `greet` is awaited with each new line before anything else is asked on it.
    """

    def __init__(
        self, client: Redis, greet: Callable[[RedisConnection], Awaitable[None]]
    ) -> None:
        self.client = client
        self.closed = False
        self.gone = asyncio.Event()
        self._greet = greet
        self._clock = asyncio.get_running_loop().time
        self._shared: RedisConnection | None = None
        self._opening = asyncio.Lock()
        self._idle: deque[RedisConnection] = deque()
        self._lent: set[RedisConnection] = set()

    def ready(self) -> RedisConnection | None:
        """Return the connection shared by all look-ups, if it may be used at once."""
        connection = self._shared
        if (
            connection is None
            or connection.closed
            or (self._clock() - connection.since > LIFE and not connection.busy)
        ):
            return None
        return connection

    async def shared(self, work: Callable[[RedisConnection], Awaitable[T]]) -> T:
        """Use the connection shared by all look-ups; open a new one if it has ended."""
        for last in (False, True):
            connection = self.ready() or await self._renewed()
            try:
                return await work(connection)
            except ConnectionError:
                # Redis may have closed it while it was idle; a look-up may be
                # repeated, as it changes nothing.
                if last:
                    raise
            except BaseException:
                # No answer in time, or one that no healthy Redis gives: the next
                # look-up finds the server again.
                connection.close()
                raise
        raise AssertionError

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[RedisConnection]:
        """Lend a connection to one caller; keep it for the next if still usable."""
        connection = self._take()
        if connection is None:
            connection = await self.open()
        self._lent.add(connection)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        finally:
            self._lent.discard(connection)
            if connection.busy or self.closed or len(self._idle) >= MOST_IDLE:
                connection.close()
            elif not connection.closed:
                self._idle.append(connection)

    async def call(self, work: Callable[[RedisConnection], Awaitable[T]]) -> T:
        """Run `work` on an exclusive connection; retry once if a kept one was dead."""
        for last in (False, True):
            fresh = not self._idle
            try:
                async with self.lend() as connection:
                    return await work(connection)
            except ConnectionError:
                if last or fresh:
                    raise
                self._drop_idle()
        raise AssertionError

    async def open(self) -> RedisConnection:
        """Open one more connection to the server.

        Raises:
            StoreUnavailable: all of them were closed meanwhile.
        """
        connection = await open_connection(self.client)
        try:
            await self._greet(connection)
        except BaseException:
            connection.close()
            raise
        if self.closed:
            connection.close()
            raise StoreUnavailable(CHANGED)
        return connection

    def close(self) -> None:
        """Close every connection immediately; pending commands fail."""
        self.closed = True
        self.gone.set()
        if self._shared is not None:
            self._shared.close()
        self._drop_idle()
        for connection in tuple(self._lent):
            connection.close()

    async def disconnect(self) -> None:
        """Release the library's resources for this server."""
        with contextlib.suppress(RedisError, OSError):
            await self.client.aclose()

    async def _renewed(self) -> RedisConnection:
        async with self._opening:
            connection = self.ready()
            if connection is None:
                connection = await self.open()
                if self._shared is not None:
                    self._shared.close()
                self._shared = connection
            return connection

    def _take(self) -> RedisConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and self._clock() - connection.since <= LIFE:
                return connection
            connection.close()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
