"""Membership that npm's `oidc-provider` changes while a session runs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.oidc.real import RealProvider, Visitor
from tests.oidc.test_membership_walk import (
    KEY,
    age,
    audits,
    dashboard,
    session_of,
    settled,
)
from tests.oidc.test_real_provider import config_of
from tests.oidc.walking import Browser
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, running_gateway

pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.walk]


@pytest.fixture
async def gateway(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config: dict[str, Any] = config_of(real, upstream.port, refresh="15m")
    config["sign_in"]["encryption_keys"] = [{"id": "k1", "key": KEY}]
    config["upstreams"]["web"]["token"] = {"provider": "acme"}
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


@pytest.fixture
async def browser(gateway: Gateway, real: RealProvider) -> Browser:
    browser = Browser(gateway)
    assert (await Visitor(real, browser).sign_in()).status == 302
    return browser


async def renewed(browser: Browser) -> int:
    """Let the membership grow old, and renew it; gives the status of the next request."""
    await age(browser)
    assert await dashboard(browser) == 200
    await settled(browser.gateway)
    return await dashboard(browser)


async def test_it_follows_the_provider_over_rotations_of_tokens_and_keys(
    real: RealProvider, browser: Browser, upstream: RecordingUpstream
) -> None:
    first = upstream.last.present("Authorization") if upstream.complete else ""
    assert await renewed(browser) == 200
    await real.control("rotate")
    await real.control(
        "person", id="alice", claims='{"roles": ["guest"], "organizations": {}}'
    )

    assert await renewed(browser) == 200

    session = await session_of(browser)
    assert session.identity.roles == ("guest",)
    assert not session.tenants
    assert upstream.last.present("Authorization").startswith("Bearer ")
    assert upstream.last.present("Authorization") != first
    (audit,) = await audits(browser.gateway, "membership changed")
    assert audit["gateway.roles_removed"] == ["staff", "admin"]


async def test_a_user_who_was_disabled_is_signed_out(
    real: RealProvider, browser: Browser
) -> None:
    await real.control("person", id="alice", disabled="true")
    try:
        assert await renewed(browser) == 302
    finally:
        await real.control("person", id="alice", disabled="false")

    (audit,) = await audits(browser.gateway, "session not renewed")
    assert audit["gateway.reason"] == "provider_refused"


async def test_a_provider_that_is_gone_breaks_no_session(
    real: RealProvider, browser: Browser
) -> None:
    real.process.kill()
    real.process.wait()

    assert await renewed(browser) == 200
