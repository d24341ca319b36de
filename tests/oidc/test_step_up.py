"""Step-up with a provider that confirms less than a page needs: one page, no circle."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.oidc.hostile import HostileProvider, provider_config
from tests.oidc.walking import CALLBACK, Browser, signing_config
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, Reply, running_gateway

LEVELS = {"aal2": ["urn:otp", "urn:push"], "aal3": "urn:key"}


def protected(path: str, **require: Any) -> dict[str, Any]:
    match: Any = path
    if "://" in path:
        host, _, rest = path.partition("://")
        match = {"host": host, "path": rest}
    return {"match": match, "rule": "protected", "require": require, "upstream": "web"}


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream,
    provider: HostileProvider,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    settings = provider_config(provider.issuer, aal=LEVELS)
    config = signing_config(upstream.port, acme=settings)
    config["sessions"] = {"cookie": {"domain": "gw.test"}}
    config["routes"] += [
        protected("/otp/**", aal="aal2"),
        protected("/key/**", aal="aal3"),
        protected("/now/**", authenticated_within="30s"),
        protected("/both/**", aal="aal2", authenticated_within="30s"),
        protected("wiki.gw.test:///key/**", aal="aal3"),
    ]
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


def is_final(reply: Reply) -> bool:
    """A page that says so, and goes nowhere by itself."""
    return (
        reply.status == 403
        and b"did not confirm" in reply.body
        and not reply.all("Location")
        and b"http-equiv" not in reply.body
    )


async def step_up(browser: Browser, provider: HostileProvider, page: str) -> Reply:
    """Follow the redirects of one page to the provider and back."""
    challenge = (await browser.get(page)).present("Location")
    return await browser.sign_in(provider, challenge)


WEAK: list[Any] = [
    ("/key/1", {"acr": "urn:otp"}, "aal_too_low"),
    ("/key/1", {"acr": None}, "aal_too_low"),
    ("/otp/1", {"acr": "urn:pwd"}, "aal_too_low"),
    ("/now/1", {"auth_time": -45}, "step_up"),
    ("/now/1", {"auth_time": None}, "step_up"),
    # Both are missing; the page names the first.
    ("/both/1", {"auth_time": -45, "acr": "urn:otp"}, "aal_too_low"),
]


@pytest.mark.parametrize(("page", "claims", "again"), WEAK)
async def test_an_answer_that_the_page_would_not_accept_is_a_page(
    browser: Browser,
    provider: HostileProvider,
    page: str,
    claims: dict[str, Any],
    again: str,
) -> None:
    provider.claims["auth_time"] = int(time.time()) - 900
    await browser.sign_in(provider)
    before = browser.session
    claims = dict(claims)
    if isinstance(claims.get("auth_time"), int):
        claims["auth_time"] += int(time.time())
    elif "auth_time" not in claims:
        claims["auth_time"] = int(time.time())
    provider.claims |= claims

    reply = await step_up(browser, provider, page)

    assert is_final(reply)
    assert browser.session == before
    assert browser.attempts == []
    # Its link begins the same step again, and not another one.
    assert f"/acme?return_to={page}&amp;reason={again}" in reply.body.decode()


async def test_the_retry_of_a_fresh_sign_in_asks_for_no_second_factor(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    link = "/.gateway/sign-in/acme?return_to=/now/1&reason=step_up"
    provider.claims["auth_time"] = None
    failed = await browser.sign_in(provider, link)
    assert link.replace("&", "&amp;") in failed.body.decode()

    location = await browser.begin(link)

    assert "max_age=0" in location
    assert "acr_values" not in location


@pytest.mark.parametrize(
    ("page", "values"),
    [
        ("/otp/1", "urn:otp urn:push urn:key"),
        ("/key/1", "urn:key"),
        ("http://wiki.gw.test/key/1", "urn:key"),
        ("/now/1", None),
        ("/.gateway/account", None),
    ],
)
async def test_only_values_that_are_strong_enough_are_asked_for(
    browser: Browser, page: str, values: str | None
) -> None:
    reason = "step_up" if values is None else "aal_too_low"

    location = await browser.begin(
        f"/.gateway/sign-in/acme?return_to={page}&reason={reason}"
    )

    requested = dict(parse_qsl(urlsplit(location).query))
    assert requested.get("acr_values") == values


async def test_a_weak_answer_for_a_page_of_another_host_is_a_page(
    browser: Browser, provider: HostileProvider
) -> None:
    provider.claims["acr"] = "urn:otp"
    page = "http://wiki.gw.test/key/1"
    link = f"/.gateway/sign-in/acme?return_to={page}&reason=aal_too_low"

    assert is_final(await browser.sign_in(provider, link))


async def test_a_strong_answer_leads_to_the_page(
    browser: Browser, provider: HostileProvider
) -> None:
    await browser.sign_in(provider)
    provider.claims["acr"] = "urn:key"

    reply = await step_up(browser, provider, "/key/1")

    assert reply.present("Location") == "/key/1"
    assert (await browser.get("/key/1")).status == 200


async def test_a_level_that_no_value_stands_for_is_not_asked_for(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    provider: HostileProvider,
) -> None:
    settings = provider_config(provider.issuer, aal={"aal2": "urn:otp"})
    config = signing_config(upstream.port, acme=settings)
    config["routes"].append(protected("/key/**", aal="aal3"))
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        await browser.sign_in(provider)

        challenge = (await browser.get("/key/1")).present("Location")
        reply = await browser.get(challenge)

        assert is_final(reply)
        assert browser.attempts == []
        assert await browser.whoami() is not None


async def test_a_step_up_at_a_provider_that_is_silent_is_tried_again_as_one(
    browser: Browser, provider: HostileProvider
) -> None:
    link = "/.gateway/sign-in/acme?return_to=/otp/1&reason=aal_too_low"
    query = provider.approve(await browser.begin(link), code="-", error="server_error")

    reply = await browser.get(f"{CALLBACK}?{query}")

    assert reply.status == 503
    assert link.replace("&", "&amp;") in reply.body.decode()
