"""The keys of a provider: which may verify, and which one verifies a token."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.keys import ALGORITHMS, read_keys
from tests.oidc.hostile import EC_KEY, OTHER_RSA_KEY, RSA_KEY, public_jwk


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_a_key_is_found_by_kid_and_algorithm() -> None:
    keys = read_keys(jwks(public_jwk(RSA_KEY), public_jwk(EC_KEY)))  # the same kid

    assert keys.select("RS256", "one").key_type == "RSA"
    assert keys.select("ES256", "one").key_type == "EC"


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": 1},
        {"key_ops": ["encrypt"]},
        {"key_ops": None},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": 1},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC"},
        {"n": 1},
        {"n": "A" * 3000},
        {"kid": ["one"]},
    ],
)
def test_a_key_for_something_else_is_skipped(changes: dict[str, Any]) -> None:
    keys = read_keys(jwks(public_jwk(RSA_KEY) | changes))

    with pytest.raises(UnknownKey):
        keys.select("RS256", "one")


def test_two_keys_that_fit_are_none() -> None:
    keys = read_keys(jwks(public_jwk(RSA_KEY), public_jwk(OTHER_RSA_KEY)))

    for kid in ("one", None):
        with pytest.raises(SignInFailed, match="more than one"):
            keys.select("RS256", kid)


def test_a_private_key_is_read_as_its_public_part() -> None:
    private: dict[str, Any] = RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True)
    private.pop("key_ops", None)
    keys = read_keys(jwks(private | {"kid": "one"}))

    assert isinstance(keys.select("RS256", "one").key, rsa.RSAPublicKey)
    assert private["d"] not in repr(keys)


def test_no_algorithm_is_symmetric_or_none() -> None:
    assert not [name for name in ALGORITHMS if name.startswith(("HS", "none"))]


@given(st.binary(max_size=200))
def test_any_bytes_are_keys_or_refused(raw: bytes) -> None:
    try:
        read_keys(raw)
    except SignInFailed:
        return


@given(
    st.dictionaries(
        st.sampled_from(
            ["kty", "n", "e", "crv", "x", "y", "use", "alg", "kid", "key_ops"]
        ),
        st.none()
        | st.integers()
        | st.text(max_size=8)
        | st.lists(st.text(max_size=4))
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "sig", "AQAB"]),
    )
)
def test_any_key_is_usable_or_refused(key: dict[str, Any]) -> None:
    keys = read_keys(jwks(key))
    for algorithm in ALGORITHMS:
        try:
            keys.select(algorithm, None)
        except SignInFailed:
            continue
