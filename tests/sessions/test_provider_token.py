"""Which texts can be the access token of a provider, before anything is verified."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import base64url
from gateway.sessions.provider_token import LONGEST, ProviderToken, read_provider_token

ISSUER = "https://id.example"
KNOWN = frozenset({ISSUER})


def token(claims: object, signature: str = "c2ln") -> str:
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"eyJhbGciOiJSUzI1NiJ9.{base64url.encode(raw)}.{signature}"


def test_a_token_of_a_known_issuer_is_one() -> None:
    found = read_provider_token(token({"iss": ISSUER}), KNOWN)

    assert found is not None
    assert found.issuer == ISSUER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b.c",
        token({"iss": "https://evil.example"}),
        token({"iss": ISSUER + "/"}),
        token({"iss": [ISSUER]}),
        token({"iss": None}),
        token([ISSUER]),
        token(b'{"iss": "https://id.example", "iss": "https://evil.example"}'),
        token(b"\xff"),
        token(b"[" * 3000),
        token({"iss": ISSUER}).rpartition(".")[0],
        token({"iss": ISSUER}) + ".more",
        token({"iss": ISSUER, "pad": "x" * LONGEST}),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert read_provider_token(text, KNOWN) is None


def test_what_is_there_twice_is_left_to_the_verification() -> None:
    """To look for it costs more than a signature, so the signature comes first."""
    claims = b'{"iss": "https://id.example", "pad": [%s]}' % b",".join([b"{}"] * 3000)
    found = read_provider_token(token(claims[:-1] + b', "pad": 1}'), KNOWN)

    assert found is not None


@given(st.text(max_size=100))
def test_any_text_gives_a_value(text: str) -> None:
    assert read_provider_token(text, KNOWN) is None


def test_another_spelling_of_the_signature_is_the_same_token() -> None:
    """One that was ended does not come back with other bits in its last character."""
    first = ProviderToken(token({"iss": ISSUER}, "c2ln"), ISSUER)
    second = ProviderToken(token({"iss": ISSUER}, "c2lo"), ISSUER)
    other = ProviderToken(token({"iss": ISSUER, "jti": "2"}, "c2ln"), ISSUER)

    assert first.key == second.key
    assert first.key != other.key


def test_it_prints_nowhere() -> None:
    text = token({"iss": ISSUER})
    held = ProviderToken(text, ISSUER)

    assert text not in f"{held!r} {held} {held.key} {held.fingerprint}"
