"""Membership that is renewed while a session runs: real sockets, Redis, a hostile provider."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.oidc.renewal import Renewal, seal_renewal
from gateway.server import renewing
from gateway.sessions.cookie import read_session_token
from gateway.sessions.record import Session
from gateway.sessions.redis.record_keys import (
    id_token_key,
    record_key,
    renewal_key,
    renewal_turn_key,
)
from gateway.sessions.redis.store import RedisStore
from tests.oidc.hostile import (
    OTHER_RSA_KEY,
    HostileProvider,
    hangs,
    hostile_provider,
    provider_config,
    public_jwk,
    says,
    signed,
)
from tests.oidc.walking import Browser, signing_config
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Gateway,
    RecordingUpstream,
    running_gateway,
)

KEY = base64.b64encode(b"1" * 32).decode()
OTHER_KEY = base64.b64encode(b"2" * 32).decode()


def renewing_config(
    provider: HostileProvider, port: int, **changes: Any
) -> dict[str, Any]:
    settings = {
        "refresh": "15m",
        "timeout": "2s",
        "identity": {"roles": "{groups}"},
        "tenants": "{organizations}",
    }
    acme = provider_config(provider.issuer, **(settings | changes))
    config = signing_config(port, acme=acme)
    config["sign_in"]["encryption_keys"] = [{"id": "k1", "key": KEY}]
    return config


@asynccontextmanager
async def replica(
    config: dict[str, Any], folder: Path, redis: Server
) -> AsyncIterator[Gateway]:
    folder.mkdir(exist_ok=True)
    async with running_gateway(config, folder, redis.url) as running:
        yield running


@pytest.fixture
async def gateway(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    provider.refresh_token = "refresh-0"
    provider.claims |= {"groups": ["staff", "admin"], "organizations": ["acme"]}
    config = renewing_config(provider, upstream.port)
    async with replica(config, tmp_path / "one", redis) as running:
        yield running


def store_of(gateway: Gateway) -> RedisStore:
    store = gateway.app.store
    assert isinstance(store, RedisStore)
    return store


def key_of(browser: Browser) -> str:
    token = read_session_token(
        [f"gateway_session={browser.session}".encode()], b"gateway_session"
    )
    key: str = token.key  # type: ignore[union-attr] # a session was begun
    return key


async def session_of(browser: Browser) -> Session:
    found = await store_of(browser.gateway).load(key_of(browser))
    assert isinstance(found, Session)
    return found


async def age(browser: Browser, seconds: float = 1000.0) -> None:
    """Make the membership of a session older than it is."""
    store, key, old = (
        store_of(browser.gateway),
        key_of(browser),
        await session_of(browser),
    )
    facts = old.extra["provider"]
    facts = facts | {"refreshed_at": facts["refreshed_at"] - seconds}
    assert await store.replace(
        key, old, replace(old, extra={**old.extra, "provider": facts})
    )


async def settled(gateway: Gateway) -> None:
    """Wait for what runs in the background."""
    async with asyncio.timeout(PATIENCE):
        while background := gateway.app.services._background:
            await asyncio.wait(background)


async def stale(browser: Browser, provider: HostileProvider) -> None:
    """Sign in, and let the membership grow old."""
    assert (await browser.sign_in(provider)).status == 302
    provider.calls.clear()
    await age(browser)


async def dashboard(browser: Browser) -> int:
    return (await browser.get("/dashboard/a")).status


async def audits(gateway: Gateway, message: str) -> list[dict[str, Any]]:
    return [
        line
        for line in await gateway.logged()
        if line.get("event.dataset") == "gateway.audit" and line["message"] == message
    ]


async def raw(gateway: Gateway, name: str) -> bytes | None:
    return await store_of(gateway)._client.get(name)


# --- hostile first


async def test_a_provider_that_refuses_ends_the_session_and_its_websockets(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    key = key_of(browser)
    provider.refresh_token = None

    assert await dashboard(browser) == 200  # this one is not held up
    await settled(gateway)

    reply = await browser.get("/dashboard/a")
    assert reply.status == 302
    assert "reason=session_revoked" in reply.present("Location")
    (audit,) = await audits(gateway, "session not renewed")
    assert audit["gateway.reason"] == "provider_refused"
    assert audit["user.id"] == "s-1"
    assert await raw(gateway, renewal_key(key)) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says("{}", 500), id="500"),
        pytest.param(says("{}", 429), id="429"),
        pytest.param(says("<html>", 200), id="not-json"),
        pytest.param(says('{"error": "invalid_client"}', 401), id="client-refused"),
        pytest.param(says('{"error": "not_allowed"}', 400), id="a-word-of-no-rfc"),
        pytest.param(says(b"x" * 600_000), id="huge"),
    ],
)
async def test_a_provider_in_trouble_breaks_no_session(
    gateway: Gateway, browser: Browser, provider: HostileProvider, answer: Any
) -> None:
    await stale(browser, provider)
    before = await session_of(browser)
    provider.answers["token"] = answer

    for _ in range(3):
        assert await dashboard(browser) == 200
        await settled(gateway)

    assert await session_of(browser) == before
    assert provider.calls.count("token") == 1  # and is not called at every request
    assert not await audits(gateway, "session not renewed")


async def test_a_provider_that_hangs_delays_no_request(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    released = asyncio.Event()
    provider.answers["token"] = hangs(released)

    async with asyncio.timeout(1.9):  # its time-out is 2 s
        for _ in range(5):
            assert await dashboard(browser) == 200

    released.set()
    await settled(gateway)
    assert await dashboard(browser) == 200


async def test_a_provider_that_hangs_holds_up_no_renewal_of_another_one(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    provider.refresh_token = "refresh-0"
    provider.claims |= {"groups": ["staff"]}
    config = renewing_config(provider, upstream.port, identity={"id": "acme:{sub}"})
    released = asyncio.Event()
    async with hostile_provider() as slow, replica(config, tmp_path, redis) as first:
        browser = Browser(first)
        await stale(browser, provider)
        slow.answers["token"] = hangs(released)
        providers = config["sign_in"]["providers"]
        providers["slow"] = provider_config(
            slow.issuer,
            refresh="15m",
            timeout="60s",
            identity={"id": "slow:{sub}"},
        )
        async with replica(config, tmp_path / "two", redis) as gateway:
            renewer, runtime = gateway.app.services.renewer, gateway.app.runtime
            store, old = store_of(gateway), await session_of(browser)
            assert renewer is not None
            for number in range(100):
                key = f"{number:064x}"
                facts = old.extra["provider"] | {"name": "slow"}
                session = replace(
                    old, id=f"s-{number}", extra={**old.extra, "provider": facts}
                )
                await store.create(key, session, old.issued_at)
                vault, settings = runtime.vault, runtime.providers["slow"].settings
                assert vault is not None
                renewal = Renewal(refresh_token="r", subject="s-1", nonce="n")
                sealed = seal_renewal(renewal, vault, settings, key, b"1" * 12)
                await store.renewals.put(key, sealed, 60.0)
                renewer.start(key, runtime)
            await asyncio.sleep(0.3)

            await renewer.renewed(key_of(browser), runtime)

            assert provider.calls.count("token") == 1
            assert slow.calls.count("token") <= 64
            released.set()
            await settled(gateway)


@pytest.mark.parametrize(
    ("claims", "ends"),
    [
        pytest.param({"sub": "s-2"}, True, id="another-user"),
        pytest.param({"aud": "other"}, False, id="another-audience"),
        pytest.param({"iss": "https://evil.example"}, False, id="another-issuer"),
        pytest.param({"nonce": "other"}, False, id="another-nonce"),
        pytest.param({"exp": 1}, False, id="expired"),
        pytest.param({"azp": "other"}, False, id="another-party"),
    ],
)
async def test_tokens_that_are_not_those_of_the_user_change_nothing(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    claims: dict[str, Any],
    *,
    ends: bool,
) -> None:
    await stale(browser, provider)
    provider.claims |= claims | {"groups": ["admin", "root"]}

    await dashboard(browser)
    await settled(gateway)

    session = await session_of(browser)
    assert session.active is not ends
    assert session.identity.roles == ("staff", "admin")
    assert not await audits(gateway, "membership changed")


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client"])
async def test_a_provider_that_quotes_the_refresh_token_puts_it_into_no_log(
    gateway: Gateway, browser: Browser, provider: HostileProvider, error: str
) -> None:
    provider.refresh_token = "a-recognizable-refresh-token"
    await stale(browser, provider)

    async def quotes(request: web.Request) -> web.Response:
        sent = str((await request.post())["refresh_token"])
        document = {"error": error, "error_description": f"'{sent}' is not active"}
        return web.json_response(document, status=400)

    provider.answers["token"] = quotes
    await dashboard(browser)
    await settled(gateway)

    logged = str(await gateway.logged())
    assert "is not active" in logged
    assert "recognizable" not in logged


async def test_a_forged_id_token_changes_nothing(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    provider.claims["groups"] = ["root"]
    provider.sign = lambda header, claims: signed(
        OTHER_RSA_KEY, header | {"alg": "RS256"}, claims
    )

    await dashboard(browser)
    await settled(gateway)

    assert (await session_of(browser)).identity.roles == ("staff", "admin")


async def test_a_token_of_a_new_key_under_the_name_of_the_old_one_renews_only(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """Ory Hydra names the key of the sign-in at each refresh, and signs with the newest."""
    await stale(browser, provider)
    provider.keys.append(public_jwk(OTHER_RSA_KEY, "two"))
    provider.claims["groups"] = ["staff"]
    provider.sign = lambda header, claims: signed(
        OTHER_RSA_KEY, header | {"alg": "RS256", "kid": "one"}, claims
    )

    await dashboard(browser)
    await settled(gateway)
    other = await Browser(gateway).sign_in(provider)

    assert (await session_of(browser)).identity.roles == ("staff",)
    assert other.status == 502


async def test_a_user_who_may_not_sign_in_any_more_is_signed_out(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    provider.refresh_token = "refresh-0"
    provider.claims["groups"] = ["staff"]
    config = renewing_config(provider, upstream.port, allow={"roles": ["staff"]})
    async with replica(config, tmp_path / "allow", redis) as gateway:
        browser = Browser(gateway)
        await stale(browser, provider)
        provider.claims["groups"] = ["guest"]

        await dashboard(browser)
        await settled(gateway)

        assert await dashboard(browser) == 302
        (audit,) = await audits(gateway, "session not renewed")
        assert audit["gateway.reason"] == "account_not_allowed"


async def test_a_tampered_renewal_ends_the_session_without_a_call(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    other = Browser(gateway)
    await stale(browser, provider)
    provider.refresh_token = "refresh-0"
    await other.sign_in(provider)
    provider.calls.clear()
    client = store_of(gateway)._client
    stolen = await client.get(renewal_key(key_of(other)))
    await client.call("SET", renewal_key(key_of(browser)), stolen or b"")

    await dashboard(browser)
    await settled(gateway)

    assert await dashboard(browser) == 302
    assert "token" not in provider.calls
    assert await dashboard(other) == 200


async def test_an_extended_session_can_be_renewed_as_long_as_it_runs(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    store, key, old = store_of(gateway), key_of(browser), await session_of(browser)
    longer = replace(old, expires_at=old.expires_at + 10 * 86400.0)

    assert await store.replace(key, old, longer)

    record, renewal, id_token = [
        await store._client.call("PTTL", name)
        for name in (record_key(key), renewal_key(key), id_token_key(key))
    ]
    assert record > 10 * 86400_000
    assert renewal == pytest.approx(record, abs=10_000)
    assert id_token == pytest.approx(record, abs=10_000)


async def test_a_process_without_the_key_leaves_the_session_to_others(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    await stale(browser, provider)
    config = renewing_config(provider, upstream.port)
    config["sign_in"]["encryption_keys"] = [{"id": "k2", "key": OTHER_KEY}]
    async with replica(config, tmp_path / "two", redis) as second:
        there = Browser(second, browser.cookies)
        assert await dashboard(there) == 200
        await settled(second)
        assert await dashboard(there) == 200
        assert "token" not in provider.calls


async def test_a_session_that_was_ended_meanwhile_stays_ended(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    reached, released = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        reached.set()
        await released.wait()
        return await provider._token(request)

    provider.answers["token"] = slow
    await dashboard(browser)
    await reached.wait()
    assert await store_of(gateway).end(key_of(browser), 1.0) is not None
    released.set()
    await settled(gateway)

    assert not (await session_of(browser)).active
    assert await raw(gateway, renewal_key(key_of(browser))) is None


# --- what it is for


async def test_roles_tenants_and_traits_change_at_the_next_request(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
) -> None:
    await stale(browser, provider)
    assert (await browser.get("/admin/x")).status == 200
    await settled(gateway)
    await age(browser)
    provider.claims |= {
        "groups": ["staff"],
        "organizations": {"globex": {"name": "Globex", "role": "owner"}},
        "name": "Ada L.",
        "nonce": None,
    }

    assert (await browser.get("/admin/x")).status == 200
    await settled(gateway)

    assert (await browser.get("/admin/x")).status == 403
    assert await dashboard(browser) == 200
    assert upstream.last.one("X-Auth-Role") == "staff"
    session = await session_of(browser)
    assert session.identity.traits["name"] == "Ada L."
    assert list(session.tenants) == ["globex"]
    assert session.active_tenant_id is None
    (audit,) = await audits(gateway, "membership changed")
    assert audit["gateway.roles_removed"] == ["admin"]
    assert audit["gateway.tenants_added"] == ["globex"]
    assert audit["gateway.tenants_removed"] == ["acme"]
    assert "gateway.roles_added" not in audit


async def test_a_stream_ends_when_the_membership_does_not_allow_it_any_more(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
) -> None:
    await stale(browser, provider)

    async def events(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        await writer.drain()
        await over.wait()

    over = asyncio.Event()
    upstream.answer = events
    provider.claims["groups"] = ["staff"]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    cookie = f"gateway_session={browser.session}"
    writer.write(
        f"GET /admin/events HTTP/1.1\r\nHost: gw.test\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    async with asyncio.timeout(PATIENCE):
        assert b"200" in await reader.readuntil(b"abc")
        assert await reader.read() in (b"", b"\r\n")
    over.set()
    writer.close()


async def test_a_session_without_a_request_in_between_is_renewed_by_its_stream(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    provider.calls.clear()
    await age(browser)

    await gateway.app._process.checks.why_ended(key_of(browser))
    await settled(gateway)

    assert provider.calls.count("token") == 1


async def test_a_fresh_membership_is_not_renewed(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    await age(browser, 890)
    provider.calls.clear()

    for _ in range(3):
        assert await dashboard(browser) == 200
    await settled(gateway)

    assert provider.calls == []


async def test_an_answer_without_an_id_token_is_read_from_userinfo(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    provider.token_answer["id_token"] = None
    provider.userinfo = {
        "groups": ["staff"],
        "organizations": [],
        "email": "a@b.example",
    }

    await dashboard(browser)
    await settled(gateway)

    assert (await session_of(browser)).identity.roles == ("staff",)


@pytest.mark.parametrize(
    "userinfo",
    [
        pytest.param(says("{}", 403), id="403"),
        pytest.param(says('{"sub": "s-2", "groups": []}'), id="of-another-user"),
        pytest.param(says("e30.e30.", Content_Type="application/jwt"), id="signed"),
    ],
)
async def test_claims_that_cannot_be_had_take_no_role_away(
    gateway: Gateway, browser: Browser, provider: HostileProvider, userinfo: Any
) -> None:
    await stale(browser, provider)
    provider.token_answer["id_token"] = None
    provider.answers["userinfo"] = userinfo

    await dashboard(browser)
    await settled(gateway)

    assert (await session_of(browser)).identity.roles == ("staff", "admin")


async def test_an_id_that_only_id_tokens_have_is_not_missed_without_one(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    provider.refresh_token = "refresh-0"
    provider.claims["oid"] = "o-1"
    config = renewing_config(provider, upstream.port, identity={"id": "{oid}"})
    async with replica(config, tmp_path / "oid", redis) as gateway:
        browser = Browser(gateway)
        await stale(browser, provider)
        provider.token_answer["id_token"] = None

        await dashboard(browser)
        await settled(gateway)

        assert (await session_of(browser)).active


# --- rotation of refresh tokens


async def test_each_refresh_token_is_used_once(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    for _ in range(3):
        await dashboard(browser)
        await settled(gateway)
        await age(browser)

    assert provider.used == ["refresh-0", "refresh-1", "refresh-2"]
    assert (await session_of(browser)).active


async def test_two_replicas_at_once_use_it_once(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    await stale(browser, provider)
    config = renewing_config(provider, upstream.port)
    async with replica(config, tmp_path / "two", redis) as second:
        there = Browser(second, browser.cookies)
        found = await asyncio.gather(
            *(dashboard(each) for each in (browser, there) for _ in range(20))
        )
        await settled(gateway)
        await settled(second)

    assert set(found) == {200}
    assert provider.used == ["refresh-0"]
    assert (await session_of(browser)).active


async def test_a_refusal_of_a_token_that_another_process_replaced_ends_nothing(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """Its turn was over before the provider answered, so another one was at it."""
    await stale(browser, provider)
    store = store_of(gateway)
    name = renewal_key(key_of(browser))

    async def refuse(_request: web.Request) -> web.Response:
        await store._client.call("SET", name, b"k1:of-another-process")
        return web.json_response({"error": "invalid_grant"}, status=400)

    provider.answers["token"] = refuse
    await dashboard(browser)
    await settled(gateway)

    assert (await session_of(browser)).active


async def test_a_lost_answer_is_requested_again_at_once(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    """A provider that accepts the old token for some seconds loses nobody."""
    await stale(browser, provider)
    calls = 0

    async def lose_the_first(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls > 1:
            return await provider._token(request)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    provider.answers["token"] = lose_the_first
    await dashboard(browser)
    await settled(gateway)

    assert calls == 2
    assert provider.used == ["refresh-0"]
    assert (await session_of(browser)).active
    await age(browser)
    await dashboard(browser)
    await settled(gateway)
    assert provider.used == ["refresh-0", "refresh-1"]


async def test_a_new_token_that_redis_did_not_take_is_not_lost(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The provider does not accept the old one any more: that would be a sign-out."""
    monkeypatch.setattr(renewing, "_CALLS", 0)  # a turn of five seconds
    await stale(browser, provider)
    redis = store_of(gateway)._client

    async def pause_writes(request: web.Request) -> web.StreamResponse:
        del provider.answers["token"]
        await redis.call("CLIENT", "PAUSE", "60000", "WRITE")
        return await provider._token(request)

    provider.answers["token"] = pause_writes
    try:
        await dashboard(browser)
        await settled(gateway)
    finally:
        await redis.call("CLIENT", "UNPAUSE")
    assert provider.used == ["refresh-0"]

    gateway.app.services.renewer._later.clear()  # type: ignore[union-attr]
    await dashboard(browser)
    await settled(gateway)

    assert provider.used == ["refresh-0", "refresh-1"]
    assert (await session_of(browser)).active


async def test_a_provider_without_rotation_keeps_its_token(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await stale(browser, provider)
    provider.token_answer["refresh_token"] = None
    provider.rotates = False

    for _ in range(2):
        await dashboard(browser)
        await settled(gateway)
        await age(browser)

    assert provider.used == ["refresh-0", "refresh-0"]


# --- at rest


async def test_what_is_kept_is_encrypted_bounded_in_time_and_goes_with_the_session(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.refresh_token = "a-recognizable-refresh-token"
    await stale(browser, provider)
    key, client = key_of(browser), store_of(gateway)._client

    kept = await raw(gateway, renewal_key(key))
    assert kept is not None
    assert kept.startswith(b"k1:")
    left = int(await client.call("PTTL", renewal_key(key)))
    assert 0 < left <= 1000 * (30 * 86400 + 86400)
    await dashboard(browser)
    await settled(gateway)
    assert await raw(gateway, renewal_turn_key(key)) is None
    record = json.dumps((await session_of(browser)).extra)
    assert "recognizable" not in record
    assert "a-recognizable" not in str(await gateway.logged())
    await browser.get("/.gateway/logout", method="POST")
    assert await raw(gateway, renewal_key(key)) is None


async def test_a_new_key_encrypts_and_the_old_one_still_opens(
    gateway: Gateway,
    browser: Browser,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    await stale(browser, provider)
    config = renewing_config(provider, upstream.port)
    config["sign_in"]["encryption_keys"] = [
        {"id": "k2", "key": OTHER_KEY},
        {"id": "k1", "key": KEY},
    ]
    async with replica(config, tmp_path / "two", redis) as second:
        await dashboard(Browser(second, browser.cookies))
        await settled(second)

        kept = await raw(second, renewal_key(key_of(browser)))
        assert kept is not None
        assert kept.startswith(b"k2:")
    assert provider.used == ["refresh-0"]


async def test_a_provider_without_a_refresh_token_is_logged_and_signs_in(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    provider.refresh_token = None

    assert (await browser.sign_in(provider)).status == 302

    lines = [one["message"] for one in await gateway.logged() if "message" in one]
    assert "membership not renewed" in lines
    assert "refreshed_at" not in (await session_of(browser)).extra["provider"]
