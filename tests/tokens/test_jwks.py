"""The key set as verifiers fetch it."""

from pathlib import Path

import jwt

from gateway.tokens.jwks import jwks_document
from gateway.tokens.key_files import Algorithm, embedded_ring, load_ring, new_key

NOW = 1_800_000_000.0


def test_the_set_holds_public_members_only(tmp_path: Path) -> None:
    for algorithm in Algorithm:
        new_key(tmp_path, algorithm, NOW)
    ring = load_ring(tmp_path, "ES256")

    keys = ring.jwks()["keys"]

    assert {key["alg"] for key in keys} == {"ES256", "EdDSA", "RS256"}
    allowed = {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    assert all(set(key) <= allowed for key in keys)
    assert len(jwt.PyJWKSet.from_json(jwks_document(ring).decode()).keys) == 3


def test_the_document_is_the_same_for_the_same_ring() -> None:
    ring = embedded_ring("ES256", now=NOW)

    assert jwks_document(ring) == jwks_document(ring)
