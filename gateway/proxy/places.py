"""How many connections an upstream may have, and the requests that wait for one."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.errors import UpstreamBusy
from gateway.proxy.upstream_connection import Connection


class Places:
    """Counts the connections of a pool, open or being established.

    A request that finds no place waits, for `patience` seconds at most. The one that has
    waited longest gets the next connection that is free, or the place of one that closed.

    taken    connections that count
    waiting  the requests that wait, oldest first
    """

    __slots__ = ("_loop", "_most", "_patience", "_returned", "taken", "waiting")

    def __init__(
        self,
        most: int,
        *,
        patience: float,
        loop: asyncio.AbstractEventLoop,
        returned: Callable[[Connection], None],
    ) -> None:
        """Create empty places.

        Args:
            most: maximum number of connections.
            patience: seconds that a request may wait.
            loop: the running event loop.
            returned: called with a connection that came too late for its request.
        """
        self.taken = 0
        self._most = most
        self._patience = patience
        self._loop = loop
        self._returned = returned
        self.waiting: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def free(self) -> bool:
        """Whether a connection may be opened."""
        return self.taken < self._most

    def is_crowded(self, idle: int) -> bool:
        """Return whether more than half are in use; `idle` of those taken are not."""
        return 2 * (self.taken - idle) > self._most

    def offer(self, connection: Connection) -> bool:
        """Pass a free connection to a waiting request; return False if none waits."""
        while self.waiting:
            place = self.waiting.popleft()
            if not place.done():
                place.set_result(connection)
                return True
        return False

    def give_back(self) -> None:
        """Pass the place of a closed connection to a waiting request, or free it."""
        while self.waiting:
            place = self.waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.taken -= 1

    async def wait(self) -> Connection | None:
        """Return a connection, or None for a place to open one.

        Raises:
            UpstreamBusy: neither became free in time.
        """
        place: asyncio.Future[Connection | None] = self._loop.create_future()
        self.waiting.append(place)
        try:
            async with asyncio.timeout(self._patience):
                return await place
        except TimeoutError as error:
            self._leave(place)
            raise UpstreamBusy("no free connection to the upstream") from error
        except asyncio.CancelledError:
            self._leave(place)
            raise

    def _leave(self, place: asyncio.Future[Connection | None]) -> None:
        if not place.done() or place.cancelled():
            if place in self.waiting:
                self.waiting.remove(place)
            return
        connection = place.result()
        if connection is None:
            self.give_back()
        elif not connection.closed:
            self._returned(connection)
