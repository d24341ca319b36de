"""How the client proves itself to the provider (RFC 6749, section 2.3)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from gateway.oidc.discovery import Metadata
from gateway.oidc.settings import ProviderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The form and the headers of a request of the client; both are secret."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def authenticated(
    settings: ProviderSettings, metadata: Metadata, form: Mapping[str, str]
) -> TokenRequest:
    """Return a request to the provider with what proves the client."""
    secret = settings.client_secret
    method = settings.authentication or metadata.authentication
    if secret is not None and method == "basic":
        # Section 2.3.1: both are encoded before they are joined.
        pair = f"{quote(settings.client_id, safe='')}:{quote(secret, safe='')}"
        basic = base64.b64encode(pair.encode()).decode("ascii")
        return TokenRequest(form=form, headers={"Authorization": f"Basic {basic}"})
    proof = {"client_id": settings.client_id}
    if secret is not None:
        proof["client_secret"] = secret
    return TokenRequest(form={**form, **proof}, headers={})
