import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import base64url


@pytest.mark.parametrize(
    "text", ["a", "abcde", "a b", "ab\n", "YQ===", "\N{LATIN SMALL LETTER E WITH ACUTE}aaa", b"\xff"]
)  # fmt: skip
def test_anything_else_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        base64url.decode(text)


def test_padding_may_be_there() -> None:
    assert base64url.decode("YQ") == base64url.decode("YQ==") == b"a"


@given(st.binary())
def test_what_is_encoded_is_decoded(raw: bytes) -> None:
    text = base64url.encode(raw)

    assert base64url.decode(text) == base64url.decode(text.encode()) == raw
    assert not set(text) & set("+/=")
