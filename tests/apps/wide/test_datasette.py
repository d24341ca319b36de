"""Datasette with an actor of the gateway: docs/apps/datasette.md."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser


@pytest.fixture
def datasette(run: Callable[[str], Stand]) -> Stand:
    return run("datasette")


def test_no_header_of_a_client_is_an_actor(datasette: Stand) -> None:
    forged = {"X-Auth-User-Id": "u_ada", "X-Auth-Role": "admin"}

    plain = datasette.ask("GET", "/payroll.json", forged)
    other = datasette.ask("GET", "/payroll.json", forged, user="zoe")
    directly = datasette.ask("GET", "/cities.json", port=datasette.app_port)

    assert (plain.status, other.status, directly.status) == (401, 403, 403)


def test_the_actor_has_the_name_and_the_roles(datasette: Stand) -> None:
    reply = datasette.ask("GET", "/-/actor.json", user="zoe")

    assert reply.json()["actor"] == {
        "id": "u_zoe",
        "name": "Zo\u00eb B\u00e9b\u00e9",
        "roles": ["staff"],
    }


def test_a_query_runs_and_an_export_streams(datasette: Stand, page: Page) -> None:
    datasette.open(page, "/payroll", "ada")
    page.get_by_role("link", name="rows", exact=True).first.click()

    expect(page.get_by_text("a row of payroll")).to_be_visible()
    sql = "/cities?sql=select+%27Zo%C3%AB%25%27+as+x%3B"
    page.goto(f"{datasette.url}{sql}")
    expect(page.locator("table.rows-and-columns")).to_contain_text("Zo\u00eb%")
    export = datasette.ask("GET", "/payroll/rows.csv?_stream=on", user="ada")
    assert export.text.splitlines()[1] == "1,a row of payroll"
