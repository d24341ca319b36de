"""A person with a browser in front of `gateway demo --oidc`: the provider's own pages."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers import PATIENCE, free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.needs("chromium", "playwright", "valkey", "node", "npm"),
]


@contextmanager
def demo(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the demo on free ports; gives its process and the port of the gateway."""
    port = free_port()
    argv = [sys.executable, "-m", "gateway", "demo", "--oidc", "--port", str(port)]
    for name in ("admin", "app", "api", "provider"):
        argv += [f"--{name}-port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)
    try:
        yield process, port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def first_minute(process: subprocess.Popen[str]) -> str:
    """Read what the demo prints until it is ready."""
    lines: list[str] = []
    assert process.stdout is not None
    while not any("Ctrl-C" in line for line in lines[-1:]):
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    return "".join(lines)


@pytest.fixture(scope="module")
def running(pytestconfig: pytest.Config) -> Iterator[tuple[str, str]]:
    cache = str(pytestconfig.cache.mkdir("npm"))
    with demo(dict(os.environ) | {"XDG_CACHE_HOME": cache}) as (process, port):
        printed = first_minute(process)
        yield f"http://localhost:{port}", printed


@pytest.fixture
def page(chromium: Browser, running: tuple[str, str]) -> Iterator[Page]:
    context = chromium.new_context(base_url=running[0])
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    yield page
    context.close()


def test_the_first_minute_shows_what_to_open_and_how_to_sign_in(
    running: tuple[str, str],
) -> None:
    address, printed = running

    assert f"The gateway is at  {address}\n" in printed
    assert "Sign in with Harbour ID (http://127.0.0.1:" in printed
    assert "ada@example.com" in printed


def test_ada_signs_in_at_the_provider_and_out_again_at_both(page: Page) -> None:
    page.goto("/")
    page.get_by_role("banner").get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in as Ada Lovelace").click()

    page.wait_for_url("**/dashboard")
    expect(page.get_by_role("banner")).to_contain_text("ada@example.com")
    page.goto("/admin")
    expect(page.get_by_role("heading").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.goto("/dashboard")
    # The session of the provider has ended, too: it shows its page again.
    expect(page.get_by_role("button", name="Sign in as Ada Lovelace")).to_be_visible()


def test_grace_has_her_organizations_and_no_admin_page(page: Page) -> None:
    page.goto("/dashboard")
    page.get_by_role("button", name="Sign in as Grace Hopper").click()
    page.wait_for_url("**/dashboard")

    whoami = page.request.get("/.gateway/sessions/whoami").json()
    assert whoami["identity"]["id"] == "u_grace"
    reply = page.goto("/admin")
    assert reply is not None
    assert reply.status == 403


def test_without_npm_it_names_what_to_install(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    argv = [sys.executable, "-m", "gateway", "demo", "--oidc"]
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, env={"PATH": str(empty)}
    )

    assert done.returncode == 1
    assert "needs Node.js 20 or later and npm" in done.stderr
