"""Signatures as the libraries write them: hostile rows first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.formats.signatures import (
    PUBLIC_SECRETS,
    BadSignature,
    Signature,
    verifier,
)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "abc1234",
        "dev",
        "Keyboard Cat",
        "x" * 3 + "\ud800" * 8,
        *sorted(PUBLIC_SECRETS),
    ],
)
@pytest.mark.parametrize(
    "signature", [each for each in Signature if each is not Signature.NONE]
)
def test_what_is_no_secret_is_refused_and_not_repeated(
    signature: Signature, secret: str
) -> None:
    with pytest.raises(ValueError) as refused:
        verifier(signature, [secret], salt="salt")

    assert secret == "" or secret not in str(refused.value)


@pytest.mark.parametrize(
    "signature", [each for each in Signature if each is not Signature.NONE]
)
def test_a_missing_secret_is_refused(signature: Signature) -> None:
    with pytest.raises(ValueError, match="no secret"):
        verifier(signature, [], salt="salt")


@given(value=st.text(max_size=100))
def test_no_text_opens_without_the_secret(value: str) -> None:
    for signature in (Signature.EXPRESS, Signature.HMAC_SHA256, Signature.ITSDANGEROUS):
        check = verifier(signature, ["a secret that is long"], salt="salt")
        assert check.open(value) == BadSignature()
    assert verifier(Signature.NONE, [], salt="").open(value) == value


def test_a_verifier_prints_no_secret() -> None:
    assert "long" not in repr(verifier(Signature.EXPRESS, ["a long secret"], salt=""))


def test_no_signature_needs_no_secret() -> None:
    assert verifier(Signature.NONE, ["short"], salt="").open("x.y") == "x.y"
