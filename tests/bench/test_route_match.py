from tests.bench.route_match import SIZES, measure


def test_ten_thousand_routes_are_matched_as_fast_as_ten() -> None:
    found = measure(number=500, repeat=9)

    assert found[SIZES[-1]] / found[SIZES[0]] < 3
