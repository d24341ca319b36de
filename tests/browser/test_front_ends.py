"""What docs/front-ends.md shows, in a browser: the toast, and the Ory SDK.

The packages of npm are served as they are published, without a bundler: an import map
names them, and a name without an ending gets the one that bundlers would give it.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.running import Running, serving
from tests.docs.snippets import block_of
from tests.npm import node_modules
from tests.servers import PATIENCE, SOON, valkey_server
from tests.walk.harness import Seen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "npm"),
]

ROOT = Path(__file__).parents[2]
ORY = ROOT / "tests" / "walk" / "ory"
SNIPPETS = block_of("docs/front-ends.md", "The Ory SDK", "js")
TOAST = block_of("docs/front-ends.md", "session.js", "js")
NPM = "/static/npm/"
IMPORTS = {
    "imports": {
        "@ory/client": "/static/npm/@ory/client/dist/esm/index.js",
        "@ory/client-fetch": "/static/npm/@ory/client-fetch/dist/esm/index.js",
        "axios": "/static/npm/axios/dist/esm/axios.js",
    }
}
SDK_PAGE = f"""<!doctype html><title>App</title>
<script type="importmap">{json.dumps(IMPORTS)}</script>
<script type="module" src="/static/sdk.js"></script>"""
SDK = """import * as plain from "@ory/client";
import * as fetching from "@ory/client-fetch";
const basePath = "/.gateway";
window.ory = {
  "@ory/client": new plain.FrontendApi(new plain.Configuration({
    basePath, baseOptions: { withCredentials: true } })),
  "@ory/client-fetch": new fetching.FrontendApi(new fetching.Configuration({
    basePath, credentials: "include" })),
};
// What the one gives as `data` and the other as such; or the status of the refusal.
window.ask = async (which, call, parameters) => {
  try {
    const found = await ory[which][call](parameters ?? {});
    return (which === "@ory/client" ? found.data : found) || null;
  } catch (error) {
    return { refused: error.response?.status ?? String(error) };
  }
};"""
TOAST_PAGE = """<!doctype html><title>App</title>
<script src="/.gateway/session.js" defer></script>
<script src="/static/toast.js" defer></script>
<h1>Dashboard</h1>
<form method="post" action="/.gateway/logout"><button>Sign out</button></form>
<form method="post" action="/.gateway/tenant">
<input type="hidden" name="tenant_id" value="t_blue">
<input type="hidden" name="return_to" value="/dashboard"><button>Blue</button></form>"""
STRICT = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'"


def app(packages: Path) -> Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]:
    """Serve the pages, and the packages as files."""

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        kind, policy, body = "text/html", "", TOAST_PAGE.encode()
        path = seen.target.partition("?")[0].rstrip("/")
        if path.startswith("/static/npm/") and not path.endswith(".js"):
            found = f"{path}.js", f"{path}/index.js"
            right = found[not (packages / found[0].removeprefix(NPM)).is_file()]
            redirect = f"HTTP/1.1 302 Found\r\nLocation: {right}\r\n"
            writer.write(f"{redirect}Content-Length: 0\r\n\r\n".encode())
            return
        if path.startswith("/static/"):
            kind = "text/javascript"
            body = _script(path, packages)
        elif path.startswith("/dashboard/sdk"):
            body = SDK_PAGE.encode()
        elif path.startswith("/dashboard"):
            policy = f"Content-Security-Policy: {STRICT}\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{policy}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def _script(path: str, packages: Path) -> bytes:
    own = {"/static/toast.js": TOAST, "/static/sdk.js": SDK}.get(path)
    return own.encode() if own else (packages / path.removeprefix(NPM)).read_bytes()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Running]:
    packages = node_modules(ORY, pytestconfig.cache.mkdir("npm"))
    folder = tmp_path_factory.mktemp("gateway")
    with (
        valkey_server(tmp_path_factory.mktemp("valkey")) as redis,
        serving(app(packages), folder, redis.url) as found,
    ):
        yield found


@pytest.fixture
def signed_in(chromium: Browser, running: Running) -> Iterator[Callable[..., Any]]:
    """Open browsers with a session: gives a context and the session's key."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened() -> tuple[BrowserContext, str]:
        context = chromium.new_context(base_url=running.url)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        context.on("console", lambda stated: _complaint(stated.text, wrong))
        cookie = running.do(running.gateway.sign_in)
        name, _, value = cookie.partition("=")
        context.add_cookies(
            [{"name": name, "value": value, "url": running.url, "httpOnly": True}]
        )
        return context, running.gateway.key_of(cookie)

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _complaint(text: str, wrong: list[str]) -> None:
    if "Content Security" in text:
        wrong.append(text)


def tab(context: BrowserContext) -> Page:
    page = context.new_page()
    with page.expect_response("**/.gateway/session"):
        page.goto("/dashboard/a?b=c")
    return page


# The toast


def test_the_toast_has_the_ten_lines_that_are_promised() -> None:
    assert len(TOAST.splitlines()) == 10


def test_signing_out_in_one_tab_shows_the_toast_in_the_other_and_leads_back(
    signed_in: Callable[..., Any],
) -> None:
    context, _ = signed_in()
    here, there = tab(context), tab(context)

    here.get_by_role("button", name="Sign out").click()

    toast = there.get_by_role("alert")
    expect(toast).to_have_text("You signed out in another tab. Sign in again")
    expect(toast).to_be_visible()
    expect(toast).to_have_count(1)
    toast.click()
    there.wait_for_url(re.compile(r"/auth/login\?return_to=/dashboard/a%3Fb%3Dc"))


def test_the_page_after_a_sign_out_informs_the_other_tabs(
    signed_in: Callable[..., Any],
) -> None:
    """Even where the form's own page could not, for want of the script or of time."""
    context, _ = signed_in()
    here, there = tab(context), tab(context)
    here.goto("/dashboard/sdk")  # has no session.js, so nobody hears of the form
    here.evaluate("fetch('/.gateway/logout', { method: 'POST' })")

    here.goto("/")

    # A tab that nobody tells looks by itself, but only every half a minute.
    toast = there.get_by_role("alert")
    expect(toast).to_contain_text("You signed out", timeout=SOON * 1000)


def test_a_session_ended_elsewhere_shows_it_in_both_tabs(
    signed_in: Callable[..., Any], running: Running
) -> None:
    context, key = signed_in()
    tabs = [tab(context), tab(context)]
    running.do(running.gateway.own_store.end, key, time.time())

    tabs[0].evaluate("dispatchEvent(new Event('focus'))")

    for each in tabs:
        expect(each.get_by_role("alert")).to_have_text(
            "You were signed out from another device. Sign in again"
        )
        assert each.context.cookies() != []  # to ask clears nothing


def test_an_expired_session_shows_it(
    signed_in: Callable[..., Any], running: Running
) -> None:
    context, key = signed_in()
    page, store = tab(context), running.gateway.own_store
    session = running.do(store.load, key)
    over = replace(session, expires_at=time.time() - 1)
    assert running.do(store.replace, key, session, over)

    page.evaluate("gatewaySession.check()")

    toast = page.get_by_role("alert")
    expect(toast).to_have_text("Your session expired. Sign in again")
    toast.click()
    page.wait_for_url(re.compile("reason=session_expired"))


def test_another_tenant_loads_the_other_tab_again(
    signed_in: Callable[..., Any],
) -> None:
    context, _ = signed_in()
    here, there = tab(context), tab(context)

    with there.expect_event("load"):
        here.get_by_role("button", name="Blue").click()

    expect(there.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(there.get_by_role("alert")).to_have_count(0)


# The Ory SDK

PACKAGES = ["@ory/client", "@ory/client-fetch"]


def sdk_page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/dashboard/sdk")
    page.wait_for_function("window.ask !== undefined")
    return page


def ask(page: Page, which: str, call: str, **parameters: Any) -> Any:
    words = [which, call, parameters]
    return page.evaluate("([which, call, words]) => ask(which, call, words)", words)


def test_the_page_describes_what_the_test_does() -> None:
    assert 'basePath: "/.gateway"' in SNIPPETS
    assert "withCredentials: true" in SNIPPETS
    assert "location.href = flow.logout_url" in SNIPPETS


@pytest.mark.parametrize("which", PACKAGES)
def test_the_sdk_knows_the_person_by_the_cookie_it_cannot_read(
    signed_in: Callable[..., Any], running: Running, which: str
) -> None:
    context, key = signed_in()
    page = sdk_page(context)

    me = ask(page, which, "toSession")

    assert page.evaluate("document.cookie") == ""
    assert me["identity"]["id"] == "u_grace"
    assert me["identity"]["traits"]["email"] == "grace@example.com"
    running.do(running.gateway.own_store.end, key, time.time())
    assert ask(page, which, "toSession") == {"refused": 401}
    # Only the reason is left.
    (left,) = context.cookies()
    assert (left["name"], left["value"]) == ("gateway_ended", "session_revoked")


@pytest.mark.parametrize("which", PACKAGES)
def test_the_sdk_lists_and_ends_the_sessions_of_other_devices(
    signed_in: Callable[..., Any], running: Running, which: str
) -> None:
    running.do(running.gateway.own_store.end_all, "u_grace", time.time(), None)
    (context, _), (second, _), (third, _) = (signed_in() for _ in range(3))
    page = sdk_page(context)
    others = ask(page, which, "listMySessions")
    unknown = "00000000-0000-4000-8000-000000000000"

    assert len(others) == 2
    assert ask(page, which, "disableMySession", id=unknown) == {"refused": 404}
    assert ask(page, which, "disableMySession", id=others[0]["id"]) is None
    assert len(ask(page, which, "listMySessions")) == 1
    assert ask(page, which, "disableMyOtherSessions")["count"] == 1
    for device in (second, third):
        turned_away = device.new_page()
        turned_away.goto("/dashboard")
        assert urlsplit(turned_away.url).path == "/auth/login"
    assert ask(page, which, "toSession")["active"] is True


@pytest.mark.parametrize("which", PACKAGES)
def test_the_sdk_signs_out_by_the_address_that_it_is_given(
    signed_in: Callable[..., Any], which: str
) -> None:
    context, _ = signed_in()
    page = sdk_page(context)
    evil = ask(page, which, "createBrowserLogoutFlow", returnTo="https://evil.test/")

    flow = ask(page, which, "createBrowserLogoutFlow", returnTo="/bye")
    page.evaluate("(url) => { location.href = url; }", flow["logout_url"])

    page.wait_for_url("**/bye")
    assert evil == {"refused": 400}
    assert context.cookies() == []
    page.goto("/dashboard")
    assert urlsplit(page.url).path == "/auth/login"


@pytest.mark.parametrize("which", PACKAGES)
def test_the_sdk_signs_out_without_leaving_the_page(
    signed_in: Callable[..., Any], which: str
) -> None:
    context, _ = signed_in()
    page, other = sdk_page(context), tab(context)
    flow = ask(page, which, "createBrowserLogoutFlow")

    wrong = ask(page, which, "updateLogoutFlow", token="ory_lo_x")
    still = ask(page, which, "toSession")
    done = ask(page, which, "updateLogoutFlow", token=flow["logout_token"])

    assert (wrong, done) == ({"refused": 403}, None)
    assert still["active"] is True
    assert ask(page, which, "toSession") == {"refused": 401}
    assert context.cookies() == []
    other.evaluate("gatewaySession.check()")
    expect(other.get_by_role("alert")).to_contain_text("You signed out")


def test_a_page_of_another_site_can_neither_ask_nor_end(
    signed_in: Callable[..., Any], running: Running
) -> None:
    """127.0.0.1 is another site than localhost; the browser has the cookie of both."""
    context, key = signed_in()
    elsewhere = context.new_page()
    elsewhere.goto(running.url.replace("localhost", "127.0.0.1"))

    for method, target in (
        ("GET", "/sessions/whoami"),
        ("DELETE", "/sessions"),
        ("POST", "/logout"),
        ("POST", "/account/end-others"),
    ):
        answer = elsewhere.evaluate(
            "([url, method]) => fetch(url, { method, credentials: 'include' })"
            ".then((answer) => answer.status, (error) => error.name)",
            [f"{running.url}/.gateway{target}", method],
        )
        assert answer == "TypeError", target
    assert running.do(running.gateway.own_store.load, key).active
    assert sdk_page(context).evaluate("ask('@ory/client', 'toSession')")["active"]
