"""Chromium at each app's own sign-in page, and at the gateway's page for the way out."""

import json
import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import SWITCHES
from tests.live.browser import ORIGIN
from tests.live.libraries import LIBRARIES, parameters
from tests.live.running import MO
from tests.live.walking import Live

pytestmark = [
    pytest.mark.needs("chromium", "playwright"),
    pytest.mark.browser,
    pytest.mark.parametrize(
        "library",
        parameters(*(each for each in LIBRARIES if not each.sessions)),
        scope="session",
    ),
]


async def test_a_person_signs_in_at_the_app_and_out_at_the_gateway(live: Live) -> None:
    here = f"--host-resolver-rules=MAP gw.test:80 127.0.0.1:{live.gateway.port}"
    switches = [each for each in SWITCHES if "host-resolver" not in each]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*switches, here]
        )
        page = await chromium.new_page()

        await page.goto(f"{ORIGIN}/dashboard")
        assert page.url.startswith(f"{ORIGIN}/login?")
        await page.fill("input[name=username], input[name=email]", MO["email"])
        await page.fill("input[name=password]", MO["password"])
        await page.click("button")
        await page.wait_for_url(f"{ORIGIN}/dashboard")
        seen = json.loads(await page.inner_text("body"))
        await page.goto(f"{ORIGIN}/.gateway/account")
        await expect(page.get_by_text(MO["email"]).first).to_be_visible()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.wait_for_url(f"{ORIGIN}/")
        left = {cookie["name"] for cookie in await page.context.cookies()}
        await page.goto(f"{ORIGIN}/dashboard")

        assert MO["email"] in seen["headers"]
        assert live.library.cookie not in left
        assert page.url.startswith(f"{ORIGIN}/login?")
        await chromium.close()
