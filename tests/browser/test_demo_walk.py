"""A person with a browser in front of `gateway demo`."""

import json
import re
import urllib.error
import urllib.request
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Demo
from tests.servers import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "postgres"),
]


def sign_in(page: Page, name: str) -> None:
    page.goto("/auth/login")
    page.get_by_role("button", name=f"Sign in as {name}").click()
    page.wait_for_url("**/dashboard")


def path_of(page: Page) -> str:
    return urlsplit(page.url).path


def test_without_a_session_the_dashboard_sends_to_sign_in_and_back(
    page: Page,
) -> None:
    page.goto("/dashboard?tab=2")

    requested = parse_qs(urlsplit(page.url).query)
    assert path_of(page) == "/auth/login"
    assert requested["return_to"] == ["/dashboard?tab=2"]

    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("Password").fill("first-compiler")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dashboard?tab=2")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Grace")


def test_a_wrong_password_signs_no_user_in(page: Page) -> None:
    page.goto("/auth/login")
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text(
        "Wrong e-mail address or password"
    )
    assert page.context.cookies() == []


def test_the_session_cookie_is_out_of_reach_of_scripts(page: Page) -> None:
    sign_in(page, "Grace Hopper")

    (cookie,) = page.context.cookies()

    assert cookie["name"] == "gateway_session"
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        True,
        "Lax",
        "/",
    )
    assert page.evaluate("document.cookie") == ""


def test_the_dashboard_shows_the_headers_and_the_token(page: Page, demo: Demo) -> None:
    sign_in(page, "Grace Hopper")

    headers = page.locator("#headers")
    expect(headers).to_contain_text("u_grace")
    expect(headers).to_contain_text("grace@example.com")
    expect(headers).to_contain_text("t_acme")
    header, claims = (
        json.loads(text) for text in page.locator("#token pre").all_text_contents()
    )
    published = json.load(urllib.request.urlopen(f"{demo.url}/.gateway/jwks.json"))
    assert header["kid"] in [key["kid"] for key in published["keys"]]
    assert claims["aud"] == "web"
    assert claims["sub"] == "u_grace"
    assert 0 < claims["exp"] - claims["iat"] <= 60


def test_a_client_cannot_speak_for_itself(page: Page) -> None:
    page.context.set_extra_http_headers(
        {"X-Auth-User-Id": "u_ada", "X_Auth_Role": "admin"}
    )
    page.goto("/")

    expect(
        page.get_by_role("banner").get_by_role("link", name="Sign in")
    ).to_be_visible()


def test_another_tenant_shows_other_rows(page: Page, demo: Demo) -> None:
    assert demo.has_notes
    sign_in(page, "Grace Hopper")
    tenants = page.frame_locator("iframe[name=notes]").locator("#notes td:nth-child(3)")
    expect(tenants.first).to_be_visible()
    assert set(tenants.all_text_contents()) == {"t_acme"}

    page.get_by_role("button", name=re.compile("Globex")).click()

    expect(page.get_by_role("heading", name="Notes of Globex")).to_be_visible()
    expect(tenants.first).to_be_visible()
    assert set(tenants.all_text_contents()) == {"t_globex"}
    assert path_of(page) == "/dashboard"


def test_a_note_is_written_for_the_active_tenant_only(page: Page, demo: Demo) -> None:
    assert demo.has_notes
    sign_in(page, "Grace Hopper")
    notes = page.frame_locator("iframe[name=notes]")
    notes.get_by_label("New note").fill("The moth is out of the relay")
    notes.get_by_role("button", name="Add").click()
    expect(notes.locator("#notes")).to_contain_text("The moth is out")

    page.get_by_role("button", name=re.compile("Globex")).click()

    expect(page.get_by_role("heading", name="Notes of Globex")).to_be_visible()
    expect(notes.locator("#notes")).to_contain_text("t_globex")
    expect(notes.locator("#notes")).not_to_contain_text("The moth is out")


def test_a_member_is_refused_the_admin_page(page: Page) -> None:
    sign_in(page, "Grace Hopper")

    answer = page.goto("/admin")

    assert answer
    assert answer.status == 403
    expect(page.locator("body")).to_contain_text("This page is for administrators.")
    expect(page.get_by_role("heading", name="Accounts")).to_have_count(0)


def test_an_administrator_sees_the_admin_page(page: Page) -> None:
    sign_in(page, "Ada Lovelace")

    answer = page.goto("/admin")

    assert answer
    assert answer.status == 200
    expect(page.get_by_role("heading", level=1)).to_have_text("Administration")


def test_who_is_signed_in_does_not_see_the_sign_in_page(page: Page) -> None:
    sign_in(page, "Ada Lovelace")

    page.goto("/auth/login")

    assert path_of(page) == "/dashboard"


def test_who_belongs_to_no_organization_gets_no_rows(page: Page) -> None:
    sign_in(page, "Linus Berg")
    expect(page.locator("iframe[name=notes]")).to_have_count(0)

    page.goto("/api/notes")

    assert path_of(page) == "/auth/onboarding"
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "You are not in an organization yet"
    )


def test_the_clock_ticks_and_ends_with_the_session(page: Page) -> None:
    sign_in(page, "Grace Hopper")
    clock = page.locator("#clock")
    expect(clock).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    first = clock.text_content()
    assert first
    expect(clock).not_to_have_text(first)

    other = page.context.new_page()
    other.goto("/dashboard")
    other.get_by_role("button", name="Sign out through the gateway").click()

    expect(clock).to_have_text(re.compile(r"^ended \(\d+\)$"))


@pytest.mark.parametrize(
    "button", ["Sign out through the gateway", "Sign out through this app's response"]
)
def test_after_signing_out_the_dashboard_asks_again(page: Page, button: str) -> None:
    sign_in(page, "Grace Hopper")
    (before,) = page.context.cookies()

    page.get_by_role("button", name=button).click()

    page.wait_for_url(re.compile(r"/$"))
    assert page.context.cookies() == []
    page.goto("/dashboard")
    assert path_of(page) == "/auth/login"
    # The cookie was not only forgotten: its session is over.
    restored: Any = before  # what cookies() gives, add_cookies() takes
    page.context.add_cookies([restored])
    page.goto("/dashboard")
    assert path_of(page) == "/auth/login"


def test_the_pages_work_without_script(chromium: Browser, demo: Demo) -> None:
    context = chromium.new_context(base_url=demo.url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, "Grace Hopper")

    notes = page.frame_locator("iframe[name=notes]").locator("#notes")

    expect(notes).to_contain_text("t_acme")
    context.close()


Scheme: TypeAlias = Literal["light", "dark"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_a_telephone(chromium: Browser, demo: Demo, scheme: Scheme) -> None:
    context = chromium.new_context(
        base_url=demo.url, color_scheme=scheme, viewport={"width": 360, "height": 740}
    )
    page = context.new_page()
    sign_in(page, "Grace Hopper")

    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert wider <= 0
    context.close()


def test_each_start_has_an_admin_token_of_its_own_and_no_page_may_use_it(
    demo: Demo,
) -> None:
    (token,) = re.findall(r"Admin token +(\S+)", "".join(demo.output))

    def requested(token: str, host: str) -> int:
        url = f"{demo.admin}/admin/identities/u_ada/sessions"
        headers = {"Authorization": f"Bearer {token}", "Host": host}
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert len(token) > 32
    assert requested(token, "127.0.0.1") == 200
    assert requested(token, "evil.example") == 421
    assert requested("change-me-this-is-only-a-demo-token", "127.0.0.1") == 401
