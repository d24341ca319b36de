import json
from pathlib import Path

import pytest

from tests.bench.install import PINNED, Peers
from tests.bench.systems.system import UnavailableError
from tests.npm import unpinned


def test_packages_of_npm_are_pinned_and_name_no_registry() -> None:
    assert unpinned(PINNED) == []


def test_wheels_are_pinned_with_their_hashes() -> None:
    requested = [
        line
        for line in (PINNED / "requirements.in").read_text().splitlines()
        if not line.startswith("#")
    ]
    locked = (PINNED / "requirements.lock").read_text()

    assert requested
    for line in requested:
        assert f"{line} \\\n    --hash=sha256:" in locked, line


def test_the_versions_are_in_the_documentation() -> None:
    page = (PINNED.parents[2] / "docs/performance.md").read_text()
    packages = json.loads((PINNED / "package.json").read_text())["dependencies"]
    wheels = (PINNED / "requirements.in").read_text().splitlines()[1:]

    for name, version in [line.split("==") for line in wheels] + [*packages.items()]:
        assert f"{name} {version}" in page, name


def test_what_is_not_installed_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"python -m tests\.bench install"):
        Peers(tmp_path).program("caddy")
    with pytest.raises(UnavailableError, match=r"python -m tests\.bench install"):
        Peers(tmp_path).node_modules()
