"""Resolves host names: one look-up per name at a time, cached for its TTL.

| state of a name | what `resolve` does |
| --- | --- |
| fresh | returns the addresses at once |
| expired | looks it up; after 50 ms returns the old addresses, and the look-up goes on |
| look-up fails or hangs | returns the old addresses, for `stale` seconds after their end |
| unknown | waits for the look-up, which all callers share |
| does not exist, or failed without old addresses | raises, for a second or two at once |
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import inf
from typing import Final

from gateway.net.ares import Addresses, LookupFailed, NameNotFound, look_up

# TTL 0 (also that of every line in `hosts`) would be one look-up per connection.
LEAST_TTL: Final = 1.0
NOT_FOUND_TTL: Final = 2.0
FAILURE_TTL: Final = 1.0
STALE_WAIT: Final = 0.05
"""Seconds for which a caller waits for a look-up while old addresses are there."""
MOST_WAITING: Final = 1000
"""Callers that wait for one name; the next is refused at once."""
MOST_NAMES: Final = 1000
"""Names that are remembered, all of the configuration or of Redis nodes."""
AVOID: Final = 30.0
"""Seconds for which an address that lost the race to connect is tried last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """How names are looked up; durations in seconds, the keys of `dns`."""

    servers: tuple[str, ...] = ()
    timeout: float = 5.0
    max_ttl: float = 30.0
    stale: float = 3600.0


@dataclass(slots=True)
class _Entry:
    """The cached state of one name."""

    hosts: tuple[str, ...] = ()
    expires: float = -inf
    stale_until: float = -inf
    failure: LookupFailed | None = None
    task: asyncio.Task[None] | None = None
    waiting: int = 0
    turn: int = 0
    avoided: dict[str, float] = field(default_factory=dict)


class Resolver:
    """A cache of names for one purpose, such as upstreams or Redis."""

    def __init__(
        self,
        settings: DnsSettings | None = None,
        *,
        clock: Callable[[], float] | None = None,
        on_change: Callable[[str, str | None], None] | None = None,
        in_turn: bool = True,
    ) -> None:
        """Create a resolver.

        Args:
            settings: the configuration; default: that of the system.
            clock: seconds; default: the event loop's.
            on_change: called with a name and an error when its look-ups begin to
                fail, and with None when they work again.
            in_turn: whether connections take turns between the addresses of a name.
                Those of a Redis must not: all processes have to mean one server.
        """
        self._in_turn = in_turn
        self._settings = settings or DnsSettings()
        self._on_change = on_change
        self._clock = clock
        self._names: dict[str, _Entry] = {}
        self._closed = False

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of `name`, in the order to try them.

        With `in_turn` the first one changes from call to call. A caller that stops waiting does not
        end the look-up: the next caller has its result.

        Raises:
            NameNotFound: there is no such name.
            LookupFailed: no answer, and no addresses that are recent enough; or
                too many callers wait.
        """
        entry = self._entry(name)
        now = self._now()
        if entry.expires <= now:
            has_old = entry.stale_until > now
            await self._wait(name, entry, STALE_WAIT if has_old else None)
            now = self._now()
        if entry.hosts and entry.stale_until > now:
            return self._ordered(entry, now)
        failure = entry.failure
        if isinstance(failure, NameNotFound):
            raise NameNotFound(*failure.args)
        raise LookupFailed(*(failure.args if failure else ("no answer in time",)))

    def refresh(self, name: str) -> tuple[str, ...]:
        """Return the addresses known now; start a look-up if they are due for one."""
        entry = self._entry(name)
        if entry.expires <= self._now():
            _ = self._start(name, entry)
        return entry.hosts

    def expire(self, name: str) -> None:
        """Look `name` up at its next use: no address of it takes connections."""
        entry = self._names.get(name)
        if entry is not None and entry.failure is None:
            # Still kept for a second, or a server that is down would cost the DNS
            # server a query for each request.
            entry.expires = min(entry.expires, self._now() + LEAST_TTL)

    def avoid(self, name: str, hosts: Sequence[str]) -> None:
        """Try these addresses last for a while."""
        entry = self._names.get(name)
        if entry is not None and hosts:
            until = self._now() + AVOID
            entry.avoided |= dict.fromkeys(hosts, until)

    async def close(self) -> None:
        """End every look-up."""
        self._closed = True
        tasks = [each.task for each in self._names.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()

    def _entry(self, name: str) -> _Entry:
        entry = self._names.get(name)
        if entry is None:
            if len(self._names) >= MOST_NAMES:
                self._forget()
            entry = self._names[name] = _Entry()
        return entry

    def _forget(self) -> None:
        """Drop the name that was learned first and that no caller waits for."""
        idle = (name for name, each in self._names.items() if each.task is None)
        oldest = next(idle, None)
        if oldest is None:
            raise LookupFailed("too many names are being looked up")
        del self._names[oldest]

    async def _wait(self, name: str, entry: _Entry, patience: float | None) -> None:
        if entry.waiting >= MOST_WAITING:
            raise LookupFailed("too many requests wait for this name")
        task = self._start(name, entry)
        entry.waiting += 1
        try:
            # Unlike `wait_for` it leaves the look-up alone when the caller is gone.
            _ = await asyncio.wait({task}, timeout=patience)
        finally:
            entry.waiting -= 1

    def _start(self, name: str, entry: _Entry) -> asyncio.Task[None]:
        if entry.task is None:
            if self._closed:
                raise LookupFailed("the resolver is closed")
            entry.task = asyncio.create_task(self._look_up(name, entry))
        return entry.task

    async def _look_up(self, name: str, entry: _Entry) -> None:
        settings, before = self._settings, entry.failure
        try:
            found = await look_up(
                name, servers=settings.servers, timeout=settings.timeout
            )
        except NameNotFound as failure:
            # The servers know: the old addresses are wrong, not only old.
            self._failed(entry, failure, NOT_FOUND_TTL)
            entry.hosts = ()
        except LookupFailed as failure:
            self._failed(entry, failure, FAILURE_TTL)
        except OSError as error:  # no descriptor left, say
            self._failed(entry, LookupFailed(str(error)), FAILURE_TTL)
        else:
            self._found(entry, found)
        finally:
            entry.task = None
        after = entry.failure
        if self._on_change is not None and (before is None) is not (after is None):
            self._on_change(name, None if after is None else str(after))

    def _found(self, entry: _Entry, found: Addresses) -> None:
        now = self._now()
        ttl = max(LEAST_TTL, min(found.ttl, self._settings.max_ttl))
        entry.hosts = found.hosts
        entry.failure = None
        entry.expires = now + ttl
        entry.stale_until = entry.expires + self._settings.stale
        entry.avoided = {
            host: until
            for host, until in entry.avoided.items()
            if until > now and host in found.hosts
        }

    def _failed(self, entry: _Entry, failure: LookupFailed, ttl: float) -> None:
        entry.failure = failure
        entry.expires = self._now() + ttl

    def _ordered(self, entry: _Entry, now: float) -> tuple[str, ...]:
        """Start with another address each time, or not, and end with those to avoid."""
        if len(entry.hosts) == 1:
            return entry.hosts
        # DNS servers shuffle what they answer; sorted it is the same everywhere.
        hosts = entry.hosts if self._in_turn else sorted(entry.hosts)
        entry.turn += self._in_turn
        six = [host for host in hosts if ":" in host]
        four = [host for host in hosts if ":" not in host]
        # RFC 8305 section 4: the families take turns, IPv6 first.
        pairs = zip_longest(_turned(six, entry.turn), _turned(four, entry.turn))
        order = [host for pair in pairs for host in pair if host is not None]
        return tuple(sorted(order, key=lambda host: entry.avoided.get(host, 0) > now))


def _turned(hosts: list[str], turn: int) -> list[str]:
    at = turn % len(hosts) if hosts else 0
    return hosts[at:] + hosts[:at]
