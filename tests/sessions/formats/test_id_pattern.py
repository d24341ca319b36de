"""What an id may look like, and which patterns are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.formats.id_pattern import compile_id_pattern


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        pytest.param("", "empty id", id="empty"),
        pytest.param("^[a-z]{32}", "one end", id="anchored-in-front"),
        pytest.param("[a-z]{32}$", "one end", id="anchored-behind"),
        pytest.param(r"^[a-z]{32}\$", "one end", id="an-escaped-dollar"),
        pytest.param("^a|b$", "one side", id="anchored-by-halves"),
        pytest.param("[a-z]{8}$|[a-z]{8}", "middle", id="a-dollar-inside"),
        pytest.param("(^[a-z]{8})", "middle", id="a-caret-inside"),
        pytest.param(".{32}", "anything", id="any-sign"),
        pytest.param(".*", "anything", id="anything"),
        pytest.param("[a-z]*", "no end", id="star"),
        pytest.param("[a-z]+", "no end", id="plus"),
        pytest.param("[a-z]{8,}", "upper bound", id="open"),
        pytest.param("[^:]{8}", "excludes", id="negated"),
        pytest.param(r"\S{8}", "cannot contain", id="not-space"),
        pytest.param(r"[\W]{8}", "excludes", id="not-words"),
        pytest.param("[A-z]{8}", "excludes", id="a-range-over-signs"),
        pytest.param("[--a]{8}", "excludes", id="a-range-from-a-sign"),
        pytest.param("[a-z&&[aeiou]]{8}", "excludes", id="set-operation"),
        pytest.param("[z-a]{8}", "cannot be read", id="backwards"),
        pytest.param("[a-z]{8,4}", "backwards", id="counts-backwards"),
        pytest.param("[a-z]{0}", "backwards", id="counts-nothing"),
        pytest.param("[a-z]{0,8}", "empty id", id="may-be-empty"),
        pytest.param("[a-z]{8}|", "empty id", id="an-empty-side"),
        pytest.param("(?=a)[a-z]{8}", "plain groups", id="look-ahead"),
        pytest.param("(?i:[a-z]{8})", "plain groups", id="flags"),
        pytest.param(r"([a-z]{8})\1", "cannot contain", id="back-reference"),
        pytest.param("([a-z]{1,9}){1,9}", "varying", id="nested-counts"),
        pytest.param("([a-z]{8}", "without )", id="open-group"),
        pytest.param("[a-z]{8})", "without (", id="closed-group"),
        pytest.param("(" * 20 + "a" + ")" * 20, "too deep", id="deep"),
        pytest.param("[a-z]{999}", "more than", id="long"),
        pytest.param("[a-z ]{8}", "excludes", id="space"),
        pytest.param("[a-zé]{8}", "excludes", id="not-ascii"),
        pytest.param("é{8}", "cannot contain", id="not-ascii-literal"),
        pytest.param('"[a-z]{8}"', "cannot contain", id="quotes"),
        pytest.param("[a-z]{8}\n", "cannot contain", id="line-end"),
        pytest.param("[]{8}", "excludes", id="empty-class"),
    ],
)
def test_a_pattern_that_is_too_wide_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(").replace(")", r"\)")):
        compile_id_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "session_id", "matches"),
    [
        pytest.param("[a-f0-9]{4}", "abc0", True, id="whole"),
        pytest.param("[a-f0-9]{4}", "abc0\n", False, id="line-end-behind"),
        pytest.param("[a-f0-9]{4}", "xabc0", False, id="more-in-front"),
        pytest.param("[a-f0-9]{4}", "abc00", False, id="more-behind"),
        pytest.param("^[a-f0-9]{4}$", "abc0", True, id="anchored"),
        pytest.param("^[a-f0-9]{4}$", "abc0\n", False, id="anchored-line-end"),
        pytest.param("a{4}|b{2}", "bb", True, id="either"),
        pytest.param("a{4}|b{2}", "aaaabb", False, id="not-both"),
        pytest.param(r"\d{3}-\w{2,3}", "123-a_", True, id="short-hands"),
        pytest.param(r"\d{3}", "١٢٣", False, id="ascii-digits-only"),
        pytest.param("(?:ab){2}c?", "ababc", True, id="group"),
        pytest.param(r"u\.[a-z-]{2}", "u.a-", True, id="escaped-dot"),
        pytest.param(r"u\.[a-z-]{2}", "uxa-", False, id="a-dot-is-a-dot"),
        pytest.param(r"[\w.-]{3}", "a.-", True, id="signs-in-a-class"),
    ],
)
def test_the_whole_id_is_matched(pattern: str, session_id: str, matches: bool) -> None:
    assert compile_id_pattern(pattern).matches(session_id) is matches


@given(pattern=st.text(alphabet="ab[](){}|?*+.^$\\-09,:dw", max_size=20))
def test_any_text_is_a_pattern_or_states_the_reason(pattern: str) -> None:
    try:
        found = compile_id_pattern(pattern)
    except ValueError:
        return
    assert not found.matches("")
    assert not found.matches("a" * 300)
    assert not found.matches(" ")
