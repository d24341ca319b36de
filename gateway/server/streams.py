"""The open WebSockets and streams of sessions, which end with them (invariant 6).

Three events end a session here: a notification of the store, the clock, and the
periodic check, which covers lost notifications.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.sessions.provider_token import KEY_PREFIX

_REMEMBERED: Final = 10_000
"""Revoked sessions kept in memory: 1 MB, and more than end within a minute."""
_AGAIN: Final = 0.2
"""Seconds until a check that failed is repeated."""
_AT_ONCE: Final = 100
"""Sessions that are looked up in one round trip."""


@dataclass(eq=False, slots=True, kw_only=True)
class OpenStream:
    """One open WebSocket or streamed response, and how to end it.

    `key` is the key of its session in the store; None if it has none. `admitted` is the
    request, for gateway.server.reevaluation; `evaluated_by` is the configuration that
    last allowed it, `version` that of the session which it last allowed; None: unknown.
    `started` is when its request began, in monotonic seconds: its session was looked up
    later.
    """

    key: str | None
    end: Callable[[Reason], None]
    admitted: object = None
    evaluated_by: object = None
    version: str | None = None
    started: float = inf
    closed: bool = False


@dataclass(slots=True)
class OpenStreams:
    """The open streams of this process, by session key."""

    _by_key: dict[str | None, set[OpenStream]] = field(default_factory=dict)
    _revoked: dict[str, None] = field(default_factory=dict)
    _changed: dict[str, None] = field(default_factory=dict)
    _tokens_ended: float = -inf
    _stopped: Reason | None = None
    on_changed: Callable[[str], None] | None = None
    """Called with the key of a stream that opens after its session changed or may have ended."""
    on_stale: Callable[[], None] | None = None
    """Called when a stream opens that an earlier configuration allowed."""
    active: object = None
    """The active configuration."""

    def add(self, stream: OpenStream) -> None:
        """Register a stream; the caller removes it.

        It ends at once if its session was revoked after the decision: there was no
        stream to end while the upstream was awaited.
        """
        self._by_key.setdefault(stream.key, set()).add(stream)
        if stream.key in self._revoked:
            stream.end(Reason.SESSION_REVOKED)
        elif self._stopped is not None:
            stream.end(self._stopped)
        else:
            self._check_if_outdated(stream)

    def _check_if_outdated(self, stream: OpenStream) -> None:
        key = stream.key
        changed = key in self._changed
        if stream.evaluated_by is not self.active and self.on_stale is not None:
            self.on_stale()
            changed = False  # its session is looked up for that
        if key is None or self.on_changed is None:
            return
        if changed or (
            key.startswith(KEY_PREFIX) and stream.started <= self._tokens_ended
        ):
            self.on_changed(key)

    def remove(self, stream: OpenStream) -> None:
        """Unregister a stream; idempotent."""
        stream.closed = True
        streams = self._by_key.get(stream.key)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._by_key[stream.key]

    def end(self, key: str, reason: Reason) -> int:
        """End every stream of a session; return their number."""
        if reason is Reason.SESSION_REVOKED:
            # Only this is permanent: a missing record may reappear.
            self._revoked[key] = None
            if len(self._revoked) > _REMEMBERED:
                del self._revoked[next(iter(self._revoked))]
        return self._end(key, reason)

    def note_change(self, key: str) -> None:
        """Record that a session changed: a stream that opens may have been allowed before."""
        self._changed.pop(key, None)
        self._changed[key] = None
        if len(self._changed) > _REMEMBERED:
            del self._changed[next(iter(self._changed))]

    def note_token_ends(self, ticks: float) -> None:
        """Record that tokens of a provider ended, which ones is unknown; monotonic seconds."""
        self._tokens_ended = ticks

    def of(self, key: str) -> tuple[OpenStream, ...]:
        """Return the open streams of a session."""
        return tuple(self._by_key.get(key, ()))

    def end_all(self, reason: Reason) -> None:
        """End every stream, now and later: the gateway is draining."""
        self._stopped = reason
        for key in tuple(self._by_key):
            self._end(key, reason)

    def was_revoked(self, key: str | None) -> bool:
        """Return whether a session is known to be revoked."""
        return key in self._revoked

    def all(self) -> tuple[OpenStream, ...]:
        """Return every open stream."""
        return tuple(each for streams in self._by_key.values() for each in streams)

    def sessions(self) -> tuple[str, ...]:
        """Return the keys of the sessions that have open streams."""
        return tuple(key for key in self._by_key if key is not None)

    def _end(self, key: str | None, reason: Reason) -> int:
        streams = tuple(self._by_key.get(key, ()))
        for stream in streams:
            stream.end(reason)
        return len(streams)


async def recheck(
    streams: OpenStreams,
    ended: Callable[[str], Awaitable[Reason | None]],
    keys: Sequence[str],
) -> list[str]:
    """End the streams of those of the sessions `keys` that have ended.

    Args:
        streams: the open streams.
        keys: the sessions to look up, a hundred at a time.
        ended: returns why a session ended, or None while it is active. It may raise
            StoreUnavailable: an outage ends no stream (invariant 4).

    Returns:
        The keys of the sessions that could not be checked.
    """
    unknown: list[str] = []
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        reasons = await asyncio.gather(
            *(ended(key) for key in some), return_exceptions=True
        )
        for key, reason in zip(some, reasons, strict=True):
            if isinstance(reason, StoreUnavailable):
                unknown.append(key)
            elif isinstance(reason, BaseException):
                raise reason
            elif reason is not None:
                streams.end(key, reason)
    return unknown


class Rechecks:
    """Checks the sessions of all open streams periodically, and on request.

    During an outage notifications are lost. A failed check is repeated until it
    succeeds, so a stream outlives its session by a second at most.
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
        """Request a check now."""
        self._wanted.set()

    async def always(self) -> None:
        """Check until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._wanted.wait()
            self._wanted.clear()
            if await recheck(self._streams, self._ended, self._streams.sessions()):
                self._wanted.set()
                await asyncio.sleep(_AGAIN)


class DueChecks:
    """Checks sessions that may have ended, at most a hundred at a time.

    However many are requested at once, the other look-ups keep their turn. A failed
    check is repeated until it succeeds or the stream is closed.
    """

    def __init__(
        self, streams: OpenStreams, ended: Callable[[str], Awaitable[Reason | None]]
    ) -> None:
        self._streams = streams
        self._ended = ended
        self._due: dict[str, None] = {}
        self._wanted = asyncio.Event()

    def soon(self, keys: Iterable[str]) -> None:
        """Request a check of these sessions now."""
        self._due.update(dict.fromkeys(keys))
        self._wanted.set()

    async def always(self) -> None:
        """Check until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            due = [key for key in self._due if self._streams.of(key)]
            self._due.clear()
            unknown = await recheck(self._streams, self._ended, due)
            if unknown:
                self.soon(unknown)
                await asyncio.sleep(_AGAIN)
