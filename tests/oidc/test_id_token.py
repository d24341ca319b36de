"""Verification of ID tokens, as values; the whole table is in test_provider.py."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.failure import SignInFailed
from gateway.oidc.id_token import Expected, verify_id_token
from gateway.oidc.keys import KeySet, read_keys
from tests.oidc.hostile import EC_KEY, RSA_KEY, public_jwk, signed
from tests.oidc.test_keys import jwks

NOW = 1_800_000_000
KEYS: KeySet = read_keys(jwks(public_jwk(RSA_KEY), public_jwk(EC_KEY, "two")))
EXPECTED = Expected(
    issuer="https://id.example",
    client_id="gateway",
    algorithms=frozenset({"RS256", "ES256"}),
    nonce="n",
)


def claims(**changes: Any) -> dict[str, Any]:
    made = {
        "iss": "https://id.example",
        "aud": "gateway",
        "sub": "s",
        "nonce": "n",
        "iat": NOW,
        "exp": NOW + 300,
    } | changes
    return {name: value for name, value in made.items() if value is not None}


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (RSA_KEY, {"alg": "RS256", "kid": "one"}),
        (EC_KEY, {"alg": "ES256", "kid": "two", "typ": "JWT"}),
        (EC_KEY, {"alg": "ES256"}),  # one key fits the algorithm
    ],
)
def test_a_valid_token_gives_its_claims(key: Any, header: dict[str, Any]) -> None:
    token = signed(key, header, claims())

    assert verify_id_token(token, KEYS, EXPECTED, NOW) == claims()


@pytest.mark.parametrize(
    ("now", "valid"),
    [(NOW - 61, False), (NOW - 59, True), (NOW + 359, True), (NOW + 360, False)],
)
def test_clocks_may_differ_by_a_minute(now: int, valid: bool) -> None:
    token = signed(RSA_KEY, {"alg": "RS256", "kid": "one"}, claims())
    if valid:
        assert verify_id_token(token, KEYS, EXPECTED, now)
    else:
        with pytest.raises(SignInFailed):
            verify_id_token(token, KEYS, EXPECTED, now)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "", None, ["RS256"]])
def test_only_the_algorithms_of_discovery_are_used(algorithm: Any) -> None:
    token = signed(RSA_KEY, {"alg": algorithm, "kid": "one"}, claims())

    with pytest.raises(SignInFailed):
        verify_id_token(token, KEYS, EXPECTED, NOW)


@given(st.text(max_size=200))
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(SignInFailed):
        verify_id_token(token, KEYS, EXPECTED, NOW)


@given(st.binary(max_size=200))
def test_any_signed_payload_is_refused(payload: bytes) -> None:
    token = signed(RSA_KEY, {"alg": "RS256", "kid": "one"}, payload)

    with pytest.raises(SignInFailed) as refused:
        verify_id_token(token, KEYS, EXPECTED, NOW)
    assert token not in str(refused.value)
