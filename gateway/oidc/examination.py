"""What `gateway check` asks a provider, without signing anyone in.

A provider shows a wrong client ID or redirect URI on a page of its own, so that the
gateway never learns of it. A request with `prompt=none` shows it: only a provider that
accepts both redirects back. A code that does not exist shows whether the secret is right.
"""

from urllib.parse import parse_qs, urlsplit

from gateway.oidc.attempt import Attempt
from gateway.oidc.authorization import authorization_parameters
from gateway.oidc.discovery import Metadata
from gateway.oidc.failure import SignInFailed
from gateway.oidc.provider import Provider
from gateway.oidc.token import code_form, read_tokens

_SIGNED_OUT = frozenset(
    ("login_required", "interaction_required", "consent_required", "account_selection_required")
)  # fmt: skip


async def examine(provider: Provider, attempt: Attempt) -> list[str]:
    """Return what is wrong with a provider, as sentences for the operator."""
    try:
        metadata = await provider.verifier.metadata()
        keys = await provider.verifier.keys()
    except SignInFailed as failure:
        return [failure.detail]
    found = []
    if not any(key.fits(name) for key in keys.keys for name in metadata.algorithms):
        found.append("none of the published keys fits an algorithm of discovery")
    try:
        found += await _client(provider, attempt)
        found += await _secret(provider, metadata, attempt)
    except SignInFailed as failure:
        found.append(failure.detail)
    return found


async def _client(provider: Provider, attempt: Attempt) -> list[str]:
    settings = provider.settings
    parameters = authorization_parameters(settings, attempt, prompt="none")
    url = await provider.authorization(parameters, attempt.began)
    answer = await provider.client.get(url, {"Accept": "text/html"})
    if not answer.location.startswith(settings.redirect_uri):
        return [
            f"it does not accept the client ID with the redirect URI "
            f"{settings.redirect_uri} (status {answer.status})"
        ]
    error = parse_qs(urlsplit(answer.location).query).get("error", [""])[0]
    if error and error not in _SIGNED_OUT:
        return [f"it refuses the authorization request: {error[:60]}"]
    return []


async def _secret(
    provider: Provider, metadata: Metadata, attempt: Attempt
) -> list[str]:
    form = code_form(provider.settings, attempt, "gateway-check")
    answer = await provider.call(metadata.token, form, attempt.began)
    try:
        read_tokens(answer.status, answer.body, sent=provider.secrets())
    except SignInFailed as failure:
        if "invalid_grant" in failure.detail:
            return []
        return [f"it refuses the client or its secret: {failure.detail}"]
    return ["it accepts a code that does not exist"]
