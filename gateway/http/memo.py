"""A bounded memo of a pure function whose arguments clients choose."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V]):
    """Results by argument: `memo[argument]` computes what is missing.

    At most two generations of `entries` are kept. When one is full it becomes the older
    one, and what it replaces is forgotten; a result that is used again moves to the new
    one. Clearing all at once would make every client pay again at the same time.
    Results for arguments whose `size` exceeds `longest` are not kept.

    A subscription that finds its result runs no Python code. The contents may be
    secret, so they never print.
    """

    __slots__ = ("_entries", "_function", "_longest", "_older", "_size")

    def __init__(
        self,
        function: Callable[[K], V],
        *,
        entries: int,
        longest: int,
        size: Callable[[Any], int] = len,
    ) -> None:
        super().__init__()
        self._function = function
        self._entries = entries
        self._longest = longest
        self._size = size
        self._older: dict[K, V] = {}

    def __missing__(self, argument: K) -> V:
        older = self._older
        result = older[argument] if argument in older else self._function(argument)
        if self._size(argument) <= self._longest:
            if len(self) >= self._entries:
                self._older = dict(self)
                self.clear()
            self[argument] = result
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self) + len(self._older)} entries)"
