"""Check a Next.js app behind the gateway in Chromium; see run.sh."""

import http.client
import json
import shutil
import time
from typing import Any

from playwright.sync_api import expect, sync_playwright

ADMIN = ("127.0.0.1", 19090)
APP = "http://localhost:18080"
TOKEN = {"Authorization": "Bearer an-admin-token-for-this-check-only-0000"}


def admin(method: str, path: str, body: Any = None) -> Any:
    """Call the admin API; returns the decoded response."""
    connection = http.client.HTTPConnection(*ADMIN, timeout=10)
    headers = TOKEN | {"Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    text = response.read()
    assert response.status < 300, (response.status, text)
    return json.loads(text) if text else None


def ready() -> None:
    """Wait for the gateway and the app behind it."""
    for _ in range(120):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 18080, timeout=5)
            connection.request("GET", "/", headers={"Host": "localhost:18080"})
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise SystemExit("the app is not reachable")


def main() -> None:
    """Run the checks; an assertion fails the script."""
    ready()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(base_url=APP)
        page = context.new_page()
        looks: list[str] = []
        page.on(
            "request",
            lambda sent: (
                looks.append(sent.url)
                if sent.url.endswith("/.gateway/session")
                else None
            ),
        )

        page.goto("/")
        expect(page.locator("#server")).to_have_text("none")
        expect(page.locator("#client")).to_have_text("none")
        page.get_by_role("link", name="Dashboard").click()
        page.wait_for_url(
            "**/auth/login?return_to=%2Fdashboard%3Fa%3Db&reason=no_session"
        )
        page.goto("/dashboard?a=b")
        page.wait_for_url(
            "**/auth/login?return_to=%2Fdashboard%3Fa%3Db&reason=no_session"
        )

        made = admin(
            "POST",
            "/admin/sessions",
            {
                "identity": {
                    "id": "u_ada",
                    "traits": {"email": "ada@example.com"},
                    "roles": ["admin"],
                },
                "tenants": {"t1": {"name": "Acme", "role": "owner"}},
                "active_tenant_id": "t1",
            },
        )
        name, _, rest = made["set_cookie"].partition("=")
        cookie: Any = {"name": name, "value": rest.partition(";")[0], "url": APP}
        context.add_cookies([cookie])
        looks.clear()
        page.goto("/")
        expect(page.locator("#server")).to_have_text("ada@example.com")
        expect(page.locator("#client")).to_have_text("ada@example.com")
        assert looks == [], "the server knew the session"
        page.goto("/dashboard")
        expect(page.locator("#account")).to_have_text("ada@example.com t1 true")

        page.goto("/actions")
        expect(page.get_by_role("button", name="Save"), page.content()).to_be_visible()
        admin("DELETE", f"/admin/sessions/{made['session']['id']}")
        page.get_by_role("button", name="Save").click()
        page.wait_for_url("**/auth/login?**reason=session_revoked")
        page.goto("/")
        expect(page.locator("#ended")).to_have_text("revoked")
        browser.close()
    print("Next.js behind the gateway: all checks passed")


main()
