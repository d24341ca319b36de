"""Journal of the endings of the last minute, which a new master may lack.

Replication is asynchronous: a server that becomes the master can lack what its
predecessor had acknowledged. So each process keeps the endings of sessions that it
made and those that it received, checks them at each look-up, and writes them again on
every new master before the first look-up there. An ending that no server has
confirmed stays until one has.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

# Seconds. A switch by Sentinel is complete, and seen, long before.
KEPT: Final = 60.0
MOST: Final = 10_000

P = TypeVar("P")


@dataclass(slots=True)
class _Entry(Generic[P]):
    payload: P
    since: float
    held: bool


class Journal(Generic[P]):
    """Endings by name; `P` is what is needed to write one again."""

    def __init__(
        self, ticks: Callable[[], float] | None = None, *, most: int = MOST
    ) -> None:
        self._ticks = ticks
        self._most = most
        self.entries: OrderedDict[str, _Entry[P]] = OrderedDict()

    def note(self, name: str, payload: P, *, held: bool) -> None:
        """Record an ending; `held` if it is already durable."""
        known = self.entries.get(name)
        if known is not None and not known.held and held:
            return  # received what is being written here
        self.entries[name] = _Entry(payload, self._now(), held)
        self.entries.move_to_end(name)
        self._shorten()

    def get(self, name: str) -> P | None:
        """Return the ending of that name if there was one in the last minute."""
        entry = self.entries.get(name)
        if entry is None or self._is_old(entry):
            return None
        return entry.payload

    def settle(self, name: str) -> None:
        """Record that an ending is durable; it is forgotten after a minute."""
        entry = self.entries.get(name)
        if entry is not None:
            entry.held, entry.since = True, self._now()

    def forget(self, name: str) -> None:
        """Forget what turned out to be no ending."""
        self.entries.pop(name, None)

    def all(self) -> list[tuple[str, P]]:
        """Return the endings that a new master must have."""
        self._shorten()
        return [(name, entry.payload) for name, entry in self.entries.items()]

    def unheld(self, age: float = 0.0) -> list[tuple[str, P]]:
        """Return unconfirmed endings that are at least `age` seconds old."""
        until = self._now() - age
        return [
            (name, entry.payload)
            for name, entry in self.entries.items()
            if not entry.held and entry.since <= until
        ]

    def _shorten(self) -> None:
        # In the order in which they came, except those that wait to be confirmed.
        for name in [n for n, entry in self._first() if self._is_old(entry)]:
            del self.entries[name]
        while len(self.entries) > self._most:
            held = (n for n, entry in self.entries.items() if entry.held)
            del self.entries[next(held, next(iter(self.entries)))]

    def _first(self) -> list[tuple[str, _Entry[P]]]:
        first = []
        for name, entry in self.entries.items():
            if entry.held and not self._is_old(entry):
                break
            first.append((name, entry))
        return first

    def _is_old(self, entry: _Entry[P]) -> bool:
        return entry.held and self._now() - entry.since > KEPT

    def _now(self) -> float:
        return (self._ticks or asyncio.get_running_loop().time)()
