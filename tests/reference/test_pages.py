"""The generated pages are those of the code."""

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
