"""Build the OpenID Connect providers, and the cookies of sign-ins in progress."""

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.config.load import LoadedConfig
from gateway.config.schema import Config
from gateway.config.sections.providers import ProviderConfig
from gateway.errors import ConfigError
from gateway.net.resolver import Resolver
from gateway.oidc.access_token import AccessTokens
from gateway.oidc.attempt import AttemptCookies
from gateway.oidc.claims import parse_claim_text
from gateway.oidc.client import ProviderClient
from gateway.oidc.provider import Provider
from gateway.oidc.settings import (
    Accept,
    Allow,
    ClientKey,
    Endpoints,
    Membership,
    PersonRules,
    ProviderSettings,
)
from gateway.oidc.vault import Vault
from gateway.proxy.tls import client_ssl_context
from gateway.tokens.material import BadMaterial, read_pem


def build_providers(
    loaded: LoadedConfig,
    *,
    ticks: Callable[[], float],
    resolver: Resolver | None,
) -> dict[str, Provider]:
    """Compile the providers; none is called yet.

    Raises:
        ConfigError: a file of certificate authorities, or a key, cannot be read.
    """
    config = loaded.config
    return {
        name: Provider(
            replace(
                provider_settings(
                    name,
                    provider,
                    config.server.public_url,
                    keeps_access=name in _kept(config),
                ),
                client_key=_client_key(loaded, name, provider),
            ),
            _client(loaded, name, provider, resolver or Resolver()),
            ticks,
        )
        for name, provider in config.sign_in.providers.items()
    }


def build_attempt_cookies(config: Config) -> AttemptCookies:
    """Compile the cookies of sign-ins in progress: host-only, whatever the session's."""
    name = config.sessions.cookie.name
    bare = name.removeprefix("__Host-").removeprefix("__Secure-")
    secure = config.cookie_is_secure
    return AttemptCookies(
        stem=f"__Host-{bare}" if secure else bare,
        secure=secure,
        domain=config.sessions.cookie.domain,
        keys={
            provider: _attempt_key(config, each)
            for provider, each in config.sign_in.providers.items()
        },
    )


def _attempt_key(config: Config, provider: ProviderConfig) -> bytes:
    """Return the key of the MACs of attempts: the same in every replica.

    It comes from a secret that the client has anyway. A public client has none, unless
    there are encryption keys: then its attempts are only protected against mistakes.
    """
    secrets = [each.key for each in config.sign_in.encryption_keys[:1]]
    if provider.client_secret is not None:
        secrets = [provider.client_secret]
    elif provider.client_key is not None:
        with suppress(OSError):  # reported by `_client_key`
            return sha256(
                _ATTEMPT + Path(provider.client_key.file).read_bytes()
            ).digest()
    secret = "".join(each.get_secret_value() for each in secrets)
    return sha256(_ATTEMPT + secret.encode()).digest()


_ATTEMPT: Final = b"gateway: sign-in attempt "


def build_vault(config: Config) -> Vault | None:
    """Return the keys that encrypt tokens of providers; None if there are none."""
    keys = {
        each.id: base64.b64decode(each.key.get_secret_value())
        for each in config.sign_in.encryption_keys
    }
    return Vault(keys) if keys else None


def build_access_tokens(config: Config) -> AccessTokens | None:
    """Return what opens access tokens for upstreams; None if no upstream gets one."""
    vault, wanted = build_vault(config), _kept(config)
    public_url = config.server.public_url
    settings = {
        name: provider_settings(name, provider, public_url)
        for name, provider in config.sign_in.providers.items()
        if name in wanted
    }
    return (
        None
        if vault is None or not wanted
        else AccessTokens(vault=vault, providers=settings)
    )


def _kept(config: Config) -> set[str]:
    """Return the providers whose access tokens are kept."""
    return {up.provider for up in config.upstreams.values() if up.provider is not None}


def provider_settings(
    name: str, provider: ProviderConfig, public_url: str, *, keeps_access: bool = False
) -> ProviderSettings:
    """Return one provider as values."""
    secret, allow = provider.client_secret, provider.allow
    verified = allow.verified_email
    return ProviderSettings(
        name=name,
        title=provider.title or name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        authentication=provider.client_authentication,
        scopes=provider.scopes,
        redirect_uri=redirect_uri(public_url, name),
        endpoints=Endpoints(
            authorization=provider.endpoints.authorization,
            token=provider.endpoints.token,
            userinfo=provider.endpoints.userinfo,
            jwks=provider.endpoints.jwks,
            end_session=provider.endpoints.end_session,
            pushed=provider.endpoints.pushed,
        ),
        person=_person_rules(provider),
        allow=Allow(
            email_domains=frozenset(allow.email_domains),
            verified_email=bool(allow.email_domains) if verified is None else verified,
            roles=frozenset(allow.roles),
            claims=dict(allow.claims),
        ),
        levels={acr: level for level, acrs in provider.aal.items() for acr in acrs},
        timeout=provider.timeout,
        signed_out_uri=f"{public_url}/.gateway/signed-out",
        sign_out_there=provider.sign_out == "provider",
        refresh=provider.refresh,
        keeps_access=keeps_access,
        pushes=provider.pushed_requests,
        accept=_accept(provider),
        parameters=provider.authorization_parameters,
        initiates=provider.initiate_login,
    )


def _accept(provider: ProviderConfig) -> Accept | None:
    accept = provider.accept
    if accept is None:
        return None
    return Accept(
        issuer=accept.issuer or provider.issuer,
        audience=frozenset(accept.audience),
        longest_life=accept.max_lifetime,
    )


def accepted_issuers(config: Config) -> frozenset[str]:
    """Return the issuers of access tokens that programs may send."""
    return frozenset(
        accept.issuer
        for provider in config.sign_in.providers.values()
        if (accept := _accept(provider)) is not None
    )


def redirect_uri(public_url: str, name: str) -> str:
    """Return the redirect URI of a provider; from the configuration, never from a request."""
    return f"{public_url}/.gateway/sign-in/{name}/callback"


def frontchannel_uri(public_url: str, name: str) -> str:
    """Return the address that a provider shows in a frame when a user signs out there."""
    return f"{public_url}/.gateway/sign-in/{name}/frontchannel-logout"


def initiate_uri(public_url: str, name: str) -> str:
    """Return the address at which a provider begins a sign-in."""
    return f"{public_url}/.gateway/sign-in/{name}/initiate"


def backchannel_uri(public_url: str, name: str) -> str:
    """Return the address for a provider's logout tokens."""
    return f"{public_url}/.gateway/sign-in/{name}/backchannel-logout"


def _person_rules(provider: ProviderConfig) -> PersonRules:
    identity, tenants = provider.identity, provider.tenants
    groups = None if tenants is None or isinstance(tenants, str) else tenants
    claim = tenants if isinstance(tenants, str) else groups.claim if groups else None
    return PersonRules(
        id=parse_claim_text(identity.id),
        traits={name: parse_claim_text(text) for name, text in identity.traits.items()},
        roles=None if identity.roles is None else parse_claim_text(identity.roles),
        tenants=None if claim is None else parse_claim_text(claim),
        membership=None
        if groups is None
        else {
            group: tuple(
                Membership(id=each.id, name=each.name or each.id, role=each.role or "")
                for each in members
            )
            for group, members in groups.groups.items()
        },
    )


def client_key_of(loaded: LoadedConfig, name: str) -> ClientKey | None:
    """Return the key of the client at a provider; None without one that can be used."""
    try:
        return _client_key(loaded, name, loaded.config.sign_in.providers[name])
    except ConfigError:
        return None


def _client_key(
    loaded: LoadedConfig, name: str, provider: ProviderConfig
) -> ClientKey | None:
    """Read the private key of the client.

    Raises:
        ConfigError: it cannot be read, or not be used with the algorithm.
    """
    wanted = provider.client_key
    if wanted is None:
        return None
    place = ("sign_in", "providers", name, "client_key")
    try:
        key = read_pem(Path(wanted.file).read_bytes(), 0.0)
    except OSError as error:
        key = BadMaterial(f"the file cannot be read: {error.strerror}")
    if isinstance(key, BadMaterial):
        raise ConfigError([loaded.problem(f"client_key: {key.why}", *place)])
    algorithm = wanted.algorithm or str(key.algorithm)
    # PS256 is another padding for the same RSA keys.
    if {"PS256": "RS256"}.get(algorithm, algorithm) != key.algorithm:
        why = f"a key for {key.algorithm} does not sign {algorithm}"
        raise ConfigError([loaded.problem(f"client_key: {why}", *place)])
    return ClientKey(
        private=key.private,
        algorithm=algorithm,
        kid=wanted.kid or key.kid,
        audience=wanted.audience,
        public={
            **(key.public_jwk or {}),
            "alg": algorithm,
            "kid": wanted.kid or key.kid,
        },
    )


def _client(
    loaded: LoadedConfig, name: str, provider: ProviderConfig, resolver: Resolver
) -> ProviderClient:
    try:
        tls = client_ssl_context(provider.ca, None, None)
    except OSError as error:
        message = f"the certificate authorities cannot be read: {error.strerror}"
        problem = loaded.problem(message, "sign_in", "providers", name, "ca")
        raise ConfigError([problem]) from error
    return ProviderClient(timeout=provider.timeout, tls=tls, resolver=resolver)
