"""A React app that Vite built, in Chromium behind the gateway."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from gateway.sessions.record import Identity
from tests.browser.running import Running, serving
from tests.clients.building import built, node
from tests.servers import PATIENCE, SOON, valkey_server
from tests.walk.harness import Seen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "npm"),
]

APP = Path(__file__).parent / "react"
STRICT = "default-src 'none'; script-src 'self' 'nonce-x'; connect-src 'self'"


@dataclass
class Site:
    """The files that Vite wrote, and the page that React rendered on the server."""

    files: Path
    page: bytes

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        path = seen.target.partition("?")[0]
        kind, body = "text/html", self.page
        if path.startswith("/static/"):
            kind = "text/javascript"
            body = (self.files / path.removeprefix("/static/")).read_bytes()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
            b"Content-Security-Policy: %s\r\n\r\n%s"
            % (kind.encode(), len(body), STRICT.encode(), body)
        )
        await writer.drain()


@pytest.fixture(scope="module")
def package(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Path:
    """The package where the app finds it, and the app built by Vite."""
    package = built(tmp_path_factory.mktemp("react"), pytestconfig.cache.mkdir("npm"))
    app = package / "app"
    app.mkdir()
    for each in APP.iterdir():
        (app / each.name).write_bytes(each.read_bytes())
    vite = "node_modules/vite/bin/vite.js"
    node(package, vite, "build", "app", "--base=/static/", "--logLevel=error")
    node(
        package,
        "node_modules/esbuild/bin/esbuild",
        "app/server.tsx",
        "--bundle",
        "--platform=node",
        "--jsx=automatic",
        "--outfile=app/server.cjs",
        "--log-level=error",
    )
    return package


@pytest.fixture(scope="module")
def site(package: Path) -> Site:
    files = package / "app" / "dist"
    return Site(files=files, page=(files / "index.html").read_bytes())


def _with_tokens_for_pages(config: dict[str, Any]) -> None:
    config["tokens"]["profiles"]["page"] = {
        "audience": "api",
        "browser": True,
        "claims": {"tenant": "{tenant.id}"},
    }


@pytest.fixture(scope="module")
def running(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        valkey_server(tmp_path_factory.mktemp("valkey")) as redis,
        serving(site.answer, folder, redis.url, _with_tokens_for_pages) as found,
    ):
        yield found


@dataclass
class Person:
    """A browser with a session; `wrong` has what its pages complained about."""

    context: BrowserContext
    running: Running
    key: str
    cookie: str
    looks: list[str]

    def page(self, path: str = "/dashboard") -> Page:
        page = self.context.new_page()
        page.goto(path)
        return page

    def revoke(self) -> None:
        self.running.do(self.running.gateway.own_store.end, self.key, time.time())

    def change(self, **what: Any) -> None:
        store = self.running.gateway.own_store
        session = self.running.do(store.load, self.key)
        assert self.running.do(
            store.replace, self.key, session, replace(session, **what)
        )


@pytest.fixture
def person(chromium: Browser, running: Running) -> Iterator[Person]:
    context = chromium.new_context(base_url=running.url)
    context.set_default_timeout(PATIENCE * 1000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda stated: _note(stated.text, wrong))
    looks: list[str] = []
    context.on(
        "request",
        lambda sent: (
            looks.append(sent.url) if sent.url.endswith("/.gateway/session") else None
        ),
    )
    cookie = running.do(running.gateway.sign_in)
    name, _, value = cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": running.url}])
    yield Person(context, running, running.gateway.key_of(cookie), cookie, looks)
    context.close()
    assert wrong == []


def _note(text: str, wrong: list[str]) -> None:
    if "Content Security" in text or "Warning" in text or "hydrat" in text:
        wrong.append(text)


def test_three_hooks_and_strict_mode_are_one_request_and_pending_once(
    person: Person,
) -> None:
    page = person.page()

    for badge in ("#one", "#two", "#three", "#late"):
        expect(page.locator(badge)).to_have_text("grace@example.com")
    assert len(person.looks) == 1
    stated = page.evaluate("said.filter((each) => each.startsWith('one'))")
    assert stated == sorted(stated, key=lambda each: "pending" not in each)


def test_asking_again_renders_nothing_if_nothing_changed(person: Person) -> None:
    page = person.page()
    expect(page.locator("#one")).to_have_text("grace@example.com")
    before = page.evaluate("said.length")

    with page.expect_response("**/.gateway/session"):
        page.get_by_role("button", name="Refetch").click()
    page.evaluate("new Promise((done) => setTimeout(done))")

    assert page.evaluate("said.length") == before


def test_a_badge_that_comes_and_goes_asks_nothing(person: Person) -> None:
    page = person.page()
    expect(page.locator("#three")).to_have_text("grace@example.com")

    for count in (0, 1, 0, 1):
        page.get_by_role("button", name="Toggle").click()
        expect(page.locator("#three")).to_have_count(count)

    assert len(person.looks) == 1


def test_another_person_who_signs_in_in_this_browser_is_seen(person: Person) -> None:
    """Else forms of one are sent as the other."""
    page = person.page()
    expect(page.locator("#one")).to_have_text("grace@example.com")
    person.change(identity=Identity(id="u_zoe", traits={"email": "zoe@example.com"}))

    page.evaluate("dispatchEvent(new Event('focus'))")

    expect(page.locator("#one")).to_have_text("zoe@example.com")


def test_the_reason_is_right_whichever_tab_learns_of_the_end_first(
    person: Person,
) -> None:
    page, other = person.page(), person.page()
    expect(page.locator("#one")).to_have_text("grace@example.com")
    expect(other.locator("#one")).to_have_text("grace@example.com")
    person.revoke()

    refused = page.evaluate(
        "fetch('/dashboard/data', {headers: {Accept: 'application/json'}})"
        ".then(async (answer) => [answer.status, (await answer.json()).reason])"
    )
    kept = [(each.get("name"), each.get("value")) for each in person.context.cookies()]
    page.get_by_role("button", name="Refetch").click()

    assert refused == [401, "session_revoked"]
    assert kept == [("gateway_ended", "session_revoked")]
    for tab in (page, other):
        expect(tab.locator("#one")).to_have_text("revoked")
    page.goto("/dashboard")
    page.wait_for_url("**/auth/login?**reason=session_revoked")


def test_a_sign_out_in_one_tab_is_seen_in_the_other(person: Person) -> None:
    here, there = person.page(), person.page()
    expect(there.locator("#one")).to_have_text("grace@example.com")

    here.get_by_role("button", name="Sign out").click()

    expect(here.locator("#one")).to_have_text("signed_out")
    expect(there.locator("#one")).to_have_text("signed_out", timeout=SOON * 1000)


def test_the_tenant_is_switched_in_every_tab_and_a_refusal_is_an_error(
    person: Person,
) -> None:
    here, there = person.page(), person.page()
    expect(there.locator("#one")).to_have_text("grace@example.com")

    here.get_by_role("button", name="t_blue").click()

    expect(here.locator("#tenant")).to_have_text("t_blue")
    expect(there.locator("#tenant")).to_have_text("t_blue", timeout=SOON * 1000)
    here.get_by_role("button", name="t_none").click()
    expect(here.locator("#failure")).to_have_text("not_a_member")


def test_a_page_gets_the_token_of_its_user_and_tenant_and_none_after_the_end(
    person: Person,
) -> None:
    here, there = person.page(), person.page()
    expect(here.locator("#one")).to_have_text("grace@example.com")
    expect(there.locator("#one")).to_have_text("grace@example.com")
    requested: list[str] = []
    person.context.on(
        "request",
        lambda sent: requested.append(sent.url) if "/token?" in sent.url else None,
    )
    token = here.get_by_role("button", name="Token")

    token.click()
    token.click()
    expect(here.locator("#token")).to_contain_text('"tenant":"t_acme"')
    assert len(requested) == 1
    there.get_by_role("button", name="t_blue").click()
    expect(here.locator("#tenant")).to_have_text("t_blue")
    token.click()
    expect(here.locator("#token")).to_contain_text('"tenant":"t_blue"')
    assert '"aud":"api"' in here.locator("#token").inner_text()
    person.revoke()
    here.get_by_role("button", name="Refetch").click()
    expect(here.locator("#one")).to_have_text("revoked")
    token.click()
    expect(here.locator("#token")).to_have_text("session_revoked")


def test_a_navigation_without_a_load_asks_again(person: Person) -> None:
    page = person.page()
    expect(page.locator("#one")).to_have_text("grace@example.com")
    person.revoke()

    page.get_by_role("button", name="Navigate").click()

    expect(page.locator("#one")).to_have_text("revoked")


def test_an_outage_is_shown_and_ends_nothing(person: Person) -> None:
    page = person.page()
    expect(page.locator("#one")).to_have_text("grace@example.com")
    page.route("**/.gateway/session", lambda route: route.fulfill(status=503, json={}))

    page.get_by_role("button", name="Refetch").click()

    expect(page.locator("#one")).to_have_text("grace@example.com (unavailable)")


def test_what_the_server_rendered_is_hydrated_without_a_request(
    person: Person, package: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the boundary that hydrates late."""
    url = f"{person.running.url}/.gateway/session"
    requested = urllib.request.Request(url, headers={"Cookie": person.cookie})
    with urllib.request.urlopen(requested) as response:
        body = json.load(response)
    traits = body["identity"]["traits"]
    session = body | {
        "user": {"id": body["identity"]["id"], "email": traits["email"], "roles": []},
        "tenant": {"id": body["tenant_id"], "name": None, "role": None},
    }
    html = node(package, "app/server.cjs", json.dumps(session))
    state = json.dumps({"session": session}).replace("<", "\\u003c")
    page_ = site.page.decode().replace(
        '<div id="root"></div>',
        f'<script nonce="x">window.rendered = {state}</script><div id="root">{html}</div>',
    )
    monkeypatch.setattr(site, "page", page_.encode())

    page = person.page()
    page.wait_for_function(
        "window.said && said.some((each) => each.startsWith('three'))"
    )

    expect(page.locator("#late")).to_have_text("grace@example.com")
    assert page.evaluate("mismatches") == []
    assert not any("pending" in each for each in page.evaluate("said"))
    assert person.looks == []


def test_a_visitor_is_none(chromium: Browser, running: Running) -> None:
    context = chromium.new_context(base_url=running.url)
    page = context.new_page()
    page.goto("/")

    expect(page.locator("#one")).to_have_text("none")
    context.close()
