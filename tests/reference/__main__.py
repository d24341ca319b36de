"""`python -m tests.reference`: write the reference pages that follow from the code.

With `--check` nothing is written; exit code 1 if a page is not up to date.
"""

import sys

from tests.reference.pages import PAGES, ROOT, modules

stale = []
for name, page in PAGES.items():
    path, text = ROOT / "docs" / name, page()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
if stale and "--check" in sys.argv:
    sys.exit(f"fix: python -m tests.reference ({', '.join(stale)} not up to date)")
if "--check" not in sys.argv:
    (ROOT / "docs" / "modules.md").write_text(modules(), encoding="utf-8")
