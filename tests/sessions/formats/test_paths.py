"""Paths lead to one place: hostile rows first."""

import pytest

from gateway.sessions.formats.paths import (
    ABSENT,
    FallbackPaths,
    parse_path,
)


def fallback_paths(*texts: str) -> FallbackPaths:
    return FallbackPaths(tuple(parse_path(text) for text in texts))


RECORD = {"a": {"b": [{"c": "d"}, None]}, "n": None, "list": ["x"]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "a.b",
        "$.",
        "$..a",
        "$.a.",
        "$.*",
        "$.a[*]",
        "$.a[-1]",
        "$.a[01]",
        "$.a[1000]",
        "$.a[?(@.b)]",
        "$['a']",
        "$.a b",
        "$.é",
        "$other.a",
        "$.a\n",
        "$" + ".a" * 9,
        "$." + "a" * 65,
    ],
)
def test_what_leads_to_more_than_one_place_is_no_path(text: str) -> None:
    with pytest.raises(ValueError):
        parse_path(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$.a.b[0].c", "d"),
        ("$.a.b[1]", ABSENT),
        ("$.a.b[2]", ABSENT),
        ("$.a[0]", ABSENT),
        ("$.list.a", ABSENT),
        ("$.list[0]", "x"),
        ("$.list[0][0]", ABSENT),
        ("$.n", ABSENT),
        ("$.n.a", ABSENT),
        ("$.x", ABSENT),
        ("$then.t", "u"),
        ("$then.a", ABSENT),
    ],
)
def test_a_path_leads_to_one_place(text: str, found: object) -> None:
    assert parse_path(text).find(RECORD, {"t": "u"}) == found


def test_the_first_place_whose_top_is_there_decides() -> None:
    where = fallback_paths("$.passport.user.id", "$.passport.user", "$.user.id")

    assert where.find({"passport": {"user": "p"}, "user": {"id": "u"}}) == (
        "p",
        "$.passport.user",
    )
    assert where.find({"passport": {}, "user": {"id": "u"}})[0] is ABSENT
    assert where.find({"passport": None, "user": {"id": "u"}})[0] is ABSENT
    assert where.find({"user": {"id": "u"}}) == ("u", "$.user.id")
    assert where.find([])[0] is ABSENT


def test_no_place_finds_nothing() -> None:
    assert not FallbackPaths()
    assert FallbackPaths().find({"a": 1}) == (ABSENT, "")
    assert repr(ABSENT) == "ABSENT"
    assert not ABSENT


def test_a_list_has_a_top_too() -> None:
    assert fallback_paths("$[1]", "$[0]").find(["a"]) == ("a", "$[0]")
    assert fallback_paths("$[0]").find([None])[0] is ABSENT
