"""A provider begins a sign-in (OpenID Connect Core 1.0, section 4); and what is sent to it."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.oidc.attempt import new_attempt
from gateway.oidc.authorization import authorization_parameters
from tests.oidc.hostile import HostileProvider, provider_config
from tests.oidc.settings import provider_settings_of
from tests.oidc.walking import CALLBACK, Browser, is_page, signing_config
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Reply,
    running_gateway,
)

INITIATE = "/.gateway/sign-in/acme/initiate"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream,
    provider: HostileProvider,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    acme = provider_config(provider.issuer, initiate_login=True)
    config = signing_config(upstream.port, acme=acme)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


def asked(reply: Reply) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(reply.present("Location")).query))


async def initiated(
    browser: Browser, provider: HostileProvider, **changes: str
) -> Reply:
    given = {"iss": provider.issuer} | changes
    query = urlencode({n: v for n, v in given.items() if v})
    return await browser.get(f"{INITIATE}?{query}")


async def test_it_leads_to_the_provider_and_back_to_the_target(
    browser: Browser, provider: HostileProvider
) -> None:
    reply = await initiated(
        browser,
        provider,
        target_link_uri="http://gw.test/dashboard/9",
        login_hint="ada",
    )

    assert reply.status == 302
    assert asked(reply)["login_hint"] == "ada"
    assert "prompt" not in asked(reply)
    back = await browser.get(
        f"{CALLBACK}?{provider.approve(reply.present('Location'))}"
    )
    assert back.present("Location") == "http://gw.test/dashboard/9"
    assert await browser.whoami() is not None


async def test_it_may_be_a_form(browser: Browser, provider: HostileProvider) -> None:
    body = urlencode({"iss": provider.issuer, "target_link_uri": "/dashboard/9"})
    headers = BROWSER | FORM | {"Sec-Fetch-Site": "cross-site"}
    reply = await browser.get(INITIATE, headers, "POST", body.encode())

    assert reply.status == 303
    back = await browser.get(
        f"{CALLBACK}?{provider.approve(reply.present('Location'))}"
    )
    assert back.present("Location") == "/dashboard/9"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http://gw.test@evil.example/",
        "http://gw.test.evil.example/",
    ],
)
async def test_a_target_elsewhere_is_home(
    browser: Browser, provider: HostileProvider, target: str
) -> None:
    reply = await initiated(browser, provider, target_link_uri=target)
    back = await browser.get(
        f"{CALLBACK}?{provider.approve(reply.present('Location'))}"
    )

    assert back.present("Location") == "/dashboard"


async def test_another_issuer_begins_nothing(
    browser: Browser, provider: HostileProvider
) -> None:
    for issuer in ("", "https://evil.example", provider.issuer + "/"):
        assert is_page(await initiated(browser, provider, iss=issuer), 400)
    twice = f"{INITIATE}?iss={provider.issuer}&iss={provider.issuer}"
    assert is_page(await browser.get(twice), 400)
    assert browser.attempts == []
    assert provider.calls == []


async def test_a_script_begins_nothing(
    browser: Browser, provider: HostileProvider
) -> None:
    headers = {"Sec-Fetch-Mode": "no-cors", "Accept": "*/*"}
    reply = await browser.get(f"{INITIATE}?iss={provider.issuer}", headers)

    assert reply.status == 400
    assert not reply.all("Set-Cookie")


@pytest.mark.parametrize("hint", ["a" * 256, "a\nb"])
async def test_a_hint_that_is_none_is_left_out(
    browser: Browser, provider: HostileProvider, hint: str
) -> None:
    reply = await initiated(browser, provider, login_hint=hint)

    assert "login_hint" not in asked(reply)


async def test_it_is_off_unless_it_is_configured(
    upstream: RecordingUpstream,
    provider: HostileProvider,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        browser = Browser(gateway)
        assert (await initiated(browser, provider)).status == 404
        other = await browser.get("/.gateway/sign-in/other/initiate")
        assert other.status == 404


def test_configured_parameters_are_sent_and_replace_none_of_the_gateways() -> None:
    """The check refuses those; here is what would become of one that slipped through."""
    more = {"access_type": "offline", "state": "x", "redirect_uri": "https://evil"}
    settings = provider_settings_of(parameters=more)
    attempt = new_attempt("acme", bytes(32), 0.0, return_to="")

    sent = authorization_parameters(settings, attempt)

    assert sent["access_type"] == "offline"
    assert sent["state"] == attempt.state
    assert sent["redirect_uri"] == settings.redirect_uri


@pytest.mark.parametrize(
    ("step", "wanted", "prompt"),
    [
        ("none", None, "consent"),
        ("none", "select_account", "consent select_account"),
        ("none", "none", "none"),
        ("fresh", None, "consent login"),
    ],
)
def test_a_configured_prompt_is_joined_with_that_of_a_step(
    step: str, wanted: str | None, prompt: str
) -> None:
    settings = provider_settings_of(parameters={"prompt": "consent"})
    attempt = new_attempt("acme", bytes(32), 0.0, step=step, return_to="")  # type: ignore[arg-type]

    assert (
        authorization_parameters(settings, attempt, prompt=wanted)["prompt"] == prompt
    )
