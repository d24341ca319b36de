"""The ID token of a session, encrypted with a key that only the browser has."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.hint import open_hint, seal_hint

TOKEN, NONCE = "A" * 43, b"n" * 12


def test_it_opens_with_the_session_token_alone() -> None:
    sealed = seal_hint("a.b.c", TOKEN, NONCE)

    assert open_hint(sealed, TOKEN) == "a.b.c"
    assert open_hint(sealed, "B" * 43) is None
    assert b"a.b.c" not in sealed


@given(st.binary(max_size=80))
def test_any_bytes_are_none(raw: bytes) -> None:
    assert open_hint(raw, TOKEN) is None
