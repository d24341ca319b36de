"""The JWK Set, as verifiers fetch it."""

import json

from gateway.tokens.ring import KeyRing


def jwks_document(ring: KeyRing) -> bytes:
    """Return the body of the JWK set; the same ring gives the same bytes."""
    return json.dumps(ring.jwks(), separators=(",", ":"), sort_keys=True).encode()
