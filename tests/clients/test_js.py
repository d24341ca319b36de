"""The package: its own tests, its types, its sizes, and session.js."""

import gzip
import json
from pathlib import Path

import pytest

from tests.clients.building import SOURCE, built, node
from tests.npm import unpinned

pytestmark = pytest.mark.needs("npm")

SCRIPT = SOURCE.parents[1] / "gateway" / "server" / "endpoints" / "session.js"
BUDGETS = {"index": 3000, "react": 3050, "server": 2350}
"""Bytes after minifying and gzip, with all that the entry imports except React."""


@pytest.fixture(scope="module")
def package(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Path:
    return built(tmp_path_factory.mktemp("clients"), pytestconfig.cache.mkdir("npm"))


def test_it_passes_its_own_tests(package: Path) -> None:
    tests = sorted(str(each) for each in (package / "test").glob("*.test.mjs"))

    report = node(package, "--test", *tests)

    assert "# fail 0" in report.replace("ℹ", "#")


def test_the_script_is_what_the_source_builds(package: Path) -> None:
    """To mend it: `npm run build` in clients/js."""
    made = package / "session.js"

    node(package, "build.mjs", str(made))

    assert made.read_bytes() == SCRIPT.read_bytes()
    assert len(made.read_bytes()) < 4000


@pytest.mark.parametrize("entry", BUDGETS)
def test_an_entry_keeps_its_budget(package: Path, entry: str) -> None:
    bundle = package / f"{entry}.min.js"
    options = ("--bundle", "--minify", "--format=esm", "--external:react")

    node(
        package,
        "node_modules/esbuild/bin/esbuild",
        f"dist/{entry}.js",
        f"--outfile={bundle}",
        *options,
    )

    assert len(gzip.compress(bundle.read_bytes(), 9)) <= BUDGETS[entry]


def test_the_examples_have_the_types_that_they_name(package: Path) -> None:
    """A compiled file per entry: `"use client"` stays, and TypeScript reads the exports."""
    node(package, "node_modules/typescript/bin/tsc", "-p", "test/tsconfig.json")

    assert (package / "dist/react.js").read_text().startswith('"use client"')
    assert (package / "dist/next-refresh.js").read_text().startswith('"use client"')


def test_it_needs_nothing_and_its_tools_are_pinned() -> None:
    document = json.loads((SOURCE / "package.json").read_text())

    assert "dependencies" not in document
    assert set(document["peerDependencies"]) == {"next", "react"}
    assert all(version[0].isdigit() for version in document["devDependencies"].values())
    assert unpinned(SOURCE) == []
