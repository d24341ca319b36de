"""Intervals of time in which a result stays the same."""

from math import inf
from typing import NamedTuple


class Interval(NamedTuple):
    """From `since` up to, but not including, `until`: seconds since the epoch."""

    since: float = -inf
    until: float = inf

    def within(self, other: "Interval") -> "Interval":
        """Return the part of the interval that is in the other one; it may be empty."""
        return Interval(max(self.since, other.since), min(self.until, other.until))


ALWAYS = Interval()
