"""The provider's access token at one upstream, and at no other: through real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.oidc.hostile import HostileProvider, hangs, says
from tests.oidc.test_membership_walk import (
    KEY,
    age,
    key_of,
    renewing_config,
    replica,
    session_of,
    settled,
    store_of,
)
from tests.oidc.walking import Browser
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, ask

TOKEN = "the-access-token-of-ada"


@pytest.fixture
async def other() -> AsyncIterator[RecordingUpstream]:
    recording = RecordingUpstream()
    await recording.start()
    yield recording
    await recording.stop()


def config_of(
    provider: HostileProvider, upstream: RecordingUpstream, other: RecordingUpstream
) -> dict[str, Any]:
    provider.refresh_token = "refresh-0"
    provider.token_answer |= {"access_token": TOKEN, "expires_in": 300}
    provider.claims["groups"] = ["staff"]
    config = renewing_config(provider, upstream.port)
    config["upstreams"]["files"] = {
        "url": f"http://127.0.0.1:{other.port}",
        "token": {"provider": "acme"},
    }
    config["routes"].append(
        {"match": "/files/**", "rule": "protected", "upstream": "files"}
    )
    return config


@pytest.fixture
async def gateway(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    other: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    config = config_of(provider, upstream, other)
    async with replica(config, tmp_path / "one", redis) as running:
        yield running


async def facts_are(browser: Browser, **changes: Any) -> None:
    """Change what the record keeps of the provider."""
    old, key = await session_of(browser), key_of(browser)
    facts = {
        n: v for n, v in (old.extra["provider"] | changes).items() if v is not None
    }
    new = replace(old, extra={**old.extra, "provider": facts})
    assert await store_of(browser.gateway).replace(key, old, new)


async def files(browser: Browser, **headers: str) -> int:
    named = {"Accept": "application/json"} | headers
    return (await browser.get("/files/a", named)).status


async def test_no_other_upstream_gets_it_and_no_client_can_send_one(
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    other: RecordingUpstream,
) -> None:
    await browser.sign_in(provider)

    for _ in range(2):  # in full, and by the plan
        assert await files(browser, Authorization="Bearer mine") == 200
        assert other.last.present("Authorization") == f"Bearer {TOKEN}"
        await browser.get("/dashboard/a", {"Authorization": "Bearer mine"})
        assert upstream.last.one("Authorization") is None
        assert TOKEN not in str(upstream.last.headers)


async def test_it_is_encrypted_at_rest_and_in_no_log_page_or_explanation(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    await files(browser)
    await age(browser)
    await files(browser)
    await settled(gateway)

    record = json.dumps((await session_of(browser)).extra)
    assert '"access_token": "k1:' in record
    assert TOKEN not in record
    assert TOKEN not in str(await gateway.logged())
    assert TOKEN not in json.dumps(await browser.whoami())
    assert "access_token" not in json.dumps(await browser.whoami())


async def test_a_renewed_token_is_sent_with_the_next_request(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    other: RecordingUpstream,
) -> None:
    await browser.sign_in(provider)
    await facts_are(browser, renew_at=1)
    provider.token_answer["access_token"] = "another-token"

    assert await files(browser) == 200
    assert other.last.present("Authorization") == f"Bearer {TOKEN}"
    await settled(gateway)

    assert await files(browser) == 200
    assert other.last.present("Authorization") == "Bearer another-token"
    assert provider.used == ["refresh-0"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"access_until": 1, "renew_at": 1}, id="expired"),
        pytest.param({"access_token": None}, id="signed-in-before-it-was-kept"),
    ],
)
async def test_a_request_waits_for_a_token_that_the_upstream_cannot_do_without(
    browser: Browser,
    provider: HostileProvider,
    other: RecordingUpstream,
    changes: dict[str, Any],
) -> None:
    await browser.sign_in(provider)
    await facts_are(browser, **changes)
    provider.token_answer["access_token"] = "another-token"

    found = await asyncio.gather(*(files(browser) for _ in range(5)))

    assert set(found) == {200}
    assert other.last.present("Authorization") == "Bearer another-token"
    assert provider.used == ["refresh-0"]


async def test_without_a_new_token_the_upstream_is_not_called_and_others_are(
    browser: Browser,
    provider: HostileProvider,
    other: RecordingUpstream,
) -> None:
    await browser.sign_in(provider)
    await facts_are(browser, access_until=1, renew_at=1)
    provider.answers["token"] = says("{}", 503)

    for _ in range(2):
        reply = await browser.get("/files/a", {"Accept": "application/json"})
        assert reply.status == 503
        assert reply.json()["reason"] == "provider_token_expired"
        assert reply.present("Retry-After")
    assert (await browser.get("/dashboard/a")).status == 200
    assert other.seen == []
    assert provider.calls.count("token") == 2  # of which one was the sign-in


async def test_a_provider_that_hangs_delays_only_who_needs_the_token(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    await facts_are(browser, access_until=1, renew_at=1)
    released = asyncio.Event()
    provider.answers["token"] = hangs(released)

    waiting = asyncio.ensure_future(files(browser))
    async with asyncio.timeout(1.9):
        for _ in range(3):
            assert (await browser.get("/dashboard/a")).status == 200
    released.set()

    assert await waiting == 503
    await settled(gateway)


async def test_a_provider_that_refuses_meanwhile_signs_the_user_out(
    browser: Browser, provider: HostileProvider, other: RecordingUpstream
) -> None:
    await browser.sign_in(provider)
    await facts_are(browser, access_until=1, renew_at=1)
    provider.refresh_token = None

    assert await files(browser) == 401
    assert other.seen == []


async def test_a_token_that_was_moved_from_another_session_is_not_sent(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    other: RecordingUpstream,
) -> None:
    await browser.sign_in(provider)
    stolen = (await session_of(browser)).extra["provider"]["access_token"]
    thief = Browser(gateway)
    provider.claims["sub"] = provider.userinfo["sub"] = "s-2"
    provider.refresh_token = "refresh-of-another"
    await thief.sign_in(provider)
    await facts_are(thief, access_token=stolen)

    assert await files(thief) == 503
    assert other.seen == []


async def test_a_session_without_the_provider_gets_none(
    gateway: Gateway, other: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    reply = await ask(gateway.port, "GET", "/files/a", {"Cookie": cookie})

    assert reply.status == 200
    assert other.last.one("Authorization") is None
    assert KEY not in str(other.last.headers)
