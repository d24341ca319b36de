"""What a reload keeps of a provider: its metadata and keys, if they come from the same source."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.net.resolver import Resolver
from gateway.oidc.client import ProviderClient
from gateway.oidc.settings import Endpoints
from gateway.oidc.verifier import TokenVerifier
from tests.oidc.hostile import HostileProvider
from tests.oidc.settings import provider_settings_of
from tests.proxy.certificates import Authority


def verifier_of(
    provider: HostileProvider, *, ca: str | None = None, **changes: Any
) -> TokenVerifier:
    tls = ssl.create_default_context(cafile=ca)
    client = ProviderClient(timeout=5.0, tls=tls, resolver=Resolver())
    settings = provider_settings_of(**{"issuer": provider.issuer} | changes)
    return TokenVerifier(settings, client, asyncio.get_running_loop().time)


async def test_the_same_source_is_not_asked_again(provider: HostileProvider) -> None:
    before = verifier_of(provider)
    keys = await before.keys()
    after = verifier_of(provider, timeout=9.0, client_secret="rotated")
    after.follow(before)

    assert after.kept_keys is keys
    assert after.kept_metadata is before.kept_metadata
    assert provider.calls == ["discovery", "jwks"]


async def test_what_another_authority_certified_is_not_kept(
    provider: HostileProvider, tmp_path: Path
) -> None:
    one, two = (Authority(tmp_path, name) for name in ("one", "two"))
    before = verifier_of(provider, ca=one.path)
    await before.keys()
    # The path stays: what counts is the file.
    same, other = verifier_of(provider, ca=one.path), verifier_of(provider, ca=two.path)
    same.follow(before)
    other.follow(before)

    assert same.kept_keys is before.kept_keys
    assert (other.kept_keys, other.kept_metadata) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example"},
        {"endpoints": Endpoints(jwks="https://other.example/jwks")},
    ],
)
async def test_another_issuer_or_address_is_another_source(
    provider: HostileProvider, changes: dict[str, Any]
) -> None:
    before = verifier_of(provider)
    await before.keys()
    after = verifier_of(provider, **changes)
    after.follow(before)

    assert (after.kept_keys, after.kept_metadata) == (None, None)
