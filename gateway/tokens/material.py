"""Parse the bytes of a signing key. No file access."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import (
    generate_private_key as generate_ec,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    generate_private_key as generate_rsa,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.http import base64url
from gateway.tokens.ring import Algorithm, SigningKey

RSA_BITS = 3072
"""NIST SP 800-57 part 1 asks for 3072 from 2031; verifiers all take it."""

RSA_BITS_LEAST = 2048
"""RFC 7518 section 3.3: a key of size 2048 bits or larger MUST be used."""

SECRET_BYTES_LEAST = 32
"""RFC 7518 section 3.2: a key as long as the hash output MUST be used."""

_Asymmetric: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class BadMaterial:
    """Why the bytes cannot be used as a signing key."""

    why: str


def generate(algorithm: Algorithm, created: float) -> tuple[bytes, SigningKey]:
    """Make a key; return the bytes of its file, and the key.

    Its kid never begins with "-": on a command line that would be an option.
    """
    while True:
        material, key = _draw(algorithm, created)
        if not key.kid.startswith("-"):
            return material, key


def _draw(algorithm: Algorithm, created: float) -> tuple[bytes, SigningKey]:
    if algorithm is Algorithm.HS256:
        # Text, so that a verifier that reads its secret from a file (PostgREST's
        # jwt-secret = "@file") can be given this very one.
        secret = secrets.token_urlsafe(SECRET_BYTES_LEAST).encode()
        return secret + b"\n", _secret_key(secret, created)
    private = _GENERATORS[algorithm]()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, _asymmetric_key(algorithm, private, created)


def read_secret(material: bytes, created: float) -> SigningKey | BadMaterial:
    """Return a shared secret from the bytes, without the trailing newline."""
    secret = material.rstrip(b"\r\n")
    if b"-----BEGIN" in secret:
        # CVE-2022-29217: with a public key as a shared secret anyone can sign.
        return BadMaterial("a PEM file is not a shared secret; name it .pem")
    if len(secret) < SECRET_BYTES_LEAST:
        return BadMaterial(
            f"a secret of {len(secret)} bytes; HS256 needs {SECRET_BYTES_LEAST}"
        )
    return _secret_key(secret, created)


def read_pem(material: bytes, created: float) -> SigningKey | BadMaterial:
    """Return a private key from PEM bytes; the key type determines the algorithm."""
    try:
        private = load_pem_private_key(material, password=None)
    except TypeError:
        return BadMaterial("the key is encrypted; encrypted keys are not supported")
    except (ValueError, UnsupportedAlgorithm):
        return BadMaterial("not a private key in PEM (PKCS #8)")
    match private:
        case EllipticCurvePrivateKey(curve=SECP256R1()):
            return _asymmetric_key(Algorithm.ES256, private, created)
        case Ed25519PrivateKey():
            return _asymmetric_key(Algorithm.EDDSA, private, created)
        case RSAPrivateKey(key_size=size) if size >= RSA_BITS_LEAST:
            return _asymmetric_key(Algorithm.RS256, private, created)
        case RSAPrivateKey(key_size=size):
            return BadMaterial(
                f"an RSA key of {size} bits; at least {RSA_BITS_LEAST} are needed"
            )
        case _:
            return BadMaterial(
                "only P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256) keys sign here"
            )


_GENERATORS: dict[Algorithm, Callable[[], _Asymmetric]] = {
    Algorithm.ES256: lambda: generate_ec(SECP256R1()),
    Algorithm.EDDSA: Ed25519PrivateKey.generate,
    Algorithm.RS256: lambda: generate_rsa(65537, RSA_BITS),
}

_REQUIRED_MEMBERS: dict[str, tuple[str, ...]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""What a thumbprint is made of: RFC 7638 section 3.2, RFC 8037 section 2."""


def _secret_key(secret: bytes, created: float) -> SigningKey:
    text = base64url.encode(secret)
    return SigningKey(
        kid=_thumbprint({"k": text, "kty": "oct"}),
        algorithm=Algorithm.HS256,
        private=secret,
        public_jwk=None,
        created=created,
        published=created,
    )


def _asymmetric_key(
    algorithm: Algorithm, private: _Asymmetric, created: float
) -> SigningKey:
    jwk = _public_jwk(private)
    public = {name: str(jwk[name]) for name in _REQUIRED_MEMBERS[str(jwk["kty"])]}
    kid = _thumbprint(public)
    return SigningKey(
        kid=kid,
        algorithm=algorithm,
        private=private,
        public_jwk={**public, "kid": kid, "use": "sig", "alg": algorithm.value},
        created=created,
        published=created,
    )


def _public_jwk(private: _Asymmetric) -> dict[str, object]:
    match private:
        case EllipticCurvePrivateKey():
            return dict(ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
        case Ed25519PrivateKey():
            return dict(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))
        case RSAPrivateKey():
            return dict(RSAAlgorithm.to_jwk(private.public_key(), as_dict=True))


def _thumbprint(members: dict[str, str]) -> str:
    """Return the RFC 7638 thumbprint of the members that the RFC requires."""
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).digest()
    return base64url.encode(digest)
