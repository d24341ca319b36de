"""Verify the gateway's token the way PostgREST does.

The key is found by `kid` in the gateway's JWKS; `exp`, `nbf` and `iat` are checked
with 30 s of skew; a token for another audience is refused.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import jwt

SKEW_SECONDS = 30.0
AUDIENCE = "postgrest"

# Published keys may be kept for this long; an unknown `kid` asks again, but a
# client that invents them causes no more than one request in this time.
_KEEP_SECONDS = 300.0
_AGAIN_SECONDS = 2.0

# Never an HMAC: what is published must not be able to sign (RFC 8725, 3.1).
_ALGORITHMS = ["ES256", "EdDSA", "RS256"]


class BadToken(Exception):  # noqa: N818 - a refusal, reported to the client
    """The token is rejected; the message states why, without quoting it."""


class GatewayKeys:
    """The gateway's published keys, asked for when needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """Return the key called `kid`, querying the gateway for an unknown one."""
        async with self._lock:
            age = time.monotonic() - self._fetched_at
            known = kid in self._keys
            if age > (_KEEP_SECONDS if known else _AGAIN_SECONDS):
                self._keys = await self._fetch()
                self._fetched_at = time.monotonic()
        return self._keys.get(kid)

    async def _fetch(self) -> dict[str, jwt.PyJWK]:
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as client,
            client.get(self._url) as answer,
        ):
            keys = jwt.PyJWKSet.from_dict(await answer.json(content_type=None)).keys
        return {key.key_id: key for key in keys if key.key_id is not None}


async def verify(authorization: str, keys: GatewayKeys, now: float) -> dict[str, Any]:
    """Return the claims of a `Bearer` token, or raise BadToken."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadToken("a bearer token is needed")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError as error:
        raise BadToken("the token is not a JWT") from error
    key = await keys.find(kid) if isinstance(kid, str) else None
    if key is None:
        raise BadToken("no key of the gateway has this kid")
    return claims_of(token, key, now)


def claims_of(token: str, key: jwt.PyJWK, now: float) -> dict[str, Any]:
    """Check signature, audience and times of a token; return its claims."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            audience=AUDIENCE,
            # The times are checked below, against the `now` of the caller.
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["exp", "aud"],
            },
        )
    except jwt.InvalidTokenError as error:
        raise BadToken(_why(error)) from error
    if now >= _number(claims, "exp", now) + SKEW_SECONDS:
        raise BadToken("the token has expired")
    if _number(claims, "nbf", now) > now + SKEW_SECONDS:
        raise BadToken("the token is not valid yet")
    if _number(claims, "iat", now) > now + SKEW_SECONDS:
        raise BadToken("the token was issued in the future")
    return claims


def _number(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"the claim {name} is not a number")
    return float(value)


def _why(error: jwt.InvalidTokenError) -> str:
    match error:
        case jwt.InvalidAudienceError():
            return "the token has another audience"
        case jwt.InvalidSignatureError():
            return "the signature is wrong"
        case jwt.MissingRequiredClaimError():
            return "the token lacks exp or aud"
        case _:
            return "the token cannot be verified"
