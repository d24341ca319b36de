import pytest

from tests.bench.ratios import ratios, spread


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
