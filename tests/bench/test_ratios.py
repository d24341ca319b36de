import pytest

from tests.bench.ratios import median_interval, ratios, spread


def test_a_slow_round_does_not_change_its_ratio() -> None:
    assert ratios([10, 40, 12], [5, 20, 6]) == [2, 2, 2]


def test_rounds_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ratios([1, 2], [1])


def test_the_spread_has_the_middle_and_both_ends() -> None:
    found = spread([4, 1, 2, 3, 100])

    assert (found.median, found.low, found.high) == (3, 1, 100)
    assert (found.first_quartile, found.third_quartile) == (2, 4)


def test_one_figure_is_its_own_spread() -> None:
    found = spread([7])

    assert {found.median, found.low, found.high, found.first_quartile} == {7}


def test_no_figure_has_no_spread() -> None:
    with pytest.raises(ValueError, match="no figure"):
        spread([])


def test_more_rounds_narrow_the_interval_of_the_median() -> None:
    few, many = [1.0, 1.1, 1.2, 1.3, 1.4], [1.0, 1.1, 1.2, 1.3, 1.4] * 20

    (low, high), (lower, upper) = median_interval(few), median_interval(many)

    assert low < lower < 1.2 < upper < high


def test_one_disturbed_round_does_not_move_the_interval() -> None:
    assert median_interval([1.0, 1.0, 1.0, 1.0, 9.0]) == (1.0, 1.0)
