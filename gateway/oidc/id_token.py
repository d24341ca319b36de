"""Verification of an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

The signature is PyJWT's business. The claims are checked here: types first, then each
rule of the section. `at_hash` and `azp` are checked where they are present.
"""

import contextlib
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jwt.api_jwk import PyJWK
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidSignatureError, PyJWTError

from gateway.http import base64url
from gateway.oidc.failure import SignInFailed, UnknownKey
from gateway.oidc.keys import KeySet
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json

LEEWAY: Final = 60.0
"""Seconds by which the clocks of the provider and the gateway may differ."""
_LARGEST: Final = 128 * 1024
_LONGEST_SUB: Final = 255
_JWS: Final = PyJWS(options={"enforce_minimum_key_length": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an ID token must say.

    algorithms    those of discovery
    access_token  for `at_hash`
    renewed       it came with a refresh, where the nonce may be left out (section 12.2)
    """

    issuer: str
    client_id: str
    algorithms: frozenset[str]
    nonce: str = field(repr=False)
    access_token: str | None = field(default=None, repr=False)
    renewed: bool = False


def verify_id_token(
    token: str, keys: KeySet, expected: Expected, now: float
) -> Mapping[str, Any]:
    """Return the claims of a valid ID token.

    Raises:
        UnknownKey: the key that signed it is not in `keys`.
        SignInFailed: it is not valid; the message names the rule.
    """
    header, claims = verify_signature(
        token, keys, expected.algorithms, misnamed=expected.renewed
    )
    # RFC 8725, section 3.11: a token of another kind, such as a logout token.
    if str(header.get("typ", "JWT")).lower().endswith("+jwt"):
        raise _invalid("typ is that of another kind of token")
    check_issuer_and_audience(claims, expected.issuer, expected.client_id)
    _check_times(claims, now)
    nonce = claims.get("nonce", expected.nonce if expected.renewed else None)
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(), expected.nonce.encode()
    ):
        raise _invalid("nonce is not that of this attempt")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= _LONGEST_SUB:
        raise _invalid("sub is not a text of 1 to 255 characters")
    if not sub.isascii() or not sub.isprintable():
        raise _invalid("sub is not printable ASCII")
    at_hash = claims.get("at_hash")
    if at_hash is not None and expected.access_token is not None:
        _check_at_hash(at_hash, expected.access_token, str(header["alg"]))
    return claims


def verify_signature(
    token: str,
    keys: KeySet,
    algorithms: frozenset[str],
    *,
    misnamed: bool = False,
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token that a key of `keys` signed.

    With `misnamed` the key may be another one than `kid` names: Ory Hydra signs with its
    newest key at a refresh, and names the one of the sign-in.

    Raises:
        UnknownKey, SignInFailed: as verify_id_token.
    """
    if len(token) > _LARGEST:
        raise _invalid(f"longer than {_LARGEST} characters")
    try:
        header = _JWS.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            raise _invalid("its algorithm is not one of the provider's")
        if "crit" in header:
            raise _invalid("it has a critical header parameter")
        payload = _payload(token, keys, algorithm, header.get("kid"), misnamed)
        claims = parse_json(payload)
    except (PyJWTError, Refused, ValueError) as error:
        raise _invalid(f"{type(error).__name__}: {error}") from error
    if not isinstance(claims, dict):
        raise _invalid("its payload is not a JSON object")
    return header, claims


def _payload(
    token: str, keys: KeySet, algorithm: str, kid: object, misnamed: bool
) -> bytes:
    """Return the signed payload.

    Raises:
        UnknownKey, SignInFailed: as verify_id_token.
        PyJWTError: the signature is not valid.
    """
    try:
        return _decoded(token, keys.select(algorithm, kid), algorithm)
    except (InvalidSignatureError, UnknownKey):
        if not misnamed:
            raise
    for key in keys.fitting(algorithm):
        with contextlib.suppress(PyJWTError):
            return _decoded(token, key, algorithm)
    raise UnknownKey(Reason.ID_TOKEN_INVALID, "no published key signed the token")


def _decoded(token: str, key: PyJWK, algorithm: str) -> bytes:
    decoded = _JWS.decode_complete(token, key, algorithms=[algorithm])
    payload: bytes = decoded["payload"]
    return payload


def read_auth_time(claims: Mapping[str, Any], now: float) -> float | None:
    """Return when the user authenticated, not later than `now`; None if not stated.

    Raises:
        SignInFailed: `auth_time` is not a number, or in the future.
    """
    if claims.get("auth_time") is None:
        return None
    auth_time = read_number(claims, "auth_time")
    if auth_time > now + LEEWAY:
        raise _invalid("auth_time is in the future")
    return min(auth_time, now)


def check_issuer_and_audience(
    claims: Mapping[str, Any], issuer: str, client_id: str
) -> None:
    """Refuse a token of another issuer, or for another client.

    Raises:
        SignInFailed: `iss`, `aud` or `azp` is not as it should be.
    """
    if claims.get("iss") != issuer:
        raise _invalid("iss is not the configured issuer")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise _invalid("aud is not the client")
    azp = claims.get("azp")
    if azp is None and len(audiences) > 1:
        raise _invalid("several audiences, and no azp")
    if azp is not None and azp != client_id:
        raise _invalid("azp is not the client")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    if now >= read_number(claims, "exp") + LEEWAY:
        raise _invalid("it has expired")
    if read_number(claims, "iat") > now + LEEWAY:
        raise _invalid("it was issued in the future")
    if "nbf" in claims and read_number(claims, "nbf") > now + LEEWAY:
        raise _invalid("it is not valid yet")


def read_number(claims: Mapping[str, Any], name: str) -> float:
    """Return a time in seconds since the epoch.

    Raises:
        SignInFailed: it is missing, or not a number.
    """
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _invalid(f"{name} is not a time")
    return value


def _check_at_hash(at_hash: object, access_token: str, algorithm: str) -> None:
    """Section 3.1.3.6: the left half of the hash that belongs to the algorithm."""
    size = "512" if algorithm == "EdDSA" else algorithm[2:]
    digest = hashlib.new(f"sha{size}", access_token.encode()).digest()
    half = base64url.encode(digest[: len(digest) // 2])
    if not isinstance(at_hash, str) or not hmac.compare_digest(
        at_hash.encode(), half.encode()
    ):
        raise _invalid("at_hash is not that of the access token")


def _invalid(detail: str) -> SignInFailed:
    return SignInFailed(Reason.ID_TOKEN_INVALID, f"ID token: {detail}")
