from tests.bench.figures import LUA, NGINX, TOKEN, Row, Run, with_ratios
from tests.bench.plot import panels


def rows(workload: str, **figures: float) -> list[Row]:
    return with_ratios(
        [
            Row(workload=workload, system=name, rounds=[value, value * 3, value * 2])
            for name, value in figures.items()
        ]
    )


def test_bars_are_ratios_to_nginx_with_lua_where_it_was_measured() -> None:
    (panel,) = panels(
        Run(about={}, rows=rows("Small GET", **{NGINX: 1.0, LUA: 2.0, TOKEN: 3.0}))
    )

    assert panel.axis == f"CPU time by that of {LUA}"
    assert [(bar.label, bar.value, bar.ours) for bar in panel.bars] == [
        (NGINX, 0.5, False),
        (LUA, 1.0, False),
        (TOKEN, 1.5, True),
    ]


def test_without_a_common_base_bars_are_figures() -> None:
    (panel,) = panels(Run(about={}, rows=rows("Start", a=1.0, b=2.0, c=3.0)))

    assert panel.axis == "µs/request"
    assert [(bar.value, bar.low, bar.high) for bar in panel.bars] == [
        (2.0, 1.0, 3.0),
        (4.0, 2.0, 6.0),
        (6.0, 3.0, 9.0),
    ]


def test_a_comparison_of_two_needs_no_plot() -> None:
    assert panels(Run(about={}, rows=rows("Small GET", a=1.0, b=2.0))) == []
