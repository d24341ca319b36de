"""`python -m tests.reference`: write the reference pages that follow from the code."""

from tests.reference.pages import PAGES, ROOT

for name, page in PAGES.items():
    (ROOT / "docs" / name).write_text(page(), encoding="utf-8")
