"""Bounded dictionaries whose keys clients choose."""

from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


GENERATION_BYTES: Final = 1024 * 1024
"""Bytes of the arguments in one generation of a memo. Heads have up to 32 KiB, so a
number of entries alone would let one client have hundreds of MiB kept."""


class _Bounded(dict[K, V]):
    """A dictionary of at most two generations, the newer of which it shows itself.

    The contents may be secret, so they never print.
    """

    __slots__ = ("_bytes", "_entries", "_most", "_older")

    def __init__(self, entries: int, most: int) -> None:
        super().__init__()
        self._entries = entries
        self._most = most
        self._bytes = 0
        self._older: dict[K, V] = {}

    def _make_room(self, size: int) -> bool:
        """Count `size` bytes; return whether a new generation begins for them."""
        total = self._bytes + size
        if len(self) < self._entries and total <= self._most:
            self._bytes = total
            return False
        self._older = dict(self)
        self.clear()
        self._bytes = size
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self) + len(self._older)} entries)"


class Generations(_Bounded[K, V]):
    """A dictionary that forgets what is not used.

    At most two generations of `entries` are kept, whose sizes add up to `most` bytes
    each at most. When one is full it becomes the older one, and what it replaces is
    forgotten; an entry that is used again moves to the new one, and counts there.
    Clearing all at once would make every client pay again at the same time.
    """

    __slots__ = ("_older_sizes", "_sizes")

    def __init__(self, entries: int, most: int = GENERATION_BYTES) -> None:
        super().__init__(entries, most)
        self._sizes: dict[K, int] = {}
        self._older_sizes: dict[K, int] = {}

    def find(self, key: K) -> V | None:
        """Return the value of a key, or None; it counts as used."""
        value = self.get(key)
        if value is None:
            value = self._older.pop(key, None)
            if value is not None:
                self.keep(key, value, self._older_sizes.pop(key))
        return value

    def keep(self, key: K, value: V, size: int = 0) -> None:
        """Set the value of a key; `size` is in bytes. More than `most` is not kept."""
        if key in self:
            self._bytes -= self._sizes.pop(key)
            del self[key]
        if size > self._most:
            return
        if self._make_room(size):
            self._older_sizes, self._sizes = self._sizes, {}
        self[key] = value
        self._sizes[key] = size

    def grow(self, key: K, value: V, size: int) -> None:
        """Count `size` bytes more, or fewer, for a value, if it is the one that is kept."""
        if self.get(key) is value:
            self.keep(key, value, self._sizes[key] + size)
        elif self._older.get(key) is value:
            del self._older[key], self._older_sizes[key]

    def retire(self) -> None:
        """Forget everything, and keep nothing any more."""
        self._most = -1
        self._bytes = 0
        self.clear()
        for each in (self._older, self._sizes, self._older_sizes):
            each.clear()


class Memo(_Bounded[K, V]):
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
        super().__init__(entries, GENERATION_BYTES)
        self._function = function
        self._longest = longest
        self._size = size

    def remembers(self, argument: K) -> bool:
        """Return whether the result for an argument is kept, in either generation."""
        return argument in self or argument in self._older

    def __missing__(self, argument: K) -> V:
        older = self._older
        result = older[argument] if argument in older else self._function(argument)
        if (size := self._size(argument)) <= self._longest:
            self._make_room(size)
            self[argument] = result
        return result
