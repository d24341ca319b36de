"""Statistics of rounds: medians, quartiles and ratios within a round. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The middle of some figures, and how far they lie apart."""

    median: float
    low: float
    high: float
    first_quartile: float
    third_quartile: float

    def __str__(self) -> str:
        return (
            f"{self.median:.3f} [{self.first_quartile:.3f}-{self.third_quartile:.3f}]"
        )


def spread(figures: Sequence[float]) -> Spread:
    """Return the spread of at least one figure."""
    if not figures:
        raise ValueError("there is no figure")
    first, third = figures[0], figures[0]
    if len(figures) > 1:
        first, _, third = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(
        median=statistics.median(figures),
        low=min(figures),
        high=max(figures),
        first_quartile=first,
        third_quartile=third,
    )


def ratios(figures: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return figure by base of each round: what slows a round slows both.

    Raises:
        ValueError: they have not the same number of rounds.
    """
    return [one / other for one, other in zip(figures, base, strict=True)]


def median_interval(figures: Sequence[float]) -> tuple[float, float]:
    """Return where the median of many such figures lies, about 95 times in 100.

    McGill, Tukey and Larsen's notches: 1.57 times the distance of the quartiles, by
    the root of the number. One outlier does not move it.
    """
    found = spread(figures)
    half = 1.57 * (found.third_quartile - found.first_quartile) / len(figures) ** 0.5
    return found.median - half, found.median + half
