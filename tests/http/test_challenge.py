"""One builder of WWW-Authenticate, whose value always reads back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.challenge import (
    basic_challenge,
    bearer_challenge,
    quoted_string,
    session_challenge,
)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("a\r\nSet-Cookie: x", '"aSet-Cookie: x"'),
        ("ä.example", '".example"'),
    ],
)
def test_a_quoted_string_holds_nothing_that_ends_it(text: str, quoted: str) -> None:
    assert quoted_string(text) == quoted


def test_a_challenge_names_the_realm_and_an_error() -> None:
    assert session_challenge("app.example") == (
        "WWW-Authenticate",
        'Session realm="app.example"',
    )
    assert session_challenge("a", error="insufficient_user_authentication")[1] == (
        'Session realm="a", error="insufficient_user_authentication"'
    )


def test_a_challenge_for_programs_is_as_in_their_rfcs() -> None:
    """RFC 6750, section 3; RFC 7617, section 2.1."""
    assert bearer_challenge("a")[1] == 'Bearer realm="a"'
    assert bearer_challenge("a", error="invalid_token", description='It "ended".') == (
        "WWW-Authenticate",
        'Bearer realm="a", error="invalid_token", error_description="It \\"ended\\"."',
    )
    assert bearer_challenge("a", description="unused")[1] == 'Bearer realm="a"'
    assert basic_challenge("a")[1] == 'Basic realm="a", charset="UTF-8"'


@given(text=st.text())
def test_any_text_is_one_quoted_string(text: str) -> None:
    """RFC 9110, section 5.6.4."""
    assert re.fullmatch(
        r'"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\["\\])*"', quoted_string(text)
    )
