"""Checks of OpenID Connect providers by `gateway check`, and what to register there."""

import json
import os
import time
from collections.abc import Iterator

from gateway.build.dns import build_dns
from gateway.build.providers import (
    backchannel_uri,
    build_providers,
    client_key_of,
    frontchannel_uri,
    initiate_uri,
    redirect_uri,
)
from gateway.config.load import LoadedConfig
from gateway.errors import ConfigError, Problem
from gateway.net.resolver import Resolver
from gateway.oidc.attempt import new_attempt
from gateway.oidc.examination import examine


async def provider_findings(loaded: LoadedConfig) -> tuple[Problem, ...]:
    """Query each provider; return what would make a sign-in fail.

    These are warnings: `gateway run` starts without its providers.
    """
    resolver = Resolver(build_dns(loaded.config))
    found = []
    try:
        providers = build_providers(loaded, ticks=time.monotonic, resolver=resolver)
        for name, provider in providers.items():
            attempt = new_attempt(name, os.urandom(32), time.time(), return_to="")
            found += [
                loaded.problem(
                    f"provider {name}: {text}",
                    "sign_in",
                    "providers",
                    name,
                    "issuer",
                    hint="--offline skips this check",
                )
                for text in await examine(provider, attempt)
            ]
    except ConfigError:
        pass  # reported by `findings`
    finally:
        await resolver.close()
    return tuple(found)


def registration(loaded: LoadedConfig) -> Iterator[str]:
    """Return what has to be registered at each provider, one setting per line."""
    public_url = loaded.config.server.public_url
    for name, provider in loaded.config.sign_in.providers.items():
        keyless = provider.client_secret is None and provider.client_key is None
        kind = "public" if keyless else "confidential"
        yield f"provider   {name}: {provider.issuer}; register there:"
        yield f"             client           {provider.client_id}, {kind}, code flow, PKCE S256"
        yield f"             redirect URI     {redirect_uri(public_url, name)}"
        if provider.sign_out == "provider":
            yield f"             post-logout URI  {public_url}/.gateway/signed-out"
        yield f"             back-channel     {backchannel_uri(public_url, name)}"
        yield f"             front-channel    {frontchannel_uri(public_url, name)}"
        if provider.initiate_login:
            yield f"             initiate login   {initiate_uri(public_url, name)}"
        if (key := client_key_of(loaded, name)) is not None:
            yield f"             public key       {json.dumps(dict(key.public))}"
        yield f"             scopes           {' '.join(provider.scopes)}"
