from tests.bench.figures import NGINX, TOKEN, Row, Run, with_ratios
from tests.bench.report import report, table

ROWS = [
    Row(
        workload="Small GET",
        system=NGINX,
        rounds=[36.3, 40.0, 38.04],
        extra={"requests/s": 21_004.6, "p99 ms": 4.217},
    ),
    Row(
        workload="Small GET",
        system=TOKEN,
        rounds=[302.0, 320.0, 340.0],
        extra={"requests/s": 3120.4, "p99 ms": 31.5},
        failures={"timeout": 2},
    ),
]


def test_a_table_has_what_was_measured_and_no_other_column() -> None:
    assert table(with_ratios(ROWS)) == (
        "### Small GET\n\n"
        "| System | µs/request | min–max | requests/s | p99 ms | × nginx | × gateway |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| nginx plain | 38.0 | 36.3–40.0 | 21,005 | 4.22 | - | 0.12 (0.11–0.12) |\n"
        "| gateway, protected + token | 320 | 302–340 | 3,120 | 31.5 "
        "| 8.32 (8.00–8.94) | - |\n\n"
        "Failed requests: gateway, protected + token: {'timeout': 2}."
    )


def test_loads_have_a_column_if_there_are_several() -> None:
    rows = [
        Row(workload="Connections", system=NGINX, load=load, rounds=[1.0])
        for load in ("64", "1,000")
    ]

    assert table(with_ratios(rows)).splitlines()[2:] == [
        "| System | Load | µs/request | min–max | × first load |",
        "| --- | --- | --- | --- | --- |",
        "| nginx plain | 64 | 1.00 | 1.00–1.00 | - |",
        "| nginx plain | 1,000 | 1.00 | 1.00–1.00 | 1.00 (1.00–1.00) |",
    ]


def test_what_was_left_out_is_named_with_its_reason() -> None:
    found = report(Run(about={"date": "today"}, left_out={"Caddy plain": "no binary"}))

    assert found == "* date: today\n\nLeft out:\n\n* Caddy plain: no binary\n"
