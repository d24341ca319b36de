"""The documentation says nothing that is not there."""

import importlib
import re
from pathlib import Path

import pytest

from gateway.config.load import parse_config

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r'(?:src|srcset)="([^"]+)"')
_PATH = re.compile(
    r"`(gateway/(?:\w+/)*(?:\w+\.py)?|(?:tests|config|deploy|docs)/[\w./-]*)`"
)
_TEST = re.compile(r"`((?:\w+/)?test_\w+\.py)`")
_MAKE = re.compile(r"(?:^|`)make ([a-z]+)\b", re.MULTILINE)
_ROW = re.compile(r"^\| `(\w+)` \| `(gateway/\S+\.py)` \|$", re.MULTILINE)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for line in prose(path).splitlines():
        if line.startswith("#"):
            title = line.lstrip("#").strip().lower().replace("`", "")
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


def configurations() -> list[object]:
    """Every YAML block that is a whole configuration, with where it stands."""
    return [
        pytest.param(page, text, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(
            _FENCE.findall(page.read_text(encoding="utf-8"))
        )
        if language == "yaml" and text.startswith("version:")
    ]


WALK = ROOT / "docs" / "walk.md"
SYMBOLS = _ROW.findall(WALK.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = prose(page)

    lost = []
    for link in (*_LINK.findall(text), *_IMAGE.findall(text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)

    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    tests = set(_TEST.findall(text))
    named = {f"tests/{test}" for test in tests} | set(_PATH.findall(text)) - tests

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize(("symbol", "file"), SYMBOLS, ids=[s for s, _ in SYMBOLS])
def test_every_symbol_of_the_walk_is_defined_where_the_table_says(
    symbol: str, file: str
) -> None:
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    found = getattr(importlib.import_module(module), symbol)

    assert getattr(found, "__module__", module) == module


def test_the_table_of_the_walk_names_each_symbol_once_and_none_in_vain() -> None:
    names = [symbol for symbol, _ in SYMBOLS]
    story = WALK.read_text(encoding="utf-8").partition("\n## Where it is\n")[0]

    assert len(names) > 30
    assert sorted(set(names)) == sorted(names)
    assert [each for each in names if not re.search(rf"\b{each}\b", story)] == []


@pytest.mark.parametrize(("page", "text"), configurations())
def test_every_whole_configuration_loads(page: Path, text: str) -> None:
    loaded = parse_config(text.encode(), path=page, env={})

    assert loaded.config.routes
    assert [str(warning) for warning in loaded.warnings] == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))

    named = {
        target
        for page in PAGES
        for target in _MAKE.findall(page.read_text(encoding="utf-8"))
    }

    assert named
    assert named - known == set()


def test_the_readme_shows_how_the_tests_are_run() -> None:
    blocks = _FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))

    assert ("sh", "make test\n") in blocks
    assert ("sh", "make run\n") in blocks


def test_decisions_are_numbered_and_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")

    numbers = [int(page.name[:4]) for page in DECISIONS]

    assert len(set(numbers)) == len(numbers)
    assert [p.name for p in DECISIONS if f"decisions/{p.name}" not in index] == []


@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_a_decision_has_its_four_parts_and_fits_a_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert text.startswith(f"# {page.name[:4]} ")
    assert parts == [
        "Context",
        "Decision",
        "Consequences",
        "When to revisit",
    ]
    assert text.count("\n") < 50
