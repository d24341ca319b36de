"""Query parameters: what two parsers could read differently is none."""

import pytest

from gateway.http.query import parse_query, query_value


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, {}),
        ("", {}),
        ("a=b&c=", {"a": "b", "c": ""}),
        ("a=b+c%20d%26", {"a": "b c d&"}),
        ("a=1&a=1", None),
        ("a=1&%61=2", None),
        ("a=%ff", None),
        ("&".join(f"a{n}=1" for n in range(31)), None),
    ],
)
def test_a_query_is_read(query: str | None, expected: dict[str, str] | None) -> None:
    assert parse_query(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, None),
        ("", None),
        ("to=", ""),
        ("a=b&to=%2Fx+y", "/x y"),
        ("to=/a&to=/b", None),
        ("to=/a&%74o=/b", None),
        ("a=1&a=2&to=/b", "/b"),
    ],
)
def test_one_parameter_is_read_unless_it_is_repeated(
    query: str | None, expected: str | None
) -> None:
    assert query_value(query, "to") == expected
