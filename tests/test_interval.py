from hypothesis import given
from hypothesis import strategies as st

from gateway.interval import ALWAYS, Interval

times = st.integers(-5, 5).map(float)
intervals = st.builds(Interval, times, times)


@given(intervals, intervals, times)
def test_what_is_within_both_is_in_each(
    one: Interval, other: Interval, now: float
) -> None:
    def has(interval: Interval) -> bool:
        return interval.since <= now < interval.until

    assert has(one.within(other)) == (has(one) and has(other))
    assert has(ALWAYS)
