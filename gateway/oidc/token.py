"""The token request, and the provider's answer to it (RFC 6749, section 4.1.3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.oidc.attempt import Attempt
from gateway.oidc.failure import SignInFailed
from gateway.oidc.oauth_response import read_oauth_response
from gateway.oidc.settings import ProviderSettings
from gateway.reasons import Reason

_LONGEST_LIFE: Final = 1e9
_LONGEST_TOKEN: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider returned for a code, or for a refresh token.

    id_token       None: there was none, which is allowed at a refresh only
    refresh_token  None: there was none; an earlier one is still valid
    expires_in     seconds that the access token lives; None if not stated
    """

    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_in: float | None = None


def code_form(
    settings: ProviderSettings, attempt: Attempt, code: str
) -> dict[str, str]:
    """Return the form that redeems a code."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": settings.redirect_uri,
        "code_verifier": attempt.verifier,
    }


def read_tokens(
    status: int, raw: bytes, *, sent: Iterable[str] = (), at_refresh: bool = False
) -> Tokens:
    """Read the answer to a token request.

    `sent` are the secrets of the request: some providers quote them in their errors.

    Raises:
        GrantRefused: the code or the refresh token is not accepted.
        SignInFailed: `provider_unavailable` for a 5xx or 429, `provider_refused` for
            another error, `provider_bad_answer` if it is not a token response.
    """
    document = read_oauth_response("token endpoint", status, raw, sent=sent)
    if status != 200:
        raise _bad(f"status {status}")
    if str(document.get("token_type", "")).lower() != "bearer":
        raise _bad("token_type is not Bearer")
    return Tokens(
        id_token=None
        if at_refresh and document.get("id_token") is None
        else _text(document, "id_token"),
        access_token=_text(document, "access_token"),
        refresh_token=None
        if document.get("refresh_token") is None
        else _text(document, "refresh_token"),
        expires_in=_seconds(document.get("expires_in")),
    )


def _seconds(value: object) -> float | None:
    """Return a lifetime; some providers send it as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _LONGEST_LIFE else None


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value or not value.isascii():
        raise _bad(f"no {name}")
    if not value.isprintable():
        raise _bad(f"{name} is not printable")
    if name != "id_token" and len(value) > _LONGEST_TOKEN:
        raise _bad(f"{name} is longer than {_LONGEST_TOKEN} characters")
    return value


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_BAD_ANSWER, f"token endpoint: {detail}")
