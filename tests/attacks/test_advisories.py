"""Every advisory has a test by its id, or a reason why it cannot apply."""

import pytest

from tests.attacks.advisories_page import ROOT, page, rows, shown_by


@pytest.fixture(scope="module")
def tests() -> dict[str, list[str]]:
    return shown_by()


def test_every_advisory_is_tested_or_left_out_with_a_reason(
    tests: dict[str, list[str]],
) -> None:
    known = {row["id"]: row for row in rows()}

    assert len(known) == len(rows()) == 183
    for name, row in known.items():
        assert row["advisories"], name
        assert row["property"].endswith("."), name
        assert ("left_out" in row) != bool(tests.get(name)), name
        assert row.get("left_out", ".").endswith("."), name


def test_no_test_is_for_an_advisory_that_is_not_listed(
    tests: dict[str, list[str]],
) -> None:
    assert set(tests) <= {row["id"] for row in rows()}


def test_the_page_is_current() -> None:
    """If this fails: python -m tests.attacks.advisories_page > docs/advisories.md."""
    assert (ROOT / "docs/advisories.md").read_text() == page()
