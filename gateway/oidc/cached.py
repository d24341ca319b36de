"""A value that is fetched once for all callers, kept, and fetched again when it is old."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, Generic, TypeVar

from gateway.oidc.failure import SignInFailed

T = TypeVar("T")

FRESH: Final = 3600.0
"""Seconds for which a value is used without a look at the provider."""
RETRY: Final = 2.0
"""Seconds for which a failure is answered without another try; twice that after another."""
LONGEST_RETRY: Final = 10.0


class Cached(Generic[T]):
    """One value of a provider. Times are seconds of a monotonic clock."""

    def __init__(
        self, fetch: Callable[[], Awaitable[T]], ticks: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._ticks = ticks
        self._value: T | None = None
        self._fetched = 0.0
        self._failure: SignInFailed | None = None
        self._failed = 0.0
        self._pause = 0.0
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return the value; an old one at once, while a newer one is fetched.

        Raises:
            SignInFailed: there is none, and it could not be fetched.
        """
        value = self.peek()
        if value is not None:
            return value
        if self._failure is not None and self._refuses(self._ticks()):
            raise self._failure.with_traceback(None)
        return await self.renew()

    def peek(self) -> T | None:
        """Return the value that is kept, if any; an old one is fetched again meanwhile."""
        now = self._ticks()
        stale = self._value is not None and now - self._fetched >= FRESH
        if stale and not self._refuses(now):
            _ = self._start()
        return self._value

    @property
    def failure(self) -> SignInFailed | None:
        """Why the last fetch failed; None if it did not."""
        return self._failure

    @property
    def fetching(self) -> bool:
        """Whether a fetch is in progress, which may have begun before now."""
        return self._task is not None and not self._task.done()

    @property
    def refuses(self) -> bool:
        """Whether the last fetch failed so lately that there is no other one yet."""
        return self._refuses(self._ticks())

    def adopt(self, value: T | None) -> None:
        """Begin with a value of another one, which is fetched again at the first use."""
        self._value, self._fetched = value, -inf

    async def renew(self) -> T:
        """Fetch the value now; with one that is kept, a failure is not raised."""
        # Shielded: the caller may leave, the others still wait for it.
        await asyncio.shield(self._start())
        if self._value is None:
            assert self._failure is not None  # noqa: S101 - one of both is set
            # Raised for many callers: without the frames of the others.
            raise self._failure.with_traceback(None)
        return self._value

    def _refuses(self, now: float) -> bool:
        return self._failure is not None and now - self._failed < self._pause

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        return self._task

    async def _run(self) -> None:
        try:
            self._value = await self._fetch()
        except SignInFailed as failure:
            self._failure, self._failed = failure, self._ticks()
            self._pause = min(max(2 * self._pause, RETRY), LONGEST_RETRY)
        else:
            self._failure, self._fetched = None, self._ticks()
            self._pause = 0.0
