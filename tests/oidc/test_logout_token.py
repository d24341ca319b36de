"""Back-channel logout: a provider ends sessions, and nothing else does."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oidc.failure import SignInFailed
from gateway.oidc.logout_token import verify_logout_token
from tests.oidc.hostile import (
    OTHER_RSA_KEY,
    RSA_KEY,
    HostileProvider,
    provider_config,
    signed,
    unsigned,
)
from tests.oidc.test_id_token import KEYS
from tests.oidc.walking import Browser, signing_config
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Gateway,
    RecordingUpstream,
    Reply,
    ask,
    running_gateway,
)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
PLACE = "/.gateway/sign-in/acme/backchannel-logout"
NOW = int(time.time())


def logout_token(
    issuer: str, key: Any = RSA_KEY, header: Any = None, **changes: Any
) -> str:
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": "gateway",
        "sub": "s-1",
        "sid": "sid-1",
        "iat": now,
        "exp": now + 120,
        "jti": uuid.uuid4().hex,
        "events": {EVENT: {}},
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return signed(key, {"alg": "RS256", "kid": "one"} | (header or {}), claims)


async def send(gateway: Gateway, token: str, **headers: str) -> Reply:
    sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    body = urlencode({"logout_token": token}).encode()
    return await ask(gateway.port, "POST", PLACE, sent, body)


async def test_a_provider_ends_a_session_by_its_id(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    other = Browser(gateway)
    provider.claims["sid"] = "sid-2"
    await other.sign_in(provider)

    reply = await send(gateway, logout_token(provider.issuer))

    assert (reply.status, reply.body) == (200, b"")
    assert reply.present("Cache-Control") == "no-store"
    assert await browser.whoami() is None
    assert await other.whoami() is not None
    audits = [
        line
        for line in await gateway.logged()
        if line.get("message") == "signed out by the provider"
    ]
    assert [(one["gateway.count"], one["user.target.id"]) for one in audits] == [
        (1, "s-1")
    ]


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "JWT"}, {}])
async def test_a_provider_ends_every_session_of_a_subject(
    gateway: Gateway, provider: HostileProvider, header: dict[str, str]
) -> None:
    browsers = [Browser(gateway) for _ in range(3)]
    for number, browser in enumerate(browsers):
        provider.claims["sid"] = f"sid-{number}"
        await browser.sign_in(provider)

    token = logout_token(provider.issuer, header=header, sid=None)
    assert (await send(gateway, token)).status == 200

    assert [await browser.whoami() for browser in browsers] == [None] * 3


FORGED: list[Any] = [
    ({"key": OTHER_RSA_KEY}, "another key"),
    ({"header": {"typ": "at+jwt"}}, "an access token"),
    ({"header": {"crit": ["x"]}}, "a critical parameter"),
    ({"iss": "https://evil.example"}, "another issuer"),
    ({"iss": None}, "no issuer"),
    ({"aud": "another"}, "another client"),
    ({"aud": None}, "no audience"),
    ({"iat": None}, "no time"),
    ({"iat": NOW - 400, "exp": None}, "an old one"),
    ({"iat": NOW + 600}, "one of the future"),
    ({"exp": NOW - 61}, "one that has expired"),
    ({"jti": None}, "no jti"),
    ({"jti": 7}, "a jti that is a number"),
    ({"sub": None, "sid": None}, "neither a subject nor a session id"),
    ({"sub": None, "sid": ""}, "an empty session id"),
    ({"sid": "a" * 256}, "a session id of 256 characters"),
    ({"sub": ["s-1"]}, "a subject that is a list"),
    ({"sid": 7}, "a session id that is a number"),
    ({"nonce": "n"}, "a nonce"),
    ({"events": None}, "no event"),
    ({"events": {}}, "an empty list of events"),
    ({"events": {"http://schemas.openid.net/event/other": {}}}, "another event"),
    ({"events": {EVENT: "now"}}, "an event that is a text"),
    ({"events": [EVENT]}, "a list of events"),
]


async def test_nothing_else_ends_a_session(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    tokens = {
        name: logout_token(provider.issuer, **changes) for changes, name in FORGED
    }
    claims = {"iss": provider.issuer, "aud": "gateway", "sub": "s-1", "iat": NOW}
    claims |= {"jti": "j", "events": {EVENT: {}}}
    tokens["none"] = unsigned({"alg": "none"}, claims)
    tokens["an ID token"] = provider.id_token()
    tokens |= {"empty": "", "letters": "a.b.c", "long": "a" * 15_000}

    for name, token in tokens.items():
        reply = await send(gateway, token)
        assert reply.status == 400, name
        assert reply.json()["reason"] == "logout_token_invalid"
        assert reply.present("Cache-Control") == "no-store"
    assert await browser.whoami() is not None
    assert not [
        x for x in await gateway.logged() if x.get("message") == "unexpected error"
    ]


async def test_a_token_that_is_sent_again_ends_nothing(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    token = logout_token(provider.issuer)
    assert (await send(gateway, token)).status == 200  # nothing to end is no error
    provider.claims["iat"] = int(time.time()) + 2  # a later sign-in
    await signs_in_again(browser, provider)

    assert (await send(gateway, token)).status == 400
    assert await browser.whoami() is not None


async def signs_in_again(browser: Browser, provider: HostileProvider) -> None:
    """Sign in until an attempt begins in a later second than the logout came."""
    before = browser.session
    async with asyncio.timeout(PATIENCE):
        while (await browser.sign_in(provider)).status != 302:
            assert browser.session == before


async def test_other_bodies_methods_and_providers(gateway: Gateway) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"", b"logout_token=a&logout_token=b", b"\xff", b"{}"):
        assert (await ask(gateway.port, "POST", PLACE, form, body)).status == 400
    assert (await ask(gateway.port, "GET", PLACE)).status == 405
    other = PLACE.replace("acme", "other")
    assert (await ask(gateway.port, "POST", other, form, b"a=b")).status == 404


async def test_an_identity_of_other_claims_is_found_by_its_subject(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    settings = provider_config(provider.issuer, identity={"id": "{email}"})
    config = signing_config(upstream.port, acme=settings)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)

        reply = await send(gateway, logout_token(provider.issuer))

        assert reply.status == 200
        assert await browser.whoami() is None


async def test_a_session_id_alone_ends_one_session(
    gateway: Gateway, browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    provider.claims |= {"sid": "sid-2", "sub": "s-2"}
    other = Browser(gateway)
    await other.sign_in(provider)

    token = logout_token(provider.issuer, sub=None, sid="sid-2")
    assert (await send(gateway, token)).status == 200

    assert await other.whoami() is None
    assert await browser.whoami() is not None


@given(st.binary(max_size=200))
def test_any_signed_payload_is_refused(payload: bytes) -> None:
    token = signed(RSA_KEY, {"alg": "RS256", "kid": "one"}, payload)

    with pytest.raises(SignInFailed):
        verify_logout_token(
            token,
            KEYS,
            issuer="https://id.example",
            client_id="gateway",
            algorithms=frozenset({"RS256"}),
            now=NOW,
        )
