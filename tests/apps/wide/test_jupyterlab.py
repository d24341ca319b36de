"""A notebook behind the gateway: docs/apps/jupyterlab.md."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "one",
            "metadata": {},
            "outputs": [],
            "source": "print('six times seven is', 6 * 7)",
        }
    ],
    "metadata": {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        }
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}
NAMES = ("plain.ipynb", "50% done #2; really?.ipynb", "Zo\u00eb & Co.ipynb")


@pytest.fixture
def jupyter(run: Callable[[str], Stand]) -> Stand:
    stand = run("jupyterlab")
    for name in NAMES:
        (stand.folder / "notebooks" / name).write_text(json.dumps(NOTEBOOK))
    return stand


def test_no_header_of_a_client_opens_it(jupyter: Stand) -> None:
    forged = {"X-Auth-User-Id": "u_ada", "X_Auth_User_Id": "u_ada"}

    plain = jupyter.ask("GET", "/api/me", forged)
    other = jupyter.ask("GET", "/api/me", forged, user="mo")
    directly = jupyter.ask("GET", "/api/me", port=jupyter.app_port)

    assert (plain.status, other.status, directly.status) == (401, 403, 403)


def test_the_user_is_the_one_of_the_gateway(jupyter: Stand) -> None:
    me = jupyter.ask("GET", "/api/me", user="ada").json()

    assert me["identity"]["username"] == "u_ada"
    assert me["identity"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_in_its_kernel_and_is_saved(
    jupyter: Stand, page: Page, name: str
) -> None:
    jupyter.open(page, "/lab?reset", "ada")
    page.get_by_role("listitem", name=name).dblclick()
    expect(page.locator("#jp-bottom-panel")).to_contain_text("ipykernel) | Idle")
    page.locator(".jp-Notebook .jp-CodeCell").first.click()
    page.keyboard.press("Shift+Enter")

    expect(page.locator(".jp-OutputArea-output").first).to_contain_text("seven is 42")
    with page.expect_response(
        lambda reply: reply.request.method == "PUT" and "/api/contents/" in reply.url
    ) as saved:
        page.keyboard.press("Control+s")
    assert saved.value.status == 200
    stored = jupyter.folder / "notebooks" / name
    assert "seven is 42" in stored.read_text()


def test_a_kernel_ends_for_the_browser_with_the_session(
    jupyter: Stand, page: Page
) -> None:
    jupyter.open(page, "/lab/tree/plain.ipynb?reset", "ada")
    ready = re.compile(r"ipykernel\) \| Idle.*plain\.ipynb")
    expect(page.locator("#jp-bottom-panel")).to_contain_text(ready)
    other = page.context.new_page()
    other.goto(f"{jupyter.url}/.gateway/account")

    other.get_by_role("button", name="Sign out").first.click()

    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Disconnected")
