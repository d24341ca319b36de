"""A person signs in with Keycloak, through its own pages, and an administrator acts."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.running import Running
from tests.idp.running import SECRET, Person, Provider, gateway_for, keycloak

PATIENCE = 60_000


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with keycloak(tmp_path_factory.mktemp("keycloak")) as running:
        yield running


@pytest.fixture(scope="module")
def running(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with gateway_for(
        provider,
        tmp_path_factory.mktemp("gateway"),
        scopes=["openid", "profile", "email", "organization:*"],
        identity={"roles": "{roles}", "traits": {"email": "{email}"}},
        tenants="{organization}",
        accept={"audience": "api"},
    ) as gateway:
        yield gateway


@pytest.fixture
def page(chromium: Browser, running: Running) -> Iterator[Page]:
    context = chromium.new_context(base_url=running.url)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def admin(provider: Provider) -> Provider:
    """The provider with a fresh token of its administrator."""
    provider.token = ""
    answer = provider.call(
        "POST",
        "/realms/master/protocol/openid-connect/token",
        grant_type="password",
        client_id="admin-cli",
        username="admin",
        password="admin",
    )
    provider.token = answer["access_token"]
    return provider


def user_id(admin: Provider, name: str) -> str:
    (user,) = admin.call("GET", f"/admin/realms/acme/users?username={name}&exact=true")
    found: str = user["id"]
    return found


def type_in(page: Page, name: str | None) -> None:
    if name is not None:
        page.fill("#username", name)
        if not page.locator("#password").is_visible():
            page.click("#kc-login")  # with organizations the name comes first
    page.fill("#password", "pw")
    page.click("#kc-login")


def alice(page: Page, running: Running) -> Person:
    page.goto("/dashboard/7")
    type_in(page, "alice")
    expect(page.locator("h1")).to_contain_text("alice@example.com")
    return Person(page, running)


def test_a_person_signs_in_with_roles_and_organizations(
    page: Page, running: Running
) -> None:
    person = alice(page, running)

    assert page.url.endswith("/dashboard/7")
    assert {"staff", "admin"} <= set(person.session.identity.roles)
    assert set(person.session.tenants) == {"acme", "globex"}


def test_a_step_up_is_a_new_sign_in_and_a_missing_factor_is_a_page(
    page: Page, running: Running
) -> None:
    person = alice(page, running)
    before = person.session

    page.goto("/.gateway/sign-in/acme?reason=step_up&return_to=/dashboard")
    type_in(page, None)  # the user name is fixed there
    expect(page.locator("h1")).to_contain_text("alice@example.com")
    assert person.session.id != before.id
    assert person.session.authenticated_at >= before.authenticated_at

    page.goto("/.gateway/sign-in/acme?reason=aal_too_low&return_to=/dashboard")
    type_in(page, None)
    # It answers without an error, and with the lower level.
    expect(page.locator("h1")).not_to_contain_text("alice@example.com")
    assert person.session.aal == "aal1"
    page.goto("/dashboard")
    expect(page.locator("h1")).to_contain_text("alice@example.com")


def test_a_role_that_is_taken_away_is_gone_after_a_renewal(
    page: Page, running: Running, admin: Provider
) -> None:
    person, user = alice(page, running), user_id(admin, "alice")
    role = admin.call("GET", "/admin/realms/acme/roles/admin")
    place = f"/admin/realms/acme/users/{user}/role-mappings/realm"
    admin.call("DELETE", place, [role])
    try:
        person.renew()
        assert "admin" not in person.session.identity.roles
        assert "staff" in person.session.identity.roles
    finally:
        admin.call("POST", place, [role])
    person.renew()
    assert "admin" in person.session.identity.roles


def test_a_renewal_follows_a_rotation_of_the_keys(
    page: Page, running: Running, admin: Provider
) -> None:
    person = alice(page, running)
    before = person.session
    realm = admin.call("GET", "/admin/realms/acme")["id"]
    admin.call(
        "POST",
        "/admin/realms/acme/components",
        {
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm,
            "config": {"priority": ["200"]},
        },
    )

    person.renew()

    facts = person.session.extra["provider"]
    assert facts["refreshed_at"] >= before.extra["provider"]["refreshed_at"]
    assert person.session.active


def test_an_administrator_ends_the_session_by_back_channel_logout(
    page: Page, running: Running, admin: Provider
) -> None:
    person = alice(page, running)

    admin.call("POST", f"/admin/realms/acme/users/{user_id(admin, 'alice')}/logout")

    person.wait_until_ended()
    page.goto("/dashboard")
    # Not there at once: the sign-in was seconds ago, and this could be a loop.
    assert "reason=session_revoked" in page.url


def register_job(admin: Provider) -> None:
    """Register a program whose tokens, of every kind, are for the API."""
    audience = {
        "name": "for the API",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {
            "included.custom.audience": "api",
            "access.token.claim": "true",
            "id.token.claim": "true",
        },
    }
    client = {
        "clientId": "job",
        "secret": SECRET,
        "publicClient": False,
        "standardFlowEnabled": False,
        "serviceAccountsEnabled": True,
        "directAccessGrantsEnabled": True,
        "protocolMappers": [audience],
    }
    admin.call("POST", "/admin/realms/acme/clients", client)


def issued(admin: Provider, **form: str) -> dict[str, str]:
    """Get tokens of the program."""
    admin.token = ""  # the client proves itself
    found: dict[str, str] = admin.call(
        "POST",
        "/realms/acme/protocol/openid-connect/token",
        client_id="job",
        client_secret=SECRET,
        **form,
    )
    return found


def reached(running: Running, token: str) -> tuple[int, str]:
    """Give the status, and the greeting of the app or the reason."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with urlopen(Request(f"{running.url}/dashboard/7", headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, json.loads(error.read())["reason"]


def test_a_program_sends_its_access_token_and_no_other_kind(
    running: Running, admin: Provider
) -> None:
    register_job(admin)
    of_job = issued(admin, grant_type="client_credentials")
    of_alice = issued(
        admin,
        grant_type="password",
        username="alice",
        password="pw",
        scope="openid email roles",
    )

    status, greeting = reached(running, of_job["access_token"])
    assert status == 200, greeting
    status, greeting = reached(running, of_alice["access_token"])
    assert (status, "alice@example.com" in greeting) == (200, True)
    for kind in ("id_token", "refresh_token"):
        assert reached(running, of_alice[kind]) == (401, "token_invalid"), kind


def test_a_user_who_is_disabled_is_signed_out_by_the_next_renewal(
    page: Page, running: Running, admin: Provider
) -> None:
    person, user = alice(page, running), user_id(admin, "alice")
    place = f"/admin/realms/acme/users/{user}"
    person_there = admin.call("GET", place)
    admin.call("PUT", place, person_there | {"enabled": False})
    try:
        person.renew()
        assert not person.session.active
    finally:
        admin.call("PUT", place, person_there | {"enabled": True})


def test_a_provider_that_is_gone_breaks_no_session(
    page: Page, running: Running, provider: Provider
) -> None:
    person = alice(page, running)
    provider.kill()

    person.renew()

    assert person.session.active
    page.goto("/dashboard")
    expect(page.locator("h1")).to_contain_text("alice@example.com")
    page.context.clear_cookies()
    page.goto("/.gateway/sign-in/acme")
    expect(page.locator("h1")).to_contain_text("answering")
