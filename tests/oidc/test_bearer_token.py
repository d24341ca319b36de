"""Verification of access tokens, as values: those of real providers, and hostile ones."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.bearer_token import client_of, verify_bearer_token
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.keys import KeySet, read_keys
from gateway.oidc.settings import Accept
from gateway.reasons import Reason
from tests.oidc.hostile import (
    EC_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    public_jwk,
    signed,
    unsigned,
)
from tests.oidc.test_keys import jwks

NOW = 1_800_000_000
KEYS: KeySet = read_keys(jwks(public_jwk(RSA_KEY), public_jwk(EC_KEY, "two")))
ALGORITHMS = frozenset({"RS256", "ES256"})
API = "https://api.example.com"
ACCEPT = Accept(
    issuer="https://id.example", audience=frozenset({API, "api"}), longest_life=86_400.0
)
HEADER = {"alg": "RS256", "kid": "one", "typ": "at+jwt"}
PLAIN = HEADER | {"typ": "JWT"}


def claims(**changes: Any) -> dict[str, Any]:
    made = {
        "iss": "https://id.example",
        "aud": API,
        "sub": "s",
        "client_id": "job",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "1",
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def verify(token: str, now: float = NOW) -> Any:
    return verify_bearer_token(token, KEYS, ACCEPT, ALGORITHMS, now)


KEYCLOAK = {"typ": "Bearer", "azp": "job", "scope": "email", "aud": ["api", "account"]}
ENTRA = {"azp": "8f", "azpacr": "1", "roles": ["Items.Read"], "ver": "2.0", "tid": "t"}
VALID: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("rfc-9068", HEADER, {}),
    ("media-type-in-full", HEADER | {"typ": "application/AT+JWT"}, {}),
    ("keycloak", PLAIN, KEYCLOAK | {"client_id": None, "sid": "x", "acr": "1"}),
    ("keycloak-before-24", PLAIN, KEYCLOAK | {"client_id": None, "nonce": "n"}),
    ("entra-of-a-program", PLAIN | {"x5t": "a"}, ENTRA | {"client_id": None}),
    ("entra-v1", PLAIN, {"client_id": None, "appid": "8f", "appidacr": "1"}),
    ("entra-of-a-user", PLAIN, {"client_id": None, "scp": "access", "azp": "8f"}),
    ("auth0", PLAIN, {"client_id": None, "azp": "j", "gty": "client-credentials"}),
    ("auth0-of-a-user", PLAIN, {"client_id": None, "scope": "openid", "aud": [API, "u"]}),
    ("okta", {"alg": "RS256", "kid": "one"}, {"client_id": None, "cid": "0oa", "scp": ["a"]}),
    ("several-audiences-without-azp", HEADER, {"aud": ["x", API]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "changes"), [pytest.param(h, c, id=i) for i, h, c in VALID]
)
def test_access_tokens_of_real_providers_are_valid(
    header: dict[str, Any], changes: dict[str, Any]
) -> None:
    token = signed(RSA_KEY, header, claims(**changes))

    assert verify(token) == claims(**changes)


ID_TOKEN = {"client_id": None, "jti": None, "nonce": "n", "auth_time": NOW}
HOSTILE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # tokens of another kind, for this very audience
    ("id-token", PLAIN, ID_TOKEN),
    ("id-token-without-nonce", PLAIN, ID_TOKEN | {"nonce": None}),
    ("id-token-without-typ", {"alg": "RS256", "kid": "one"}, ID_TOKEN | {"azp": "job"}),
    ("id-token-with-a-scope", PLAIN, ID_TOKEN | {"scope": "openid"}),
    ("id-token-with-at-hash", PLAIN, ID_TOKEN | {"nonce": None, "scp": "a", "at_hash": "x"}),
    ("id-token-with-c-hash", PLAIN, {"c_hash": "x"}),
    ("id-token-of-keycloak", PLAIN, {"typ": "ID", "azp": "job", "scope": "x"}),
    ("refresh-token-of-keycloak", PLAIN, {"typ": "Refresh", "scope": "x"}),
    ("offline-token-of-keycloak", HEADER, {"typ": "Offline", "scope": "x"}),
    ("typ-claim-of-no-text", HEADER, {"typ": ["Bearer"]}),
    ("id-token-of-cognito", PLAIN, {"token_use": "id", "scope": "x"}),
    ("logout-token", HEADER | {"typ": "logout+jwt"}, {}),
    ("logout-token-as-jwt", PLAIN, {"events": {}, "sid": "x"}),
    ("security-event", HEADER | {"typ": "secevent+jwt"}, {}),
    ("typ-of-no-text", HEADER | {"typ": 7}, {}),
    ("typ-is-empty", HEADER | {"typ": ""}, {}),
    # for another one
    ("aud-of-another", HEADER, {"aud": "https://other.example.com"}),
    ("aud-is-a-prefix", HEADER, {"aud": API + ".evil.example"}),
    ("aud-in-another-case", HEADER, {"aud": API.upper()}),
    ("aud-missing", HEADER, {"aud": None}),
    ("aud-empty-list", HEADER, {"aud": []}),
    ("aud-list-of-others", HEADER, {"aud": ["x", ["https://api.example.com"], 7]}),
    ("aud-is-an-object", HEADER, {"aud": {API: True}}),
    ("iss-of-another", HEADER, {"iss": "https://evil.example"}),
    ("iss-with-a-slash", HEADER, {"iss": "https://id.example/"}),
    ("iss-missing", HEADER, {"iss": None}),
    ("iss-is-a-list", HEADER, {"iss": ["https://id.example"]}),
    # at another time
    ("nbf-in-the-future", HEADER, {"nbf": NOW + 61}),
    ("iat-in-the-future", HEADER, {"iat": NOW + 61}),
    ("iat-missing", HEADER, {"iat": None}),
    ("exp-missing", HEADER, {"exp": None}),
    ("exp-as-text", HEADER, {"exp": str(NOW + 300)}),
    ("exp-is-true", HEADER, {"exp": True}),
    ("exp-is-huge", HEADER, {"exp": 1e300}),
    ("iat-is-negative", HEADER, {"iat": -1}),
    ("nbf-as-text", HEADER, {"nbf": "0"}),
    ("lives-longer-than-a-day", HEADER, {"exp": NOW + 86_401}),
    # of no subject, or bound to a key
    ("sub-missing", HEADER, {"sub": None}),
    ("sub-is-a-number", HEADER, {"sub": 7}),
    ("sub-too-long", HEADER, {"sub": "x" * 256}),
    ("bound-by-dpop", HEADER, {"cnf": {"jkt": "x"}}),
    ("bound-by-a-certificate", HEADER, {"cnf": {"x5t#S256": "x"}}),
    # headers that lead elsewhere
    ("alg-none", HEADER | {"alg": "none"}, {}),
    ("alg-of-another-case", HEADER | {"alg": "rs256"}, {}),
    ("alg-missing", {"kid": "one", "typ": "at+jwt"}, {}),
    ("alg-is-a-list", HEADER | {"alg": ["RS256"]}, {}),
    ("alg-that-discovery-does-not-list", HEADER | {"alg": "RS512"}, {}),
    ("alg-of-another-key", HEADER | {"alg": "ES256"}, {}),
    ("kid-of-another-key", HEADER | {"kid": "two"}, {}),
    ("kid-is-a-path", HEADER | {"kid": "../../dev/null"}, {}),
    ("kid-is-a-number", HEADER | {"kid": 1}, {}),
    ("crit", HEADER | {"crit": ["exp"]}, {}),
    ("crit-is-empty", HEADER | {"crit": []}, {}),
    ("b64-detached", HEADER | {"b64": False}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "changes"), [pytest.param(h, c, id=i) for i, h, c in HOSTILE]
)
def test_nothing_else_is_an_access_token(
    header: dict[str, Any], changes: dict[str, Any]
) -> None:
    with pytest.raises(SignInFailed) as refused:
        verify(signed(RSA_KEY, header, claims(**changes)))

    assert refused.value.reason is Reason.TOKEN_INVALID or isinstance(
        refused.value, UnknownKey
    )


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_in_the_header_is_never_used(name: str) -> None:
    """The token is signed by that key, and names the provider's."""
    own = public_jwk(OTHER_RSA_KEY, "mine")
    for kid in ("one", "mine", None):
        header = {**HEADER, "kid": kid, name: own if name == "jwk" else "https://evil"}
        header = {n: v for n, v in header.items() if v is not None}
        with pytest.raises(SignInFailed):
            verify(signed(OTHER_RSA_KEY, header, claims()))


def test_a_public_key_is_never_the_secret_of_an_hmac() -> None:
    pem = RSA_KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    for secret in (pem, json.dumps(public_jwk(RSA_KEY)).encode()):
        for algorithm in ("HS256", "HS384", "HS512"):
            token = _hmac(secret, algorithm)
            with pytest.raises(SignInFailed) as refused:
                verify(token)
            assert "algorithm" in refused.value.detail


def _hmac(secret: bytes, algorithm: str) -> str:
    """Sign as an attacker does, past the guard of the library."""
    from jwt.algorithms import HMACAlgorithm

    from gateway.http import base64url

    header = json.dumps({"alg": algorithm, "kid": "one", "typ": "at+jwt"}).encode()
    signing = (
        f"{base64url.encode(header)}.{base64url.encode(json.dumps(claims()).encode())}"
    )
    hashes = {"HS256": HMACAlgorithm.SHA256, "HS384": HMACAlgorithm.SHA384}
    maker = HMACAlgorithm(hashes.get(algorithm, HMACAlgorithm.SHA512))
    return f"{signing}.{base64url.encode(maker.sign(signing.encode(), secret))}"


def test_a_token_without_a_signature_is_refused() -> None:
    for algorithm in ("none", "None", "RS256", ""):
        with pytest.raises(SignInFailed):
            verify(unsigned(HEADER | {"alg": algorithm}, claims()))


def test_a_token_that_is_too_long_is_not_decoded() -> None:
    with pytest.raises(SignInFailed) as refused:
        verify(signed(RSA_KEY, HEADER, claims(groups=["g" * 100] * 2000)))

    assert "longer than" in refused.value.detail


def test_an_encrypted_key_or_one_of_another_use_verifies_nothing() -> None:
    keys = read_keys(jwks(public_jwk(RSA_KEY) | {"use": "enc"}))

    with pytest.raises(UnknownKey):
        verify_bearer_token(
            signed(RSA_KEY, HEADER, claims()), keys, ACCEPT, ALGORITHMS, NOW
        )


@pytest.mark.parametrize(
    ("now", "valid"), [(NOW - 61, False), (NOW - 59, True), (NOW + 10_000, True)]
)
def test_clocks_may_differ_by_a_minute_and_the_session_says_when_it_expires(
    now: int, valid: bool
) -> None:
    token = signed(RSA_KEY, HEADER, claims())
    if valid:
        assert verify(token, now)
    else:
        with pytest.raises(SignInFailed):
            verify(token, now)


@given(st.text(max_size=200))
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(SignInFailed):
        verify(token)


@given(st.binary(max_size=200))
def test_any_signed_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(SignInFailed):
        verify(signed(RSA_KEY, HEADER, payload))


def test_the_client_is_named_by_what_the_provider_writes() -> None:
    assert client_of({"azp": "a"}) == "a"
    assert client_of({"client_id": "b", "azp": "a"}) == "b"
    assert client_of({"cid": 7, "appid": "x\n"}) == ""


def test_the_library_would_sign_the_same_token() -> None:
    """The hostile tokens differ from a good one by what the table says, and no more."""
    token = jwt.encode(claims(), RSA_KEY, "RS256", headers=HEADER)

    assert verify(token) == claims()
