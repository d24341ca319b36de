"""How the client proves itself: by header, in the form, or not at all."""

import base64
from typing import Any

import jwt
import pytest

from gateway.oidc.client_authentication import authenticated
from gateway.oidc.discovery import metadata_of
from gateway.oidc.settings import ClientKey, Endpoints
from tests.oidc.hostile import EC_KEY, RSA_KEY
from tests.oidc.settings import provider_settings_of

WRITTEN = Endpoints(
    authorization="https://id.example.com/a",
    token="https://id.example.com/t",
    jwks="https://id.example.com/k",
)
METADATA = metadata_of({}, WRITTEN)
NOW: Any = {"now": 1_800_000_000.5, "jti": "j-1"}


def key_of(algorithm: str, audience: Any = "issuer") -> ClientKey:
    private: Any = EC_KEY if algorithm == "ES256" else RSA_KEY
    return ClientKey(
        private=private, algorithm=algorithm, kid="k-1", audience=audience, public={}
    )


@pytest.mark.parametrize(("algorithm", "key"), [("ES256", EC_KEY), ("RS256", RSA_KEY), ("PS256", RSA_KEY)])  # fmt: skip
def test_a_key_signs_an_assertion_for_the_issuer_alone(
    algorithm: str, key: Any
) -> None:
    settings = provider_settings_of(client_secret=None, client_key=key_of(algorithm))

    request = authenticated(settings, METADATA, {"a": "b"}, **NOW)

    assertion = request.form["client_assertion"]
    claims = jwt.decode(
        assertion,
        key.public_key(),
        [algorithm],
        audience="https://id.example.com",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == {
        "iss": "gateway",
        "sub": "gateway",
        "aud": "https://id.example.com",
        "jti": "j-1",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    }
    assert jwt.get_unverified_header(assertion)["kid"] == "k-1"
    assert request.form["client_assertion_type"].endswith(":jwt-bearer")
    assert request.form["client_id"] == "gateway"
    assert request.headers == {}
    assert "private" not in repr(settings.client_key)


def test_the_token_endpoint_is_the_audience_where_so_configured() -> None:
    key = key_of("ES256", "token_endpoint")
    settings = provider_settings_of(client_secret=None, client_key=key)

    request = authenticated(settings, METADATA, {}, **NOW)

    token = request.form["client_assertion"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == "https://id.example.com/t"


def test_by_default_both_are_encoded_and_joined_in_the_header() -> None:
    request = authenticated(provider_settings_of(), METADATA, {"a": "b"}, **NOW)

    pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
    assert pair == b"gateway:a%20secret%3A%20%25"
    assert request.form == {"a": "b"}


def test_in_the_form_if_so_configured() -> None:
    settings = provider_settings_of(authentication="post")

    request = authenticated(settings, METADATA, {"a": "b"}, **NOW)

    assert request.headers == {}
    assert request.form == {
        "a": "b",
        "client_id": "gateway",
        "client_secret": "a secret: %",
    }


def test_a_public_client_sends_its_id_alone() -> None:
    request = authenticated(
        provider_settings_of(client_secret=None), METADATA, {}, **NOW
    )

    assert (request.form, request.headers) == ({"client_id": "gateway"}, {})


def test_neither_form_nor_headers_print() -> None:
    request = authenticated(
        provider_settings_of(authentication="post"), METADATA, {}, **NOW
    )

    assert "secret" not in repr(request)
