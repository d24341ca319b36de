"""How the client proves itself to the provider (RFC 6749, section 2.3; RFC 7523)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import jwt

from gateway.oidc.discovery import Metadata
from gateway.oidc.settings import ClientKey, ProviderSettings

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME: Final = 60
"""Seconds: an assertion is sent at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """The form and the headers of a request of the client; both are secret."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def authenticated(
    settings: ProviderSettings,
    metadata: Metadata,
    form: Mapping[str, str],
    *,
    now: float,
    jti: str,
) -> ClientRequest:
    """Return a request to the provider with what proves the client.

    Args:
        settings: the provider.
        metadata: how it accepts a secret.
        form: the form of the request.
        now: seconds since the epoch.
        jti: unique to this request.
    """
    proof = {"client_id": settings.client_id}
    if settings.client_key is not None:
        proof["client_assertion_type"] = _ASSERTION
        proof["client_assertion"] = _assertion(
            settings, settings.client_key, metadata, now, jti
        )
        return ClientRequest(form={**form, **proof}, headers={})
    secret = settings.client_secret
    method = settings.authentication or metadata.authentication
    if secret is not None and method == "basic":
        # Section 2.3.1: both are encoded before they are joined.
        pair = f"{quote(settings.client_id, safe='')}:{quote(secret, safe='')}"
        basic = base64.b64encode(pair.encode()).decode("ascii")
        return ClientRequest(form=form, headers={"Authorization": f"Basic {basic}"})
    if secret is not None:
        proof["client_secret"] = secret
    return ClientRequest(form={**form, **proof}, headers={})


def _assertion(
    settings: ProviderSettings,
    key: ClientKey,
    metadata: Metadata,
    now: float,
    jti: str,
) -> str:
    """Return a signed assertion (OpenID Connect Core 1.0, section 9).

    Its audience is the issuer alone: for any other one a hostile provider could name
    the endpoint of another one, and use the assertion there.
    """
    audience = settings.issuer if key.audience == "issuer" else metadata.token
    claims = {
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": audience,
        "jti": jti,
        "iat": int(now),
        "exp": int(now) + _LIFETIME,
    }
    return jwt.encode(
        claims, key.private, algorithm=key.algorithm, headers={"kid": key.kid}
    )
