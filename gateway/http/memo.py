"""Bounded dictionaries whose keys clients choose."""

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


GENERATION_BYTES: Final = 1024 * 1024
"""Bytes of the arguments in one generation of a memo. Heads have up to 32 KiB, so a
number of entries alone would let one client have hundreds of MiB kept."""


class Generations(dict[K, V]):
    """A dictionary that forgets what is not used.

    At most two generations of `entries` are kept, whose sizes add up to
    GENERATION_BYTES each at most. When one is full it becomes the older one, and what
    it replaces is forgotten; an entry that is used again moves to the new one. Clearing
    all at once would make every client pay again at the same time.

    The contents may be secret, so they never print.
    """

    __slots__ = ("_bytes", "_entries", "_older")

    def __init__(self, entries: int) -> None:
        super().__init__()
        self._entries = entries
        self._bytes = 0
        self._older: dict[K, V] = {}

    def find(self, key: K) -> V | None:
        """Return the value of a key, or None; it counts as used."""
        value = self.get(key)
        if value is None:
            value = self._older.pop(key, None)
            if value is not None:
                self.keep(key, value)
        return value

    def keep(self, key: K, value: V, size: int = 0) -> None:
        """Set the value of a key; `size` is in bytes."""
        total = self._bytes + size
        if len(self) >= self._entries or total > GENERATION_BYTES:
            self._older = dict(self)
            self.clear()
            total = size
        self._bytes = total
        self[key] = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self) + len(self._older)} entries)"


class Memo(Generations[K, V]):
    """The results of a pure function: `memo[argument]` computes what is missing.

    Results for arguments whose `size` exceeds `longest` are not kept; all arguments
    together have 2 * GENERATION_BYTES at most, and a result a few times the bytes of its
    argument. A subscription that finds its result runs no Python code.
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
        if (size := self._size(argument)) <= self._longest:
            self.keep(argument, result, size)
        return result
