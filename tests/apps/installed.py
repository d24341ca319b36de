"""Installs the apps of the pages, each in a folder of its own, once."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.apps.recipe import Recipe


def path_of(recipe: Recipe, cache: Path) -> str:
    """Return a PATH that has the programs of a page; installs them if they are not."""
    here = str(Path(sys.executable).parent)
    searched = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    if recipe.name in _DEVELOPMENT:
        return f"{here}:{searched}"
    if recipe.installer == "apt-get":
        found = shutil.which(recipe.name, path=searched)
        assert found, f"sudo apt-get install {' '.join(recipe.packages)}"
        return searched
    stated = json.dumps([recipe.installer, recipe.packages])
    folder = cache / f"{recipe.name}-{hashlib.sha256(stated.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _INSTALLERS[recipe.installer](folder, recipe.packages)
            (folder / "installed").touch()
    programs = {"pip": "venv/bin", "npm": "node_modules/.bin"}[recipe.installer]
    return f"{folder / programs}:{searched}"


_DEVELOPMENT = {"django"}
"""Apps that requirements/dev.lock has."""


def _pip(folder: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(folder / "venv", ignore_errors=True)
    _run(folder, sys.executable, "-m", "venv", "venv")
    _run(folder, "venv/bin/pip", "install", "--quiet", "--retries", "10", *packages)


def _npm(folder: Path, packages: tuple[str, ...]) -> None:
    # @verdaccio's packages ask for a tag of node-fetch, which mirrors do not keep.
    document = {"private": True, "overrides": {"node-fetch": "2.7.0"}}
    (folder / "package.json").write_text(json.dumps(document))
    _run(folder, "npm", "install", "--no-audit", "--no-fund", *packages)


def _run(folder: Path, *words: str) -> None:
    done = subprocess.run(
        words, cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


_INSTALLERS = {"pip": _pip, "npm": _npm}
