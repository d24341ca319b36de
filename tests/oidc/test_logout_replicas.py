"""Back-channel logout with several replicas, sign-ins in progress, and outages."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.sessions.provider_link import ProviderLogout
from tests.oidc.hostile import HostileProvider, provider_config
from tests.oidc.test_logout_token import logout_token, send, signs_in_again
from tests.oidc.walking import CALLBACK, Browser, is_page, signing_config
from tests.servers import PATIENCE, Server, valkey_server
from tests.walk.harness import IMPATIENT, Gateway, RecordingUpstream, running_gateway

REPLICAS = 2
NEVER = 1e12
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.fixture
async def replicas(
    upstream: RecordingUpstream,
    provider: HostileProvider,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[list[Gateway]]:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    async with (
        running_gateway(config, folders[0], redis.url) as one,
        running_gateway(config, folders[1], redis.url) as two,
    ):
        yield [one, two]


async def test_a_token_is_used_once_whichever_replica_gets_it(
    replicas: list[Gateway], provider: HostileProvider
) -> None:
    one, two = replicas
    browser = Browser(one)
    await browser.sign_in(provider)
    token = logout_token(provider.issuer)
    assert (await send(one, token)).status == 200
    provider.claims["iat"] = int(time.time()) + 2
    await signs_in_again(browser, provider)

    assert [(await send(each, token)).status for each in (two, one)] == [400, 400]
    assert await browser.whoami() is not None


async def test_of_many_copies_one_is_used(
    replicas: list[Gateway], provider: HostileProvider
) -> None:
    browser = Browser(replicas[0])
    await browser.sign_in(provider)
    token = logout_token(provider.issuer)

    sent = [send(replicas[number % REPLICAS], token) for number in range(8)]
    statuses = [reply.status for reply in await asyncio.gather(*sent)]

    assert sorted(statuses) == [200] + [400] * 7
    assert await browser.whoami() is None


@pytest.mark.parametrize(
    "names", [{"sub": None}, {"sid": None}, {}], ids=["sid only", "sub only", "both"]
)
async def test_sessions_of_every_replica_end_within_a_second(
    replicas: list[Gateway],
    provider: HostileProvider,
    upstream: RecordingUpstream,
    names: dict[str, Any],
) -> None:
    one, two = replicas
    browsers = [Browser(one), Browser(two)]
    for browser in browsers:
        await browser.sign_in(provider)

    async with websocket(two, upstream, browsers[1]) as reader:
        began = time.monotonic()
        token = logout_token(provider.issuer, **names)
        assert (await send(one, token)).status == 200
        async with asyncio.timeout(PATIENCE):
            first = await reader.readexactly(1)
        took = time.monotonic() - began

    assert first == b"\x88"  # a close frame
    assert took < 1.0
    assert [await browser.whoami() for browser in browsers] == [None, None]


@asynccontextmanager
async def websocket(
    gateway: Gateway, upstream: RecordingUpstream, browser: Browser
) -> AsyncIterator[asyncio.StreamReader]:
    """Open a WebSocket with the session of a browser."""
    open_until = asyncio.Event()

    async def upgrades(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
        )
        await writer.drain()
        await open_until.wait()

    upstream.answer = upgrades
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"GET /dashboard/live HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Cookie: gateway_session=" + (browser.session or "").encode() + b"\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader
    finally:
        open_until.set()
        writer.close()


# --- a logout that comes during a sign-in


@pytest.mark.parametrize("endpoint", ["token", "userinfo"])
@pytest.mark.parametrize(
    "names", [{"sub": None}, {"sid": None}, {}], ids=["sid only", "sub only", "both"]
)
async def test_a_session_that_ended_before_it_was_stored_never_appears(
    replicas: list[Gateway],
    provider: HostileProvider,
    endpoint: str,
    names: dict[str, Any],
) -> None:
    """The provider ends it after the ID token was issued; another replica hears of it."""
    one, two = replicas
    browser = Browser(one)
    if endpoint == "userinfo":
        provider.claims["email"] = None

    async def ends_it(request: web.Request) -> web.StreamResponse:
        del provider.answers[endpoint]
        answer = await provider.serve(request)
        token = logout_token(provider.issuer, **names)
        assert (await send(two, token)).status == 200
        return answer

    provider.answers[endpoint] = ends_it
    reply = await browser.sign_in(provider)

    assert is_page(reply, 400)
    assert browser.session is None
    assert browser.attempts == []
    async with asyncio.timeout(PATIENCE):
        later = ProviderLogout(
            issuer=provider.issuer, subject="s-1", session_id=None, issued_at=NEVER
        )
        while await one.own_store.logouts.list_linked(later):
            await asyncio.sleep(0)
    await signs_in_again_later(browser, provider)


async def signs_in_again_later(browser: Browser, provider: HostileProvider) -> None:
    provider.claims["iat"] = int(time.time()) + 2
    await signs_in_again(browser, provider)
    assert await browser.whoami() is not None


async def test_a_sign_in_that_ended_meanwhile_leaves_the_session_of_the_browser(
    replicas: list[Gateway], provider: HostileProvider
) -> None:
    one, two = replicas
    browser = Browser(one)
    await browser.sign_in(provider)
    provider.claims |= {"sub": "s-2", "sid": "sid-2"}
    query = provider.approve(await browser.begin("/.gateway/sign-in/acme?another=1"))
    await send(two, logout_token(provider.issuer, sub="s-2", sid=None))

    reply = await browser.get(f"{CALLBACK}?{query}")

    assert is_page(reply, 400)
    assert (await browser.whoami() or {})["identity"]["id"] == "s-1"


async def test_a_code_from_before_the_logout_is_worth_nothing_after_it(
    replicas: list[Gateway], provider: HostileProvider
) -> None:
    """The provider may still issue a new ID token for it."""
    one, two = replicas
    browser = Browser(one)
    query = provider.approve(await browser.begin())
    await send(two, logout_token(provider.issuer, sid=None))
    provider.claims["iat"] = int(time.time()) + 5

    assert is_page(await browser.get(f"{CALLBACK}?{query}"), 400)


# --- Redis goes away


async def test_a_logout_that_redis_lost_may_be_sent_again(
    upstream: RecordingUpstream, provider: HostileProvider, tmp_path: Path
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["redis"] = IMPATIENT
    with valkey_server(tmp_path) as own:
        async with running_gateway(config, tmp_path, own.url) as gateway:
            browser = Browser(gateway)
            await browser.sign_in(provider)
            token = logout_token(provider.issuer)
            own.freeze()
            refused = await send(gateway, token)
            own.thaw()

            assert refused.status == 503
            assert refused.present("Retry-After")
            async with asyncio.timeout(PATIENCE):
                while (again := await send(gateway, token)).status == 503:
                    continue
            assert again.status == 200
            assert await browser.whoami() is None
