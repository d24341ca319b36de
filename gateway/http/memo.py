"""Bounded dictionaries whose keys clients choose."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Generations(dict[K, V]):
    """A dictionary that forgets what is not used.

    At most two generations of `entries` are kept. When one is full it becomes the older
    one, and what it replaces is forgotten; an entry that is used again moves to the new
    one. Clearing all at once would make every client pay again at the same time.

    The contents may be secret, so they never print.
    """

    __slots__ = ("_entries", "_older")

    def __init__(self, entries: int) -> None:
        super().__init__()
        self._entries = entries
        self._older: dict[K, V] = {}

    def find(self, key: K) -> V | None:
        """Return the value of a key, or None; it counts as used."""
        value = self.get(key)
        if value is None:
            value = self._older.pop(key, None)
            if value is not None:
                self.keep(key, value)
        return value

    def keep(self, key: K, value: V) -> None:
        """Set the value of a key."""
        if len(self) >= self._entries:
            self._older = dict(self)
            self.clear()
        self[key] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self) + len(self._older)} entries)"


class Memo(Generations[K, V]):
    """The results of a pure function: `memo[argument]` computes what is missing.

    Results for arguments whose `size` exceeds `longest` are not kept. A subscription
    that finds its result runs no Python code.
    """

    __slots__ = ("_function", "_longest", "_size")

    def __init__(
        self,
        function: Callable[[K], V],
        *,
        entries: int,
        longest: int,
        size: Callable[[Any], int] = len,
    ) -> None:
        super().__init__(entries)
        self._function = function
        self._longest = longest
        self._size = size

    def __missing__(self, argument: K) -> V:
        older = self._older
        result = older[argument] if argument in older else self._function(argument)
        if self._size(argument) <= self._longest:
            self.keep(argument, result)
        return result
