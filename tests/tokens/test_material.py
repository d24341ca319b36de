"""From bytes to a key: its name, its kind, its public half."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.material import (
    BadMaterial,
    _thumbprint,
    generate,
    read_pem,
    read_secret,
)
from gateway.tokens.ring import Algorithm, SigningKey


@given(st.binary(max_size=300))
def test_any_bytes_give_a_key_or_a_reason(material: bytes) -> None:
    for read in (read_pem, read_secret):
        assert isinstance(read(material, 0.0), SigningKey | BadMaterial)


@given(st.binary(max_size=60))
def test_no_reason_quotes_the_bytes(material: bytes) -> None:
    read = read_secret(b"!secret!" + material[:20], 0.0)

    assert isinstance(read, BadMaterial)
    assert "!secret!" not in read.why


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_is_generated_is_read_as_the_same(algorithm: Algorithm) -> None:
    material, key = generate(algorithm, 5.0)
    read = read_secret if algorithm is Algorithm.HS256 else read_pem

    assert read(material, 5.0) == key
    assert (key.public_jwk is None) == (algorithm is Algorithm.HS256)


def test_the_thumbprint_is_that_of_the_rfc() -> None:
    """RFC 8037 appendix A.3 has the thumbprint of its Ed25519 key."""
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }

    assert _thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_no_key_id_can_be_taken_for_an_option() -> None:
    made = [generate(Algorithm.HS256, 0.0)[1].kid for _ in range(1_000)]

    assert not [kid for kid in made if kid.startswith("-")]
