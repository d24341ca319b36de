"""A token verified, and a query run, the way PostgREST does both.

* `kid` chooses among the keys of the JWKS, and one that is unknown refuses (12.0.2 tries
  each key then); without a `kid` each is tried. The algorithm is that of the key, never
  of the token.
* `exp`, `nbf` and `iat` with 30 s of skew; `aud` where it is configured (PostgREST
  lets a token without any `aud` pass even then, so do we).
* Then, for one transaction: the role of the claim `role`, or `anon`, and all claims
  in `request.jwt.claims`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import psycopg

SKEW = 30.0

_NO_TIMES: Any = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A 401: the token is not believed."""


def verify(
    token: str, *, jwks: Mapping[str, Any], audience: str, now: float
) -> dict[str, Any]:
    """Return the claims of a token that is believed; Refused where it is not."""
    claims = _signed(token, jwks)
    if "aud" in claims and audience not in _as_list(claims["aud"]):
        raise Refused("JWT not in audience")
    if _time(claims, "exp", now) < now - SKEW:
        raise Refused("JWT expired")
    if _time(claims, "nbf", now) > now + SKEW:
        raise Refused("JWT not yet valid")
    if _time(claims, "iat", now) > now + SKEW:
        raise Refused("JWT issued at future")
    return claims


def run(
    connection: psycopg.Connection,
    claims: Mapping[str, Any] | None,
    query: str,
    values: Sequence[object] = (),
) -> list[tuple[Any, ...]]:
    """Run one query for these claims (None: no token) in a transaction of its own."""
    role = (claims or {}).get("role", "anon")
    text = "" if claims is None else json.dumps(claims)
    with connection.transaction():
        connection.execute(
            "select set_config('role', %s, true),"
            " set_config('request.jwt.claims', %s, true)",
            (role, text),
        )
        cursor = connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []


def _signed(token: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise Refused("JWT cannot be decoded") from error
    keys = jwks["keys"]
    if "kid" in header:
        keys = [key for key in keys if key["kid"] == header["kid"]]
    for key in keys:
        try:
            decoded = jwt.decode(
                token, jwt.PyJWK(key), algorithms=[key["alg"]], options=_NO_TIMES
            )
        except jwt.InvalidTokenError:
            continue
        return dict(decoded)
    raise Refused("No suitable key was found to decode the JWT")


def _time(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"The JWT {name!r} claim must be a number")
    return value


def _as_list(audience: object) -> list[object]:
    return audience if isinstance(audience, list) else [audience]
