"""The public keys of a provider (JWK Set, RFC 7517), and which one verifies a token."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jwt.api_jwk import PyJWK
from jwt.exceptions import PyJWTError

from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The accepted algorithms, with the key type and curve: all asymmetric, never `none`."""

_PUBLIC: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_MOST_KEYS: Final = 100
_LONGEST_MEMBER: Final = 2800
"""Characters: an RSA modulus of 16 kbit."""


@dataclass(frozen=True, slots=True)
class _PublicKey:
    """One key that may verify signatures; `alg` None: any that fits its type."""

    kid: str | None
    alg: str | None
    jwk: Mapping[str, str] = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        kty, curve = ALGORITHMS[algorithm]
        return (
            self.jwk["kty"] == kty
            and (curve is None or self.jwk.get("crv") == curve)
            and self.alg in (None, algorithm)
        )


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a provider; others than these never verify a token."""

    keys: tuple[_PublicKey, ...]

    def select(self, algorithm: str, kid: object) -> PyJWK:
        """Return the key for a token.

        Without `kid` there must be one key that fits. A key in the token's own header
        is never used.

        Raises:
            UnknownKey: there is no such key here.
            SignInFailed: several keys fit, or the key is not valid.
        """
        fitting = [
            key
            for key in self.keys
            if key.fits(algorithm) and (kid is None or key.kid == kid)
        ]
        if not fitting:
            raise UnknownKey(Reason.ID_TOKEN_INVALID, "no published key fits the token")
        if len(fitting) > 1:
            raise SignInFailed(
                Reason.ID_TOKEN_INVALID, "more than one published key fits the token"
            )
        try:
            return PyJWK(dict(fitting[0].jwk), algorithm=algorithm)
        except PyJWTError as error:
            raise SignInFailed(
                Reason.ID_TOKEN_INVALID, "the published key is not valid"
            ) from error

    def fitting(self, algorithm: str) -> Iterator[PyJWK]:
        """Return each key that could have signed with an algorithm."""
        for key in self.keys:
            if key.fits(algorithm):
                with contextlib.suppress(PyJWTError):
                    yield PyJWK(dict(key.jwk), algorithm=algorithm)


def read_keys(raw: bytes) -> KeySet:
    """Read a JWK Set; a key that is not usable is skipped.

    Raises:
        SignInFailed: it is not a JWK Set, or has too many keys.
    """
    try:
        document = parse_json(raw)
    except Refused as refused:
        raise _bad(str(refused)) from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise _bad("not a JWK Set")
    if len(keys) > _MOST_KEYS:
        raise _bad(f"more than {_MOST_KEYS} keys")
    return KeySet(tuple(_usable(keys)))


def _usable(keys: Sequence[Any]) -> list[_PublicKey]:
    found = []
    for key in keys:
        if not isinstance(key, dict) or key.get("use", "sig") != "sig":
            continue
        operations = key.get("key_ops", ["verify"])
        members = _PUBLIC.get(str(key.get("kty")))
        if not isinstance(operations, list) or "verify" not in operations:
            continue
        if members is None:
            continue
        # Only the public part, whatever else was published by mistake.
        jwk = {name: key.get(name) for name in ("kty", *members)}
        kid, alg = key.get("kid"), key.get("alg")
        texts = all(
            isinstance(part, str) and len(part) <= _LONGEST_MEMBER
            for part in jwk.values()
        )
        if texts and isinstance(kid, str | None) and isinstance(alg, str | None):
            found.append(_PublicKey(kid, alg, {n: str(v) for n, v in jwk.items()}))
    return found


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_BAD_ANSWER, f"keys: {detail}")
