"""What `gateway check` finds at a provider."""

import os
import time
from typing import Any

import pytest

from gateway.build.providers import build_providers
from gateway.oidc.attempt import new_attempt
from gateway.oidc.examination import examine
from tests.oidc.hostile import (
    EC_KEY,
    HostileProvider,
    provider_config,
    public_jwk,
    says,
)
from tests.server.parts import loaded


async def found(provider: HostileProvider, name: str = "acme", **changes: Any) -> str:
    settings = provider_config(provider.issuer, **changes)
    config = loaded(sign_in={"providers": {name: settings}})
    built = build_providers(config, ticks=time.monotonic, resolver=None)
    attempt = new_attempt(name, os.urandom(32), time.time(), return_to="")
    return "; ".join(await examine(built[name], attempt))


async def test_a_provider_that_knows_the_client_is_fine(
    provider: HostileProvider,
) -> None:
    assert await found(provider) == ""
    assert provider.calls == ["discovery", "jwks", "authorize", "token"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"client_id": "other"}, "does not accept the client ID with the redirect URI"),
        ({"name": "wrong"}, "https://app.example/.gateway/sign-in/wrong/callback"),
        ({"client_secret": "wrong"}, "refuses the client or its secret"),
    ],
)
async def test_a_client_that_is_not_registered_so(
    provider: HostileProvider, changes: dict[str, Any], problem: str
) -> None:
    assert problem in await found(provider, **changes)


@pytest.mark.parametrize(
    ("turn", "problem"),
    [
        ({"document": {"issuer": "https://id.example"}}, "its issuer is https://id.example"),
        ({"document": {"jwks_uri": None}}, "no jwks_uri"),
        ({"keys": []}, "none of the published keys fits"),
        ({"keys": [public_jwk(EC_KEY, use="enc")]}, "none of the published keys fits"),
        ({"silent": "invalid_scope"}, "refuses the authorization request: invalid_scope"),
        ({"answers": {"discovery": says("", 404)}}, "discovery: status 404"),
        ({"answers": {"jwks": says("[]")}}, "not a JWK Set"),
        ({"answers": {"token": says("", 500)}}, "token endpoint: 500"),
        ({"answers": {"token": says("{}")}}, "token_type is not Bearer"),
        ({"answers": {"authorize": says("x" * 600_000)}}, "larger than"),
    ],
)  # fmt: skip
async def test_a_provider_that_is_not_as_it_should_be(
    provider: HostileProvider, turn: dict[str, Any], problem: str
) -> None:
    for name, value in turn.items():
        setattr(provider, name, value)

    assert problem in await found(provider)
