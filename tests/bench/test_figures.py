import pytest

from tests.bench.figures import (
    FIRST,
    LUA,
    NGINX,
    TOKEN,
    Row,
    Run,
    from_lines,
    to_lines,
    with_ratios,
)


def row(system: str, *rounds: float, load: str = "") -> Row:
    return Row(workload="Small GET", system=system, load=load, rounds=rounds)


def test_a_ratio_is_that_of_its_round() -> None:
    """The third round was slow for both, and changes nothing."""
    _, ours = with_ratios([row(NGINX, 10, 10, 50), row(TOKEN, 30, 20, 125)])

    found = ours.ratios[NGINX]
    assert (found.median, found.low, found.high) == (2.5, 2, 3)


def test_a_base_has_no_ratio_to_itself() -> None:
    nginx, lua = with_ratios([row(NGINX, 10), row(LUA, 20)])

    assert (set(nginx.ratios), set(lua.ratios)) == ({LUA}, {NGINX})


def test_a_load_is_compared_with_the_same_load_and_with_the_first() -> None:
    rows = [
        row(NGINX, 10, load="64"),
        row(TOKEN, 20, load="64"),
        row(NGINX, 20, load="1,000"),
        row(TOKEN, 30, load="1,000"),
    ]

    many = with_ratios(rows)[-1]

    assert {name: ratio.median for name, ratio in many.ratios.items()} == {
        NGINX: 1.5,
        FIRST: 1.5,
    }


def test_rows_of_other_rounds_are_not_compared() -> None:
    *_, ours = with_ratios([row(NGINX, 10, 10), row(TOKEN, 30)])

    assert ours.ratios == {}


def test_a_base_without_cost_is_none() -> None:
    *_, ours = with_ratios([row(NGINX, 0), row(TOKEN, 30)])

    assert ours.ratios == {}


def test_seconds_and_memory_have_no_ratio() -> None:
    rows = [
        Row(workload="Start", system=name, unit="s", rounds=[1.0])
        for name in (NGINX, TOKEN)
    ]

    assert [found.ratios for found in with_ratios(rows)] == [{}, {}]


def test_the_lines_hold_the_whole_run() -> None:
    run = Run(
        about={"date": "today"},
        left_out={"Oathkeeper": "no module"},
        rows=with_ratios([row(NGINX, 10.5), row(TOKEN, 21)]),
    )

    lines = to_lines(run)

    assert len(lines.splitlines()) == 3
    assert to_lines(from_lines(lines.splitlines())) == lines


@pytest.mark.parametrize("lines", [[], ['{"workload": "Small GET"}']])
def test_other_lines_are_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="not the lines of a run"):
        from_lines(lines)
