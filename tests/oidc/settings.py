"""A provider as values, as the configuration makes one."""

from typing import Any

from gateway.oidc.claims import parse_claim_text
from gateway.oidc.settings import Allow, Endpoints, PersonRules, ProviderSettings


def provider_settings_of(**changes: Any) -> ProviderSettings:
    settings: dict[str, Any] = {
        "name": "acme",
        "title": "Acme",
        "issuer": "https://id.example.com",
        "client_id": "gateway",
        "client_secret": "a secret: %",
        "authentication": None,
        "scopes": ("openid",),
        "redirect_uri": "https://gw.example/.gateway/sign-in/acme/callback",
        "endpoints": Endpoints(),
        "person": PersonRules(
            id=parse_claim_text("{sub}"), traits={}, roles=None, tenants=None
        ),
        "allow": Allow(),
        "levels": {},
        "timeout": 5.0,
        "signed_out_uri": "https://gw.example/.gateway/signed-out",
        "sign_out_there": True,
    }
    return ProviderSettings(**(settings | changes))
