"""How the client proves itself: by header, in the form, or not at all."""

import base64

from gateway.oidc.client_authentication import authenticated
from gateway.oidc.discovery import metadata_of
from gateway.oidc.settings import Endpoints
from tests.oidc.settings import provider_settings_of

WRITTEN = Endpoints(
    authorization="https://id.example.com/a",
    token="https://id.example.com/t",
    jwks="https://id.example.com/k",
)
METADATA = metadata_of({}, WRITTEN)


def test_by_default_both_are_encoded_and_joined_in_the_header() -> None:
    request = authenticated(provider_settings_of(), METADATA, {"a": "b"})

    pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
    assert pair == b"gateway:a%20secret%3A%20%25"
    assert request.form == {"a": "b"}


def test_in_the_form_if_so_configured() -> None:
    settings = provider_settings_of(authentication="post")

    request = authenticated(settings, METADATA, {"a": "b"})

    assert request.headers == {}
    assert request.form == {
        "a": "b",
        "client_id": "gateway",
        "client_secret": "a secret: %",
    }


def test_a_public_client_sends_its_id_alone() -> None:
    request = authenticated(provider_settings_of(client_secret=None), METADATA, {})

    assert (request.form, request.headers) == ({"client_id": "gateway"}, {})


def test_neither_form_nor_headers_print() -> None:
    request = authenticated(provider_settings_of(authentication="post"), METADATA, {})

    assert "secret" not in repr(request)
