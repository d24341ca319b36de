"""Prometheus behind the gateway: docs/apps/prometheus.md."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.apps.stand import Stand

pytestmark = pytest.mark.browser

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def prometheus(run: Callable[[str], Stand]) -> Stand:
    return run("prometheus")


@pytest.mark.parametrize(
    "path", ["/-/quit", "/-/reload", "/api/v1/admin/tsdb/snapshot"]
)
def test_administration_is_for_admins(prometheus: Stand, path: str) -> None:
    plain = prometheus.ask("POST", path)
    member = prometheus.ask("POST", path, user="mo")
    admin = prometheus.ask("POST", path, user="ada")

    assert (plain.status, member.status) == (401, 403)
    assert "not enabled" in admin.text or "disabled" in admin.text


def test_a_query_and_its_page(prometheus: Stand, page: Page) -> None:
    query = prometheus.ask("POST", "/api/v1/query", FORM, b"query=1%2B1", user="mo")
    prometheus.open(page, "/graph?g0.expr=vector(6*7)&g0.tab=1", "mo")

    assert query.json()["data"]["result"][1] == "2"
    expect(page.get_by_text("42", exact=True).first).to_be_visible()
