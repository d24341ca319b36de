"""Two tabs of one browser learn from the script that their session ended."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.running import Running, serving
from tests.servers import PATIENCE, SOON, valkey_server
from tests.walk.harness import Seen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey"),
]

PAGE = b"""<!doctype html><title>App</title>
<script src="/.gateway/session.js" defer></script>
<script src="/static/toast.js" defer></script>
<output id="ended"></output><output id="tenant"></output>
<form method="post" action="/.gateway/logout"><button>Sign out</button></form>
<form method="post" action="/.gateway/tenant">
<input type="hidden" name="tenant_id" value="t_blue">
<input type="hidden" name="return_to" value="/dashboard"><button>Blue</button></form>
"""
TOAST = b"""
gatewaySession.onEnd((reason) => { document.querySelector("#ended").append(reason + ";"); });
gatewaySession.onTenantChange((id) => { document.querySelector("#tenant").append(id + ";"); });
"""


async def app(seen: Seen, writer: asyncio.StreamWriter) -> None:
    script = seen.target == "/static/toast.js"
    body = TOAST if script else PAGE
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
        b"Content-Security-Policy: default-src 'none'; script-src 'self'; "
        b"connect-src 'self'; form-action 'self'\r\n\r\n"
        % (b"text/javascript" if script else b"text/html", len(body))
        + body
    )
    await writer.drain()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        valkey_server(tmp_path_factory.mktemp("valkey")) as redis,
        serving(app, folder, redis.url) as found,
    ):
        yield found


@pytest.fixture
def tabs(chromium: Browser, running: Running) -> Iterator[tuple[Page, Page, str]]:
    """Two tabs that have a session, and the key of the session in the store."""
    context = chromium.new_context(base_url=running.url)
    context.set_default_timeout(PATIENCE * 1000)
    cookie = running.do(running.gateway.sign_in)
    name, _, value = cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": running.url}])
    wrong: list[str] = []
    pages = []
    for _ in range(2):
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda stated: (
                wrong.append(stated.text) if "Content Security" in stated.text else None
            ),
        )
        with page.expect_response("**/.gateway/session"):
            page.goto("/dashboard")
        # Once this is answered the script knows the session, whatever came before.
        page.evaluate("gatewaySession.check()")
        pages.append(page)
    yield pages[0], pages[1], running.gateway.key_of(cookie)
    context.close()
    assert wrong == []


def test_signing_out_in_one_tab_is_reported_in_the_other_at_once_and_once(
    tabs: tuple[Page, Page, str],
) -> None:
    here, there, _ = tabs

    here.get_by_role("button", name="Sign out").click()

    expect(there.locator("#ended")).to_have_text("signed_out;", timeout=SOON * 1000)
    there.evaluate("gatewaySession.check()")
    there.evaluate("gatewaySession.check()")
    expect(there.locator("#ended")).to_have_text("signed_out;")


def test_a_sign_out_whose_cookie_is_still_there_is_no_revocation(
    tabs: tuple[Page, Page, str], running: Running
) -> None:
    """The other tab may ask after the session ended and before the cookie went."""
    here, there, key = tabs
    running.do(running.gateway.own_store.end, key, time.time(), "signed_out")
    here.route("**/.gateway/logout", lambda route: route.abort())

    here.get_by_role("button", name="Sign out").click()

    expect(there.locator("#ended")).to_have_text("signed_out;")


def test_a_revoked_session_is_reported_to_both_tabs_by_the_one_that_checks(
    tabs: tuple[Page, Page, str], running: Running
) -> None:
    here, there, key = tabs
    running.do(running.gateway.own_store.end, key, time.time())

    here.evaluate("dispatchEvent(new Event('focus'))")

    for tab in (here, there):
        expect(tab.locator("#ended")).to_have_text("revoked;")


def test_an_expired_session_is_reported_as_expired(
    tabs: tuple[Page, Page, str], running: Running
) -> None:
    here, _, key = tabs
    store = running.gateway.own_store
    session = running.do(store.load, key)
    over = replace(session, expires_at=time.time() - 1)
    assert running.do(store.replace, key, session, over)

    here.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(here.locator("#ended")).to_have_text("expired;")


def test_another_tenant_is_reported_to_the_other_tab(
    tabs: tuple[Page, Page, str],
) -> None:
    here, there, _ = tabs

    here.get_by_role("button", name="Blue").click()

    expect(there.locator("#tenant")).to_have_text("t_blue;", timeout=SOON * 1000)
    expect(there.locator("#ended")).to_have_text("")


def test_what_cannot_be_found_out_ends_nothing(tabs: tuple[Page, Page, str]) -> None:
    here, _, _ = tabs
    here.route("**/.gateway/session", lambda route: route.fulfill(status=503, json={}))
    here.evaluate("gatewaySession.check()")
    here.unroute("**/.gateway/session")
    here.route("**/.gateway/session", lambda route: route.abort())
    here.evaluate("gatewaySession.check()")

    expect(here.locator("#ended")).to_have_text("")


def test_a_user_who_never_was_signed_in_gets_no_end(
    chromium: Browser, running: Running
) -> None:
    context = chromium.new_context(base_url=running.url)
    page = context.new_page()
    with page.expect_response("**/.gateway/session") as requested:
        page.goto("/")

    assert requested.value.status == 401
    page.evaluate("gatewaySession.check()")
    expect(page.locator("#ended")).to_have_text("")
    context.close()
