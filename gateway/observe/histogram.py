"""A histogram that counts its observations by the hundred.

Finding the bucket of each observation takes a dozen steps in Python. Those of many
requests are sorted and counted together by the interpreter instead.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence


class Histogram:
    """Observations with the same labels, and the cells that they are counted in.

    `add` keeps an observation, in seconds; `count` has to be called now and then, and
    before the cells are read.
    """

    __slots__ = ("_bounds", "_cells", "_values", "add")

    def __init__(self, bounds: Sequence[float], cells: list[float]) -> None:
        """Count into `cells`: the sum, the number in each of `bounds`, and the rest."""
        self._bounds = bounds
        self._cells = cells
        self._values: list[float] = []
        self.add: Callable[[float], None] = self._values.append

    def count(self) -> None:
        """Add what was observed to the cells. A bound belongs to its own bucket."""
        values, cells = self._values, self._cells
        if not values:
            return
        values.sort()
        cells[0] += sum(values)
        start = 0
        for cell, bound in enumerate(self._bounds, 1):
            end = bisect_right(values, bound, start)
            cells[cell] += end - start
            start = end
        cells[-1] += len(values) - start
        values.clear()
