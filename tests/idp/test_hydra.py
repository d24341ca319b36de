"""A person signs in with Ory Hydra, and an administrator acts."""

import contextlib
from collections.abc import Iterator
from http.client import RemoteDisconnected

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.running import Running
from tests.idp.running import Person, Provider, gateway_for, hydra

PATIENCE = 60_000


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with hydra(tmp_path_factory.mktemp("hydra")) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with gateway_for(
        provider,
        tmp_path_factory.mktemp("gateway"),
        scopes=["openid", "profile", "email", "offline_access"],
        identity={"roles": "{roles}"},
        tenants="{organizations}",
    ) as gateway:
        yield gateway


@pytest.fixture
def page(chromium: Browser, running: Running) -> Iterator[Page]:
    context = chromium.new_context(base_url=running.url)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def type_in(page: Page, *, mfa: bool = False) -> None:
    page.fill("[name=login]", "alice")
    page.fill("[name=password]", "pw")
    if mfa:
        page.check("[name=mfa]")
    page.click("button[value=login]")


def alice(page: Page, running: Running) -> Person:
    page.goto("/dashboard/7")
    type_in(page)
    expect(page.locator("h1")).to_contain_text("alice@example.com")
    return Person(page, running)


def test_a_person_signs_in_with_roles_and_tenants(page: Page, running: Running) -> None:
    person = alice(page, running)

    assert page.url.endswith("/dashboard/7")
    assert person.session.identity.roles == ("staff", "admin")
    assert set(person.session.tenants) == {"acme", "globex"}


def test_a_second_factor_raises_the_level(page: Page, running: Running) -> None:
    person = alice(page, running)
    assert person.session.aal == "aal1"

    page.goto("/.gateway/sign-in/acme?reason=aal_too_low&return_to=/dashboard")
    type_in(page, mfa=True)

    expect(page.locator("h1")).to_contain_text("alice@example.com")
    assert person.session.aal == "aal2"


def test_a_renewal_uses_each_refresh_token_once_and_follows_the_keys(
    page: Page, running: Running, provider: Provider
) -> None:
    person = alice(page, running)
    person.renew()
    keys = {"alg": "RS256", "use": "sig"}
    # A key of 4096 bits may take longer to draw than its administration waits.
    with contextlib.suppress(RemoteDisconnected):
        provider.call("POST", "/admin/keys/hydra.openid.id-token", keys)

    for _ in range(2):
        before = person.session.extra["provider"]["refreshed_at"]
        person.renew()
        assert person.session.extra["provider"]["refreshed_at"] >= before
    assert person.session.active


def test_an_administrator_ends_one_session_by_back_channel_logout(
    page: Page, running: Running, provider: Provider
) -> None:
    person = alice(page, running)
    sid = person.session.extra["provider"]["session_id"]

    provider.call("DELETE", f"/admin/oauth2/auth/sessions/login?sid={sid}")

    person.wait_until_ended()
    page.goto("/dashboard")
    assert "reason=session_revoked" in page.url


def test_a_grant_that_is_withdrawn_ends_the_session_at_the_next_renewal(
    page: Page, running: Running, provider: Provider
) -> None:
    person = alice(page, running)
    consent = "/admin/oauth2/auth/sessions/consent?subject=alice&all=true"
    provider.call("DELETE", consent)

    person.renew()

    assert not person.session.active


def test_a_provider_that_is_gone_breaks_no_session(
    page: Page, running: Running, provider: Provider
) -> None:
    person = alice(page, running)
    provider.kill()

    person.renew()

    assert person.session.active
    page.goto("/dashboard")
    expect(page.locator("h1")).to_contain_text("alice@example.com")
