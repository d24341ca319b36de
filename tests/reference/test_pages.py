"""The generated pages are those of the code."""

import re

import pytest

from gateway.reasons import Reason
from gateway.spine.local_paths import Endpoint
from tests.reference.advice import ADVICE, ENDPOINTS
from tests.reference.pages import PAGES, ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_generates(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert written == PAGES[name](), "run: python -m tests.reference"


def test_every_reason_has_advice_and_every_endpoint_a_description() -> None:
    assert set(ADVICE) == set(Reason)
    assert set(ENDPOINTS) == set(Endpoint)


def test_the_current_names_of_the_glossary_are_defined() -> None:
    table = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = table.partition("\n## Former names\n")[2].splitlines()
    current = [
        name
        for row in rows
        if row.startswith("|")
        for name in re.findall(r"`(\w+)`", row.split("|")[-2])
    ]
    code = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))

    missing = [
        name
        for name in current
        if not re.search(rf"(class|def) {name}\b|^{name}\b", code, re.MULTILINE)
    ]

    assert len(current) > 40
    assert missing == []
