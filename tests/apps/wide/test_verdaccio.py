"""npm and Verdaccio behind the gateway: docs/apps/verdaccio.md."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser


@pytest.fixture
def verdaccio(run: Callable[[str], Stand]) -> Stand:
    return run("verdaccio")


@dataclass(frozen=True)
class Project:
    """A folder with the .npmrc of the page, in which npm runs."""

    folder: Path

    def npm(self, token: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"NPM_TOKEN": token, "HOME": str(self.folder)}
        options = ["--cache", str(self.folder / "cache"), "--no-audit", "--no-fund"]
        return subprocess.run(
            ["npm", *words, *options],
            cwd=self.folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def project(verdaccio: Stand, tmp_path: Path) -> Callable[[str], Project]:
    npmrc = (verdaccio.folder / ".npmrc").read_text()

    def made(name: str) -> Project:
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir()
        (folder / ".npmrc").write_text(npmrc)
        document = {"name": name, "version": "1.0.0", "main": "index.js"}
        (folder / "package.json").write_text(json.dumps(document))
        (folder / "index.js").write_text("module.exports = 42;\n")
        return Project(folder)

    return made


def test_no_header_of_a_client_is_a_user(verdaccio: Stand) -> None:
    forged = {"X-Auth-User-Id": "u_ada", "X-Auth-Role": "admin"}

    plain = verdaccio.ask("GET", "/-/whoami", forged)
    directly = verdaccio.ask("GET", "/@acme%2fnone", port=verdaccio.app_port)
    mo = verdaccio.ask("GET", "/-/whoami", forged, user="mo")

    assert (plain.status, directly.status) == (401, 401)
    assert mo.json() == {"username": "u_mo"}


def test_npm_publishes_and_installs_by_the_roles_of_its_token(
    verdaccio: Stand, project: Callable[[str], Project], page: Page
) -> None:
    ci, reader = verdaccio.token("ci", "--role", "admin"), verdaccio.token("build")
    package, shop = project("@acme/answer"), project("shop")
    refused = package.npm(reader, "publish")
    published = package.npm(ci, "publish")
    anonymous = shop.npm("none", "install", "@acme/answer")
    installed = shop.npm(reader, "install", "@acme/answer")

    assert "E403" in refused.stderr
    assert published.returncode == 0, published.stderr
    assert "E401" in anonymous.stderr
    assert installed.returncode == 0, installed.stderr + verdaccio.log()
    assert (shop.folder / "node_modules/@acme/answer/index.js").exists()
    verdaccio.open(page, "/", "mo")
    expect(page.get_by_text("@acme/answer").first).to_be_visible()
