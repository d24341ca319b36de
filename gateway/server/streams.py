"""What is still open for a session: its WebSockets and its streams (law 6).

A session that ends must end them too. Three things can end one: a push from the
store, the clock, and the periodic re-check that catches a push that was lost.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason

_REMEMBERED: Final = 10_000
"""Ended sessions that are kept in mind: 1 MB, and more than end in a minute."""
_AGAIN: Final = 0.2
"""Seconds until streams are asked for again whose store could not be asked."""
_AT_ONCE: Final = 100
"""Sessions that are asked for in one round trip."""


@dataclass(eq=False, slots=True, kw_only=True)
class OpenStream:
    """One open WebSocket or streamed answer, and how to end it.

    `key` is the place of its session in the store; None where there is none.
    `admitted` says how it was let in, for gateway.server.reevaluation; `evaluated_by` is the
    configuration that did, or that judged it since.
    """

    key: str | None
    end: Callable[[Reason], None]
    admitted: object = None
    evaluated_by: object = None
    closed: bool = False


@dataclass(slots=True)
class OpenStreams:
    """The open streams of this process, by session key."""

    _by_key: dict[str | None, set[OpenStream]] = field(default_factory=dict)
    _revoked: dict[str, None] = field(default_factory=dict)
    _stopped: Reason | None = None
    on_stale: Callable[[], None] | None = None
    """Called when a stream opens that was let in by an earlier configuration."""
    active: object = None
    """The configuration that is active now."""

    def add(self, stream: OpenStream) -> None:
        """Remember a stream; whoever adds it removes it.

        It ends at once if its session was revoked since its request was let in:
        while the upstream was waited for there was no stream that could be ended.
        """
        self._by_key.setdefault(stream.key, set()).add(stream)
        if stream.key in self._revoked:
            stream.end(Reason.SESSION_REVOKED)
        elif self._stopped is not None:
            stream.end(self._stopped)
        elif stream.evaluated_by is not self.active and self.on_stale is not None:
            self.on_stale()

    def remove(self, stream: OpenStream) -> None:
        """Forget a stream; forgetting it twice is no error."""
        stream.closed = True
        streams = self._by_key.get(stream.key)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._by_key[stream.key]

    def end(self, key: str, reason: Reason) -> int:
        """End every stream of a session; answers how many there were."""
        if reason is Reason.SESSION_REVOKED:
            # Only this is for ever: a record that is not found may come back.
            self._revoked[key] = None
            if len(self._revoked) > _REMEMBERED:
                del self._revoked[next(iter(self._revoked))]
        return self._end(key, reason)

    def end_all(self, reason: Reason) -> None:
        """End every stream, and those that still open: the gateway is to stop."""
        self._stopped = reason
        for key in tuple(self._by_key):
            self._end(key, reason)

    def was_revoked(self, key: str | None) -> bool:
        """Tell whether a session is known to have been revoked since it was let in."""
        return key in self._revoked

    def all(self) -> tuple[OpenStream, ...]:
        """Return every open stream."""
        return tuple(each for streams in self._by_key.values() for each in streams)

    def sessions(self) -> tuple[str, ...]:
        """Name the sessions that have something open."""
        return tuple(key for key in self._by_key if key is not None)

    def _end(self, key: str | None, reason: Reason) -> int:
        streams = tuple(self._by_key.get(key, ()))
        for stream in streams:
            stream.end(reason)
        return len(streams)


async def recheck(
    streams: OpenStreams, ended: Callable[[str], Awaitable[Reason | None]]
) -> bool:
    """Ask for every session with an open stream whether it is over, and obey.

    `ended` answers the reason, or None while the session lives. It raises
    StoreUnavailable where it cannot ask: an outage of the store ends nothing (law 4).
    Returns False where some could not be asked for, so that the caller asks again.
    """
    keys = streams.sessions()
    answered = True
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        reasons = await asyncio.gather(
            *(ended(key) for key in some), return_exceptions=True
        )
        for key, reason in zip(some, reasons, strict=True):
            if isinstance(reason, StoreUnavailable):
                answered = False
            elif isinstance(reason, BaseException):
                raise reason
            elif reason is not None:
                streams.end(key, reason)
    return answered


class Rechecks:
    """Asks for all open streams every now and then, and at once when it is wanted.

    After an outage some endings were not heard. So what could not be asked for is
    asked for again until it can be: a stream outlives its session by a second at most.
    """

    def __init__(
        self,
        streams: OpenStreams,
        ended: Callable[[str], Awaitable[Reason | None]],
        *,
        every: float,
    ) -> None:
        self._streams = streams
        self._ended = ended
        self._every = every
        self._wanted = asyncio.Event()

    def soon(self) -> None:
        """Have all streams asked for at once."""
        self._wanted.set()

    async def always(self) -> None:
        """Ask until it is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._wanted.wait()
            self._wanted.clear()
            if not await recheck(self._streams, self._ended):
                self._wanted.set()
                await asyncio.sleep(_AGAIN)
