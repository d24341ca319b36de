"""Checks of OpenID Connect providers and of the identity IDs that they give."""

from typing import Final

from gateway.config.document import Loc
from gateway.config.partial import PartialConfig
from gateway.config.sections.providers import ProviderConfig
from gateway.oidc.claims import always_differ, parse_claim_text

_LEAST_REFRESH: Final = 30.0


def check_providers(partial: PartialConfig) -> None:
    """Check scopes, client authentication, levels and renewal of each provider."""
    providers = partial.config.sign_in.providers
    if providers and partial.config.sessions.external:
        partial.add_problem_at_key(
            ("sign_in", "providers"),
            "providers require sessions of the gateway",
            "remove sessions.format, or let the app sign users in",
        )
    ids = [each.id for each in partial.config.sign_in.encryption_keys]
    if len(ids) > len(set(ids)):
        partial.add_problem(("sign_in", "encryption_keys"), "two keys have the same id")
    for name, provider in providers.items():
        loc: Loc = ("sign_in", "providers", name)
        if "openid" not in provider.scopes:
            partial.add_problem((*loc, "scopes"), "openid is not one of the scopes")
        if provider.allow.roles and provider.identity.roles is None:
            partial.add_problem(
                (*loc, "allow", "roles"),
                "every sign-in is denied: identity.roles is not set",
            )
        if provider.client_secret is None and provider.client_authentication:
            partial.add_problem(
                (*loc, "client_authentication"), "there is no client_secret to send"
            )
        _renewal(partial, loc, provider)
        _parameters(partial, loc, provider)
        if provider.client_key is not None and provider.client_secret is not None:
            partial.add_problem_at_key(
                (*loc, "client_key"),
                "the client has a secret, too",
                "remove one of them",
            )
        levels = [acr for values in provider.aal.values() for acr in values]
        if len(levels) > len(set(levels)):
            partial.add_problem((*loc, "aal"), "an acr value has two levels")
    _identity_ids(partial)


def _parameters(partial: PartialConfig, loc: Loc, provider: ProviderConfig) -> None:
    for name, value in provider.authorization_parameters.items():
        place = (*loc, "authorization_parameters", name)
        if name in _RESERVED:
            hint = _INSTEAD.get(name, "remove it")
            partial.add_problem_at_key(place, f"the gateway sets {name} itself", hint)
        elif name in _SECRET:
            partial.add_problem_at_key(
                place, f"{name} does not belong into the address of a page", "remove it"
            )
        elif name == "prompt" and "none" in value.split():
            partial.add_problem(place, "no user could sign in without a session there")


def _identity_ids(partial: PartialConfig) -> None:
    """Two users of different providers never have the same identity ID."""
    ends: list[tuple[str, str]] = []
    for name, provider in partial.config.sign_in.providers.items():
        text = parse_claim_text(provider.identity.id)
        if not text.claims:
            partial.add_problem(
                ("sign_in", "providers", name, "identity", "id"),
                "every user would get the same identity ID",
                "name a claim, such as {sub}",
            )
        mine = text.ends(name)
        if not all(always_differ(mine, each) for each in ends):
            partial.add_problem_at_key(
                ("sign_in", "providers", name, "identity"),
                "two users of different providers could get the same identity ID",
                'write id: "{provider}:{sub}"',
            )
        ends.append(mine)


def check_provider_tokens(partial: PartialConfig) -> None:
    """Check that an access token that is sent to an upstream is refreshed."""
    providers = partial.config.sign_in.providers
    for name, upstream in partial.config.upstreams.items():
        provider = providers.get(upstream.provider or "")
        if provider is not None and provider.refresh is None:
            partial.add_problem(
                ("upstreams", name, "token"),
                f"the access token of {upstream.provider} would expire: it has no refresh",
                "set refresh: 15m at the provider",
            )


def _renewal(partial: PartialConfig, loc: Loc, provider: ProviderConfig) -> None:
    if provider.refresh is None:
        return
    if not partial.config.sign_in.encryption_keys:
        partial.add_problem(
            (*loc, "refresh"),
            "refresh requires sign_in.encryption_keys",
            "write encryption_keys: [{id: k1, key: ${file:/run/secrets/tokens}}]",
        )
    if provider.refresh < _LEAST_REFRESH:
        partial.add_problem(
            (*loc, "refresh"),
            "each session would call the provider more than once in half a minute",
            "use 30s or more",
        )


_RESERVED: Final = frozenset(
    ("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state")
    + ("nonce", "code_challenge", "code_challenge_method", "request", "request_uri")
    + ("max_age", "acr_values", "login_hint", "dpop_jkt")
)
_INSTEAD: Final = {
    "scope": "use scopes",
    "max_age": "use require: {authenticated_within: …} of a route",
    "acr_values": "use require: {aal: …} of a route, and aal",
}
_SECRET: Final = frozenset(
    ("client_secret", "client_assertion", "client_assertion_type", "code_verifier")
)
