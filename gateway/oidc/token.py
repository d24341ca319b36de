"""The token request, and the provider's answer to it (RFC 6749, section 4.1.3)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.oidc.attempt import Attempt
from gateway.oidc.discovery import Metadata
from gateway.oidc.failure import SignInFailed
from gateway.oidc.settings import ProviderSettings
from gateway.reasons import Reason
from gateway.sessions.members import Refused, parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The form and the headers of a token request; both are secret."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the provider returned for a code."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


def token_request(
    settings: ProviderSettings, metadata: Metadata, attempt: Attempt, code: str
) -> TokenRequest:
    """Return the request that redeems a code."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": settings.redirect_uri,
        "code_verifier": attempt.verifier,
    }
    headers: dict[str, str] = {}
    secret = settings.client_secret
    method = settings.authentication or metadata.authentication
    if secret is not None and method == "basic":
        # Section 2.3.1: both are encoded before they are joined.
        pair = f"{quote(settings.client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = (
            f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
        )
    else:
        form["client_id"] = settings.client_id
        if secret is not None:
            form["client_secret"] = secret
    return TokenRequest(form=form, headers=headers)


def read_tokens(status: int, raw: bytes) -> Tokens:
    """Read the answer to a token request.

    Raises:
        SignInFailed: `provider_unavailable` for a 5xx or 429, `provider_refused` for
            another error, `provider_bad_answer` if it is not a token response.
    """
    if status >= 500 or status == 429:
        raise SignInFailed(Reason.PROVIDER_UNAVAILABLE, f"token endpoint: {status}")
    try:
        document = parse_json(raw)
    except Refused as refused:
        document = {"error": f"({refused})"}
    if not isinstance(document, dict):
        document = {}
    if 400 <= status < 500:
        error = str(document.get("error"))[:60]
        text = str(document.get("error_description", ""))[:150]
        raise SignInFailed(
            Reason.PROVIDER_REFUSED, f"token endpoint: {status} {error!r} {text!r}"
        )
    if status != 200:
        raise _bad(f"status {status}")
    if str(document.get("token_type", "")).lower() != "bearer":
        raise _bad("token_type is not Bearer")
    return Tokens(
        id_token=_text(document, "id_token"),
        access_token=_text(document, "access_token"),
    )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value or not value.isascii():
        raise _bad(f"no {name}")
    if not value.isprintable():
        raise _bad(f"{name} is not printable")
    return value


def _bad(detail: str) -> SignInFailed:
    return SignInFailed(Reason.PROVIDER_BAD_ANSWER, f"token endpoint: {detail}")
