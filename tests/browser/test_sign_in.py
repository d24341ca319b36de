"""A person signs in at npm's `oidc-provider`, through the real pages, without script."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.running import Running, serving
from tests.npm import node_modules
from tests.oidc.hostile import provider_config
from tests.oidc.real import PACKAGES, SECRET, RealProvider, real_provider
from tests.servers import PATIENCE, valkey_server
from tests.walk.harness import Seen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "node", "npm"),
]


async def greets(seen: Seen, writer: asyncio.StreamWriter) -> None:
    who = seen.one("X-Auth-Email") or "stranger"
    body = f"<!doctype html><title>app</title><h1>Hello {who}</h1>".encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    await writer.drain()


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[RealProvider]:
    packages = node_modules(PACKAGES, pytestconfig.cache.mkdir("npm"))
    with real_provider(tmp_path_factory.mktemp("idp"), packages) as running:
        yield running


@pytest.fixture(scope="module")
def site(
    real: RealProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    def change(config: dict[str, Any]) -> None:
        config["server"] |= {
            "listen": real.gateway.removeprefix("http://"),
            "public_url": real.gateway,
        }
        scopes = ["openid", "profile", "email", "groups", "organizations"]
        config["sign_in"] = {
            "home": "/dashboard",
            "providers": {
                "acme": provider_config(
                    real.issuer,
                    title="Acme",
                    client_secret=SECRET,
                    scopes=scopes,
                    allow={"email_domains": ["example.com"]},
                    aal={"aal2": "urn:example:mfa"},
                    identity={"id": "acme-{provider}-{sub}", "roles": "{roles}"},
                    tenants="{organizations}",
                ),
                "down": provider_config(
                    "http://127.0.0.1:9",
                    title="Globex, with a long name that has to be broken somewhere",
                    identity={"id": "{provider}-{sub}"},
                ),
            },
        }
        config["routes"].append(
            {
                "match": "/keys/**",
                "rule": "protected",
                "require": {"aal": "aal2"},
                "upstream": "web",
            }
        )

    folder = tmp_path_factory.mktemp("gateway")
    with (
        valkey_server(tmp_path_factory.mktemp("valkey")) as redis,
        serving(greets, folder, redis.url, change) as running,
    ):
        yield running


@pytest.fixture
def page(chromium: Browser, site: Running) -> Iterator[Page]:
    context = chromium.new_context(base_url=site.url, java_script_enabled=False)
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def photograph(page: Page, name: str) -> None:
    """Keep pictures of a page: light, dark and narrow; only if a folder is named."""
    folder = os.environ.get("SCREENSHOTS")
    if folder is None:
        return
    for form, width, scheme in (
        ("light", 900, "light"),
        ("dark", 900, "dark"),
        ("phone", 360, "light"),
    ):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 640})
        page.screenshot(path=Path(folder) / f"{name}-{form}.png")


def type_in(page: Page, login: str, *, mfa: bool = False) -> None:
    page.fill("[name=login]", login)
    page.fill("[name=password]", "pw")
    if mfa:
        page.check("[name=mfa]")
    page.click("button[value=login]")


def test_a_person_signs_in_and_is_back_where_they_were(page: Page) -> None:
    page.goto("/dashboard/7?a=b")
    expect(page.get_by_role("heading")).to_have_text("Sign in")
    photograph(page, "sign-in")

    page.get_by_role("link", name="Continue with Acme").click()
    type_in(page, "alice")

    expect(page.get_by_role("heading")).to_have_text("Hello alice@example.com")
    assert page.url.endswith("/dashboard/7?a=b")
    page.goto("/.gateway/account")
    expect(page.get_by_text("globex")).to_be_visible()
    names = [each["name"] for each in page.context.cookies()]
    assert not [name for name in names if "attempt" in name]


def test_a_person_who_may_not_sign_in_sees_with_which_account(page: Page) -> None:
    page.goto("/.gateway/sign-in/acme")
    type_in(page, "bob")

    expect(page.get_by_role("heading")).to_have_text("You may not sign in here")
    expect(page.get_by_text("bob@example.com")).to_be_visible()
    photograph(page, "not-allowed")
    page.get_by_role("link", name="Use another account").click()
    page.get_by_role("button", name="Yes").click()  # the provider asks
    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    page.goto("/.gateway/sign-in/acme")
    expect(page.locator("[name=login]")).to_be_visible()


def test_a_person_who_signs_out_is_signed_out_everywhere(page: Page) -> None:
    page.goto("/.gateway/sign-in/acme")
    type_in(page, "alice")
    page.goto("/.gateway/account")
    page.get_by_role("button", name="Sign out").first.click()
    page.get_by_role("button", name="Yes").click()

    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    photograph(page, "signed-out")
    page.goto("/.gateway/sign-in/acme")
    expect(page.locator("[name=login]")).to_be_visible()


def test_a_provider_that_is_down_is_a_page(page: Page) -> None:
    page.goto("/.gateway/sign-in/down?return_to=/dashboard")

    expect(page.get_by_role("heading")).to_contain_text("answering")
    photograph(page, "provider-down")


def test_an_old_answer_is_a_page_with_a_way_on(page: Page) -> None:
    page.goto("/.gateway/sign-in/acme/callback?code=a&state=b")

    expect(page.get_by_role("heading")).to_have_text("This sign-in is too old")
    photograph(page, "too-old")
    page.get_by_role("link", name="Sign in").click()
    type_in(page, "alice")
    expect(page.get_by_role("heading")).to_have_text("Hello alice@example.com")


def test_a_second_factor_is_asked_for_where_a_route_needs_one(page: Page) -> None:
    page.goto("/.gateway/sign-in/acme?return_to=/dashboard")
    type_in(page, "alice")
    page.goto("/keys/1")
    page.get_by_role("link", name="Continue with Acme").click()
    type_in(page, "alice", mfa=True)

    expect(page.get_by_role("heading")).to_have_text("Hello alice@example.com")
    assert page.url.endswith("/keys/1")
