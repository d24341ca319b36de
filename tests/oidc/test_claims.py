"""Text with placeholders for claims."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.claims import always_differ, fill, find_claim, parse_claim_text

CLAIMS: dict[str, Any] = {
    "sub": "s-1",
    "number": 7,
    "flag": True,
    "groups": ["a", "b"],
    "realm_access": {"roles": ["staff"]},
    "https://app.example.com/roles": ["admin"],
    "provider": "evil",
    "empty": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{sub}", "s-1"),
        ("{number}", 7),
        ("{groups}", ["a", "b"]),
        ("{realm_access.roles}", ["staff"]),
        ("{https://app.example.com/roles}", ["admin"]),
        ("{provider}:{sub}", "acme:s-1"),
        ("{provider}", "acme"),
        ("n-{number}", "n-7"),
        ("{{{sub}}}", "{s-1}"),
        ("plain", "plain"),
        ("{missing}", None),
        ("{empty}", None),
        ("{sub.more}", None),
        ("a-{missing}", None),
        ("a-{groups}", None),
        ("a-{flag}", None),
    ],
)
def test_a_text_is_filled(text: str, value: Any) -> None:
    assert fill(parse_claim_text(text), CLAIMS, "acme") == value


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a", "a}", "{a b}", "{a}}", "{{a}"])
def test_an_unmatched_brace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="brace"):
        parse_claim_text(text)


def test_the_claims_of_a_text_are_known() -> None:
    assert parse_claim_text("{provider}:{a}-{b.c}").claims == {"a", "b.c"}


def test_the_value_of_a_claim_is_never_a_placeholder() -> None:
    text = parse_claim_text("{a}:{b}")

    assert fill(text, {"a": "{b}", "b": "c"}, "acme") == "{b}:c"


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parsed = parse_claim_text(text)
    except ValueError:
        assert "{" in text or "}" in text
        return
    fill(parsed, CLAIMS, "acme")


def test_the_whole_name_comes_before_the_path() -> None:
    assert find_claim({"a.b": 1, "a": {"b": 2}}, "a.b") == 1


_TEXTS = ["{provider}:{sub}", "{provider}{sub}", "{sub}-{provider}", "{sub}", "a{sub}b"]


@given(
    st.sampled_from(_TEXTS),
    st.sampled_from(_TEXTS),
    st.lists(st.text("ab-:", min_size=1, max_size=3), min_size=4, max_size=4),
)
def test_texts_that_always_differ_never_agree(
    one: str, two: str, words: list[str]
) -> None:
    first, second = parse_claim_text(one), parse_claim_text(two)
    sub, other_sub, name, other_name = words

    if always_differ(first.ends(name), second.ends(other_name)):
        values = (
            fill(first, {"sub": sub}, name),
            fill(second, {"sub": other_sub}, other_name),
        )
        assert values[0] != values[1]
