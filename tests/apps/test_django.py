"""Django's admin site for users whom the gateway names: docs/apps/django.md."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium", "playwright")]


@pytest.fixture
def django(run: Callable[[str], Stand]) -> Stand:
    return run("django")


def test_no_header_of_a_client_makes_a_user(django: Stand) -> None:
    forged = {"X-Auth-User-Id": "u_ada", "X_Auth_User_Id": "u_ada", "Remote-User": "a"}

    plain = django.ask("GET", "/admin/", forged)
    other = django.ask("GET", "/admin/", forged, user="mo")

    assert (plain.status, other.status) == (401, 403)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"X-Auth-User-Id": "u_ada"}, id="the role is gone"),
        pytest.param({"X-Auth-User-Id": "u_zoe"}, id="another user"),
        pytest.param({}, id="signed out"),
    ],
)
def test_the_session_of_django_keeps_no_rights(
    django: Stand, given: dict[str, str]
) -> None:
    """What the gateway would send later, with the cookies of an admin's visit."""
    ada = django.ask("GET", "/admin/", user="ada")
    kept = [line.partition(";")[0] for line in ada.all("Set-Cookie")]

    reply = django.ask(
        "GET", "/admin/", given | {"Cookie": "; ".join(kept)}, port=django.app_port
    )

    assert any(cookie.startswith("sessionid=") for cookie in kept)
    assert (ada.status, reply.status) == (200, 302)


def test_an_admin_works_in_the_admin_site_and_signs_out(
    django: Stand, page: Page
) -> None:
    django.open(page, "/admin/", "ada")
    expect(page.locator("#user-tools")).to_contain_text("Ada Lovelace")
    page.get_by_role("link", name="Groups").click()
    page.get_by_role("link", name="Add group").click()
    page.locator("input[name=name]").fill("Zo\u00eb's")
    page.locator("input[name=_save]").click()

    expect(page.locator(".messagelist")).to_contain_text("added successfully")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(lambda url: "logout" not in url)
    page.goto(f"{django.url}/admin/")
    page.wait_for_url("**/auth/login?**")
