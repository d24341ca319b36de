"""Claims of the UserInfo endpoint (OpenID Connect Core 1.0, section 5.3)."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.oidc.client import ProviderClient
from gateway.oidc.failure import SignInFailed
from gateway.oidc.token import Tokens
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json

_OF_THE_TOKEN: Final = frozenset(
    ("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash")
    + ("auth_time", "acr", "amr", "sid")
)  # fmt: skip
"""They describe the token and the sign-in, so only the signed token states them."""
_PAIRS: Final = (("email", "email_verified"), ("phone_number", "phone_number_verified"))
"""A value, and whether it was verified."""


async def with_userinfo(
    client: ProviderClient,
    url: str,
    tokens: Tokens,
    claims: Mapping[str, Any],
    *,
    required: bool = False,
) -> Mapping[str, Any]:
    """Return the claims with those of the UserInfo endpoint that they lack.

    With `required` claims that cannot be fetched are unknown, and not absent: a refusal
    of the endpoint takes no role from a running session.

    Raises:
        SignInFailed: as `read_userinfo`, or it does not answer.
    """
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    found = await client.get(url, bearer)
    if found.status >= 500:
        raise SignInFailed(
            Reason.PROVIDER_UNAVAILABLE, f"userinfo: status {found.status}"
        )
    usable = found.status == 200 and found.content_type == "application/json"
    if required and not usable:
        raise SignInFailed(
            Reason.PROVIDER_BAD_ANSWER,
            f"userinfo: status {found.status}, {found.content_type[:60]}",
        )
    if not usable:
        # Signed ones are not supported. The claims are missing then.
        return claims
    return add_userinfo(claims, read_userinfo(found.body, claims["sub"]))


def read_userinfo(raw: bytes, sub: object) -> Mapping[str, Any]:
    """Return the claims of a UserInfo response.

    Raises:
        SignInFailed: it is not a JSON object, or describes another subject (section
            5.3.4).
    """
    try:
        found = parse_json(raw)
    except Refused as refused:
        raise _bad(str(refused)) from None
    if not isinstance(found, dict) or found.get("sub") != sub:
        raise _bad("its sub is not that of the ID token")
    return found


def add_userinfo(
    claims: Mapping[str, Any], userinfo: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the claims of an ID token with those of UserInfo that it lacks.

    Objects are merged member by member. An address and whether it is verified come
    from one of the two: the ID token if it states both, else UserInfo if it states the
    address.
    """
    left = {name: v for name, v in userinfo.items() if name not in _OF_THE_TOKEN}
    own = dict(claims)
    for pair in _PAIRS:
        value, verified = pair
        complete = own.get(value) is not None and own.get(verified) is not None
        if complete or left.get(value) is None:
            loser, winner = left, own
        else:
            loser, winner = own, left
        if winner.get(value) is None:
            winner.pop(verified, None)
        for name in pair:
            loser.pop(name, None)
    return _merged(own, left)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two objects; what `first` states counts. The depth of both is limited."""
    found = {**second, **{n: v for n, v in first.items() if v is not None}}
    for name, value in first.items():
        other = second.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found[name] = _merged(value, other)
    return found


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.USERINFO_INVALID, f"userinfo: {detail}")
