"""Sign-in with npm's `oidc-provider`: the whole protocol as a certified provider speaks it."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.npm import unpinned
from tests.oidc.hostile import provider_config
from tests.oidc.real import PACKAGES, SECRET, RealProvider, Visitor
from tests.oidc.walking import Browser, signing_config
from tests.servers import PATIENCE, Server
from tests.walk.harness import BROWSER, Gateway, RecordingUpstream, running_gateway

pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.walk]


def acme(real: RealProvider, **changes: Any) -> dict[str, Any]:
    settings = {
        "client_secret": SECRET,
        "scopes": ["openid", "profile", "email", "groups", "organizations"],
        "identity": {"roles": "{roles}"},
        "tenants": "{organizations}",
        "aal": {"aal2": "urn:example:mfa"},
    }
    return provider_config(real.issuer, **(settings | changes))


def config_of(real: RealProvider, port: int, **changes: Any) -> dict[str, Any]:
    config = signing_config(port, acme=acme(real, **changes))
    config["server"] |= {
        "listen": real.gateway.removeprefix("http://"),
        "public_url": real.gateway,
    }
    config["routes"] += [
        {
            "match": "/money/**",
            "rule": "protected",
            "require": {"authenticated_within": "5m"},
            "upstream": "web",
        },
        {
            "match": "/keys/**",
            "rule": "protected",
            "require": {"aal": "aal2"},
            "upstream": "web",
        },
    ]
    return config


@pytest.fixture
async def gateway(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = config_of(real, upstream.port)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


@pytest.fixture
def visitor(gateway: Gateway, real: RealProvider) -> Visitor:
    return Visitor(real, Browser(gateway))


async def test_a_user_signs_in_with_roles_and_tenants(
    visitor: Visitor, upstream: RecordingUpstream
) -> None:
    reply = await visitor.sign_in("/.gateway/sign-in?return_to=/dashboard/1")

    assert reply.present("Location") == "/dashboard/1"
    whoami = await visitor.browser.whoami()
    assert whoami is not None
    assert whoami["identity"]["id"] == "alice"
    assert whoami["identity"]["traits"]["email"] == "alice@example.com"
    await visitor.browser.get("/admin/users")
    assert upstream.last.one("X-Auth-Email") == "alice@example.com"
    found = await visitor.browser.get("/.gateway/account")
    assert b"acme" in found.body
    assert b"globex" in found.body


async def test_a_large_token_without_an_email_is_fine(visitor: Visitor) -> None:
    assert (await visitor.sign_in(login="carol")).status == 302
    whoami = await visitor.browser.whoami()
    assert whoami is not None
    assert "email" not in whoami["identity"]["traits"]


async def test_a_user_who_cancels_gets_a_page(visitor: Visitor) -> None:
    reply = await visitor.sign_in(do="cancel")

    assert reply.status == 403
    assert b"canceled" in reply.body
    assert b"<b>no" not in reply.body


async def test_a_fresh_sign_in_and_a_second_factor(visitor: Visitor) -> None:
    await visitor.sign_in()
    browser = visitor.browser

    challenged = (await browser.get("/keys/1")).present("Location")
    reply = await visitor.sign_in(challenged, mfa="1")

    assert reply.present("Location") == "/keys/1"
    assert (await browser.get("/keys/1")).status == 200
    # A second form: a session at the provider was not enough.
    assert len(visitor.pages) == 2


async def test_a_provider_changes_its_keys(
    visitor: Visitor, gateway: Gateway, real: RealProvider
) -> None:
    await visitor.sign_in()
    await real.control("rotate")
    assert (await Visitor(real, Browser(gateway)).sign_in()).status == 302
    await real.control("rotate?drop=1")
    assert (await Visitor(real, Browser(gateway)).sign_in()).status == 302


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "gateway-post", "client_authentication": "post"},
        {"client_id": "gateway-public", "client_secret": None},
        {"client_id": "gateway-es256"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
async def test_every_kind_of_client(
    real: RealProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    changes: dict[str, Any],
) -> None:
    config = config_of(real, upstream.port, **changes)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Visitor(real, Browser(gateway)).sign_in()

    assert reply.status == 302


async def test_a_wrong_secret_is_a_page(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_of(
        real, upstream.port, client_secret="wrong", pushed_requests=False
    )
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Visitor(real, Browser(gateway)).sign_in()

        assert reply.status == 502
        lines = await gateway.logged()
        assert any("invalid_client" in str(line.get("error")) for line in lines)


async def test_a_user_who_is_not_allowed_gets_a_page(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_of(real, upstream.port, allow={"email_domains": ["example.com"]})
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await Visitor(real, Browser(gateway)).sign_in(login="bob")

    assert reply.status == 403
    assert b"not verified" in reply.body
    assert b"bob@example.com" in reply.body


async def test_a_sign_out_at_the_provider_ends_the_session_here(
    visitor: Visitor, gateway: Gateway
) -> None:
    """Back-channel logout, as the provider sends it."""
    await visitor.sign_in()
    assert await visitor.browser.whoami() is not None

    page = await visitor.go("GET", "/session/end")
    xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.body.decode())
    assert xsrf is not None
    body = urlencode({"xsrf": xsrf[1], "logout": "yes"}).encode()
    await visitor.go("POST", "/session/end/confirm", body)

    async with asyncio.timeout(PATIENCE):
        while await visitor.browser.whoami() is not None:
            await asyncio.sleep(0.01)
    lines = await gateway.logged()
    assert any(x.get("message") == "signed out by the provider" for x in lines)


async def test_a_sign_out_here_goes_by_the_provider_and_back(
    visitor: Visitor, real: RealProvider
) -> None:
    """RP-initiated logout: the provider accepts the hint, and returns the state."""
    await visitor.sign_in()
    browser = visitor.browser
    form = BROWSER | {"Content-Type": "application/x-www-form-urlencoded"}
    page = await browser.get("/.gateway/logout", form, "POST", b"return_to=/static/b")
    found = re.search(r'content="0;url=([^"]*)"', page.body.decode())
    assert found is not None
    away = unescape(found[1])
    assert "id_token_hint=" in away

    page = await visitor.go("GET", away.removeprefix(real.issuer))
    xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.body.decode())
    assert xsrf is not None, page.body
    body = urlencode({"xsrf": xsrf[1], "logout": "yes"}).encode()
    reply = await visitor.go("POST", "/session/end/confirm", body)
    location = reply.present("Location")
    assert location.startswith(f"{real.gateway}/.gateway/signed-out?state=")
    back = await browser.get(location.removeprefix(real.gateway))

    assert back.present("Location") == "/static/b"
    assert await browser.whoami() is None


def test_the_packages_are_pinned_by_checksum() -> None:
    assert unpinned(PACKAGES) == []
