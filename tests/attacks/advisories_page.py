"""The page docs/advisories.md: which test is for which advisory.

    python -m tests.attacks.advisories_page > docs/advisories.md

It is made of tests/vectors/advisories.json and of what pytest collects, so it names
tests that exist.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
VECTORS: Final = ROOT / "tests/vectors/advisories.json"
CLASSES: Final = {
    "P": "Path and URL representation",
    "H": "Headers of clients",
    "X": "Trusted proxies, client addresses, hosts",
    "R": "Redirects",
    "S": "Sessions, cookies, sign-out",
    "J": "Tokens and keys",
    "A": "Authorisation, failing open",
    "N": "Framing, WebSockets, limits",
    "U": "Pages and logs",
}
INTRODUCTION: Final = """\
# Advisories

Attacks that worked on gateways and proxies of the same kind, and the test that shows that they do not work here.
Each test sends the request through real sockets and looks at what the client received and at what the upstream saw.
Test files are below `tests/attacks/`. This page is generated:
`python -m tests.attacks.advisories_page > docs/advisories.md`.
"""
# The id is the beginning of a function's name, or a parameter in brackets.
_ID: Final = re.compile(r"::test_([phxrsjanu]\d+)_|[\[-]([PHXRSJANU]\d+)(?=[\]-])")


def rows() -> list[dict[str, Any]]:
    """Read the advisories."""
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return found


@lru_cache
def collected() -> dict[str, list[str]]:
    """Give the tests of each advisory, as pytest collects them."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/attacks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = defaultdict(list)
    for line in ran.stdout.splitlines():
        place, _, _ = line.partition("[")
        if not place.startswith("tests/attacks/test_advisories_"):
            continue
        name = place.removeprefix("tests/attacks/")
        for match in _ID.finditer(line):
            advisory = (match[1] or match[2]).upper()
            if name not in found[advisory]:
                found[advisory].append(name)
    return found


def page() -> str:
    """Write the page."""
    tests = collected()
    lines = [INTRODUCTION]
    for letter, title in CLASSES.items():
        lines += [f"## {title}", "", "| id | advisory | property | shown by |"]
        lines += ["| --- | --- | --- | --- |"]
        for row in rows():
            if row["id"][0] != letter:
                continue
            shown = "<br>".join(f"`{name}`" for name in sorted(tests[row["id"]]))
            if "left_out" in row:
                shown = f"not applicable: {row['left_out']}"
            named = ", ".join(row["advisories"])
            lines.append(f"| {row['id']} | {named} | {row['property']} | {shown} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
