"""A histogram counts what it was given, whenever it is asked to."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.histogram import Histogram
from gateway.observe.tally import FINE_SECONDS, SECONDS


@given(
    bounds=st.sampled_from([SECONDS, FINE_SECONDS]),
    batches=st.lists(
        st.lists(st.sampled_from((*SECONDS, *FINE_SECONDS)) | st.floats(0, 20))
    ),
)
def test_each_observation_is_in_the_bucket_of_the_least_bound_that_is_not_below_it(
    bounds: tuple[float, ...], batches: list[list[float]]
) -> None:
    cells = [0.0] + [0] * (len(bounds) + 1)
    histogram = Histogram(bounds, cells)
    wanted = [0] * (len(bounds) + 1)

    for batch in batches:
        for value in batch:
            histogram.add(value)
            wanted[bisect_left(bounds, value)] += 1
        histogram.count()

    assert cells[1:] == wanted
    assert abs(cells[0] - sum(map(sum, batches))) < 1e-6


def test_nothing_is_counted_twice() -> None:
    cells = [0.0] + [0] * (len(SECONDS) + 1)
    histogram = Histogram(SECONDS, cells)
    histogram.add(0.004)

    for _ in range(2):
        histogram.count()

    assert (cells[0], sum(cells[1:])) == (0.004, 1)
