"""Redis, Chromium, and where the apps are installed."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.apps.installed import path_of
from tests.apps.recipe import read_recipe
from tests.apps.stand import Stand, running
from tests.browser.conftest import SWITCHES
from tests.servers import PATIENCE, Server, valkey_server

# Hundreds of megabytes: only `make test-apps` has them.
if os.environ.get("APPS") != "all":
    collect_ignore = ["wide"]

READY = {"jupyterlab": "/api", "verdaccio": "/-/ping", "prometheus": "/-/ready"}


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def run(
    redis: Server,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Callable[[str], Stand]]:
    """Run the app of a page, once for all tests."""
    store = pytestconfig.cache.mkdir("apps")
    with ExitStack() as stack:

        @cache
        def started(name: str) -> Stand:
            recipe = read_recipe(name)
            folder: Path = tmp_path_factory.mktemp(name)
            path = path_of(recipe, store)
            ready = READY.get(name, "/")
            return stack.enter_context(running(recipe, folder, redis.url, path, ready))

        yield started


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=SWITCHES,
            timeout=2 * PATIENCE * 1000,
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()
