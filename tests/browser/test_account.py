"""A person looks at the account page, without script, and ends another device."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Demo
from tests.servers import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "postgres"),
]

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
FIREFOX = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
)


@pytest.fixture
def device(chromium: Browser, demo: Demo) -> Iterator[Callable[..., Page]]:
    """Make a browser of a person, script switched off."""
    made = []

    def make(user_agent: str | None = None, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=demo.url,
            user_agent=user_agent,
            java_script_enabled=False,
            **options,
        )
        context.set_default_timeout(PATIENCE * 1000)
        made.append(context)
        return context.new_page()

    yield make
    for context in made:
        context.close()


def sign_in(page: Page, name: str = "Grace Hopper") -> None:
    page.goto("/auth/login")
    page.get_by_role("button", name=f"Sign in as {name}").click()
    page.wait_for_url("**/dashboard")


def alone(page: Page) -> None:
    """Sign in, and end what other tests have left."""
    sign_in(page)
    page.goto("/.gateway/account")
    others = page.get_by_role("button", name="Sign out other devices")
    if others.count():
        others.click()
        # To go elsewhere at once could take the click back.
        expect(others).to_have_count(0)


def devices(page: Page) -> Locator:
    return page.get_by_role("region", name="Devices").get_by_role("listitem")


def test_without_a_session_it_sends_to_sign_in_and_back(
    device: Callable[..., Page],
) -> None:
    page = device()
    page.goto("/.gateway/account")

    requested = parse_qs(urlsplit(page.url).query)
    assert urlsplit(page.url).path == "/auth/login"
    assert requested["return_to"] == ["/.gateway/account"]


def test_another_device_is_seen_and_ended(device: Callable[..., Page]) -> None:
    mine, other = device(FIREFOX), device(IPHONE)
    alone(mine)
    sign_in(other)
    mine.reload()

    expect(devices(mine)).to_have_count(2)
    expect(devices(mine).nth(0)).to_contain_text("Firefox on Windows")
    expect(devices(mine).nth(0)).to_contain_text("This device")
    expect(devices(mine).nth(0).get_by_role("button")).to_have_count(0)
    expect(devices(mine).nth(1)).to_contain_text("Safari on iPhone")
    mine.get_by_role("button", name=re.compile("Sign out Safari on iPhone")).click()

    expect(mine.get_by_role("status")).to_have_text("That device is signed out.")
    expect(devices(mine)).to_have_count(1)
    other.goto("/dashboard")
    assert urlsplit(other.url).path == "/auth/login"
    mine.goto("/dashboard")
    assert urlsplit(mine.url).path == "/dashboard"


def test_all_others_are_ended_at_once(device: Callable[..., Page]) -> None:
    mine, phone, tablet = device(), device(IPHONE), device()
    alone(mine)
    sign_in(phone)
    sign_in(tablet)
    mine.reload()
    expect(devices(mine)).to_have_count(3)

    mine.get_by_role("button", name="Sign out other devices").click()

    expect(devices(mine)).to_have_count(1)
    for other in (phone, tablet):
        other.goto("/dashboard")
        assert urlsplit(other.url).path == "/auth/login"


def test_the_organization_is_switched(device: Callable[..., Page]) -> None:
    page = device()
    alone(page)
    tenants = page.get_by_role("region", name="Organizations")
    expect(tenants.get_by_role("listitem").filter(has_text="Active")).to_contain_text(
        "Acme"
    )

    page.get_by_role("button", name=re.compile("Switch to Globex")).click()

    expect(page.get_by_role("status")).to_contain_text("Switched to Globex.")
    expect(tenants.get_by_role("listitem").filter(has_text="Active")).to_contain_text(
        "Globex"
    )


def test_one_signs_out_from_it(device: Callable[..., Page]) -> None:
    page = device()
    alone(page)

    page.get_by_role("button", name="Sign out", exact=True).click()

    page.wait_for_url(re.compile(r"/$"))
    assert page.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1280])
def test_it_fits_the_screen(
    device: Callable[..., Page], scheme: str, width: int
) -> None:
    page = device(color_scheme=scheme, viewport={"width": width, "height": 740})
    alone(page)

    for part in page.get_by_role("button").all():
        box = part.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    main = page.locator("main").bounding_box()
    assert main
    assert main["width"] <= width


DOTS_AT_THE_BEGINNING = """spans => spans.filter(
  span => span.offsetLeft <= span.parentElement.offsetLeft
    && getComputedStyle(span, "::before").content !== "none"
).length"""


@pytest.mark.parametrize("width", [620, 760, 1280])
def test_no_line_of_a_device_begins_with_a_dot(
    device: Callable[..., Page], width: int
) -> None:
    page, other = device(viewport={"width": width, "height": 740}), device()
    alone(page)
    sign_in(other)  # of the same name: each has the time of its sign-in
    page.reload()

    parts = devices(page).locator(".soft span")
    expect(parts).to_have_count(6)
    tops = parts.evaluate_all(
        "spans => new Set(spans.map(span => span.offsetTop)).size"
    )

    assert parts.evaluate_all(DOTS_AT_THE_BEGINNING) == 0
    assert tops > 2  # else no line was broken
