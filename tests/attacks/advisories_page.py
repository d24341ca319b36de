"""The page docs/advisories.md: which test is for which advisory.

    python -m tests.attacks.advisories_page > docs/advisories.md

It is made of tests/vectors/advisories.json and of the tests themselves, so it names
those that exist.
"""

import importlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
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
    "O": "Sign-in with OpenID Connect",
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
_NAMED: Final = re.compile(r"test_([a-z]\d+)_").match


def rows() -> list[dict[str, Any]]:
    """Read the advisories."""
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())
    return found


def shown_by() -> dict[str, list[str]]:
    """Give the tests of each advisory.

    A test names its advisory as its parameter `advisory`, or in its own name after
    "test_".
    """
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(Path(__file__).parent.glob("test_advisories_*.py")):
        module = importlib.import_module(f"tests.attacks.{path.stem}")
        for name, test in vars(module).items():
            if not name.startswith("test_"):
                continue
            for advisory in _ids(name, test):
                found[advisory].append(f"{path.name}::{name}")
    return found


def _ids(name: str, test: Any) -> Iterator[str]:
    if named := _NAMED(name):
        yield named[1].upper()
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize" and mark.args[0] == "advisory":
            yield from mark.args[1]


def page() -> str:
    """Write the page."""
    tests = shown_by()
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
