"""Sign-outs with a real Redis Cluster: records, indexes and marks lie on several nodes."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.oidc.hostile import HostileProvider
from tests.oidc.test_bearer_walk import config_of, reason_of, token_of
from tests.oidc.test_logout_token import logout_token, send
from tests.oidc.test_sign_out import continues_to, sign_out
from tests.oidc.walking import Browser
from tests.servers import Server
from tests.sessions.redis.test_topologies import cluster, cluster_url
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway

__all__ = ["cluster"]
pytestmark = pytest.mark.walk


@pytest.fixture
async def gateway(
    cluster: tuple[Server, Server],
    provider: HostileProvider,
    upstream: RecordingUpstream,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    provider.document["end_session_endpoint"] = f"{provider.issuer}/end"
    config = config_of(upstream.port, provider)
    async with running_gateway(config, tmp_path, cluster_url(*cluster)) as running:
        yield running


async def several(
    gateway: Gateway, provider: HostileProvider, subject: str
) -> list[Browser]:
    """Sign in so often that both nodes have some of the records."""
    browsers = [Browser(gateway) for _ in range(6)]
    for number, browser in enumerate(browsers):
        provider.claims |= {"sid": f"sid-{number}", "sub": subject}
        provider.userinfo["sub"] = subject
        assert (await browser.sign_in(provider)).status == 302
    return browsers


async def signed_in(browsers: list[Browser]) -> list[bool]:
    return [await browser.whoami() is not None for browser in browsers]


async def test_a_user_signs_out_here_and_at_the_provider(
    gateway: Gateway, provider: HostileProvider
) -> None:
    for browser in await several(gateway, provider, "out"):
        reply = await sign_out(browser)
        assert "id_token_hint=" in continues_to(reply)
        assert await browser.whoami() is None


async def test_a_provider_ends_one_session_and_all_of_a_subject(
    gateway: Gateway, provider: HostileProvider
) -> None:
    browsers = await several(gateway, provider, "back")
    one = logout_token(provider.issuer, sub=None, sid="sid-2")
    assert (await send(gateway, one)).status == 200
    assert await signed_in(browsers) == [True, True, False, True, True, True]
    assert (await send(gateway, one)).status == 400  # it was used

    every = logout_token(provider.issuer, sub="back", sid=None)
    assert (await send(gateway, every)).status == 200
    assert await signed_in(browsers) == [False] * 6


async def test_access_tokens_of_the_provider_end(
    gateway: Gateway, provider: HostileProvider
) -> None:
    tokens = {
        name: token_of(provider, sub=name, sid=f"of-{name}")
        for name in ("one", "two", "three", "four")
    }
    for token in tokens.values():
        assert await reason_of(gateway, token) == (200, "")
    logouts: list[dict[str, Any]] = [
        {"sub": "one", "sid": None},
        {"sub": None, "sid": "of-two"},
    ]
    for names in logouts:
        token = logout_token(provider.issuer, **names)
        assert (await send(gateway, token)).status == 200
    await gateway.app.services.store.end_all("three", time.time(), None)

    for name, token in tokens.items():
        ended = (401, "session_revoked") if name != "four" else (200, "")
        assert await reason_of(gateway, token) == ended
