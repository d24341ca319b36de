"""docs/architecture.md names every package, and what it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_package_is_in_the_list() -> None:
    named = set(re.findall(r"`(gateway/\w+(?:/|\.py))`", section("Packages")))
    present = {
        f"gateway/{path.name}" + ("/" if path.is_dir() else "")
        for path in (ROOT / "gateway").iterdir()
        if (path / "__init__.py").exists()
        or (path.suffix == ".py" and not path.name.startswith("__"))
    }

    assert named == present


@pytest.mark.parametrize(
    ("file", "symbol"),
    re.findall(r"`(gateway/[\w/]+\.py)`, (?:the table )?`([\w.]+)`", PAGE),
)
def test_what_a_row_names_is_in_its_file(file: str, symbol: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")

    assert all(re.search(rf"\b{part}\b", text) for part in symbol.split("."))


def test_every_kind_of_tests_has_a_row() -> None:
    guide = set(re.findall(r"`tests/(\w+)/`", section("Tests")))
    mirrored = {path.name for path in (ROOT / "gateway").iterdir()}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}

    assert folders - mirrored == guide - mirrored


def test_every_module_is_on_the_map() -> None:
    page = (ROOT / "docs/modules.md").read_text(encoding="utf-8")
    named = {
        f"{folder}/{name}"
        for folder, rows in re.findall(
            r"^## `(\S+)/`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
        )
        for name in re.findall(r"^\| `(\w+\.py)` \|", rows, re.MULTILINE)
    }
    present = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "gateway").rglob("*.py")
    }

    assert named == present, "run: python -m tests.reference"
