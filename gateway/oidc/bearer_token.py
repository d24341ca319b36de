"""Verification of a JWT access token (RFC 9068), and of those that predate the RFC.

The signature is verified as that of an ID token. Keycloak, Microsoft Entra ID, Auth0 and
Okta send tokens whose `typ` is JWT, or that have none: those need a claim that ID tokens
do not have, and none that ID tokens have. So an ID token is never an access token.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.oidc.failure import NotYetValid, SignInFailed, UnknownKey
from gateway.oidc.id_token import LEEWAY, read_number, verify_signature
from gateway.oidc.keys import KeySet
from gateway.oidc.settings import Accept
from gateway.reasons import Reason

_ACCESS: Final = frozenset(("at+jwt", "application/at+jwt"))
_PLAIN: Final = frozenset(("jwt", "application/jwt"))
_OF_ACCESS_TOKENS: Final = (
    "scope",
    "scp",  # Okta, Entra ID
    "client_id",
    "cid",  # Okta
    "appid",  # Entra ID, v1
    "azpacr",  # Entra ID, v2
    "gty",  # Auth0
)
_OF_OTHERS: Final = ("nonce", "at_hash", "c_hash", "s_hash", "events")
"""Of ID tokens, and of logout tokens."""
_LONGEST_SUB: Final = 255


def verify_bearer_token(
    token: str,
    keys: KeySet,
    accept: Accept,
    algorithms: frozenset[str],
    now: float,
) -> Mapping[str, Any]:
    """Return the claims of an access token; whether it has expired is not checked.

    Args:
        token: as the client sent it.
        keys: those of the provider.
        accept: the issuer and the audience.
        algorithms: those of discovery.
        now: seconds since the epoch.

    Raises:
        UnknownKey: the key that signed it is not in `keys`.
        NotYetValid: `token_invalid`, until a later time.
        SignInFailed: `token_invalid`; the message names the rule.
    """
    try:
        header, claims = verify_signature(token, keys, algorithms)
        _check_kind(header, claims)
        if claims.get("iss") != accept.issuer:
            raise _invalid("iss is not the accepted issuer")
        _check_audience(claims.get("aud"), accept)
        _check_times(claims, accept, now)
    except UnknownKey:
        raise
    except SignInFailed as failure:
        if failure.reason is Reason.TOKEN_INVALID:
            raise
        raise _invalid(failure.detail.removeprefix("ID token: ")) from failure
    if "cnf" in claims:
        # RFC 9449, section 7.2; RFC 8705, section 3: it is worth nothing without a proof.
        raise _invalid("it is bound to a key, whose possession is not verified here")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= _LONGEST_SUB:
        raise _invalid("sub is not a text of 1 to 255 characters")
    return claims


def client_of(claims: Mapping[str, Any]) -> str:
    """Return the ID of the client that the token was issued to; "" if not stated."""
    for name in ("client_id", "azp", "cid", "appid"):
        value = claims.get(name)
        if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 100:
            return value
    return ""


def _check_kind(header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Refuse tokens of other kinds (RFC 8725, section 3.11).

    Raises:
        SignInFailed: it is an ID token, or not certainly an access token.
    """
    # Keycloak's own claim, in all of its tokens: Bearer, ID, Refresh, Logout.
    kind = claims.get("typ", "Bearer")
    # That of Amazon Cognito.
    if kind != "Bearer" or claims.get("token_use", "access") != "access":
        raise _invalid("its claims are those of another kind of token")
    written = header.get("typ", "JWT")
    name = written.lower() if isinstance(written, str) else ""
    if name in _ACCESS:
        return
    if name not in _PLAIN:
        raise _invalid("typ is that of another kind of token")
    for claim in _OF_OTHERS:
        # Until version 24 Keycloak repeats the nonce in its access tokens.
        if claim in claims and not (claim == "nonce" and "typ" in claims):
            raise _invalid(f"it has {claim}, as an ID token or a logout token has")
    certain = "typ" in claims or "token_use" in claims
    if not certain and not any(claim in claims for claim in _OF_ACCESS_TOKENS):
        raise _invalid("it has no claim of an access token, such as scope or client_id")


def _check_audience(audience: object, accept: Accept) -> None:
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not accept.audience.intersection(
        each for each in audiences if isinstance(each, str)
    ):
        raise _invalid("aud is not an accepted audience")


def _check_times(claims: Mapping[str, Any], accept: Accept, now: float) -> None:
    issued, end = read_number(claims, "iat"), read_number(claims, "exp")
    if issued > now + LEEWAY:
        raise _not_yet("it was issued in the future")
    if "nbf" in claims and read_number(claims, "nbf") > now + LEEWAY:
        raise _not_yet("it is not valid yet")
    if end - issued > accept.longest_life:
        raise _invalid("it lives longer than accept.max_lifetime")


def _invalid(detail: str) -> SignInFailed:
    return SignInFailed(Reason.TOKEN_INVALID, f"access token: {detail}")


def _not_yet(detail: str) -> NotYetValid:
    return NotYetValid(Reason.TOKEN_INVALID, f"access token: {detail}")
