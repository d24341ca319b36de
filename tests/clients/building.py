"""Builds clients/js in a folder of its own, with the packages of its lock file."""

import shutil
import subprocess
from pathlib import Path

from tests.npm import node_modules

SOURCE = Path(__file__).parents[2] / "clients" / "js"


def built(folder: Path, cache: Path) -> Path:
    """Copy the package to `folder`, compile it, and return where it is."""
    package = folder / "js"
    left_out = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(SOURCE, package, ignore=left_out)
    (package / "node_modules").symlink_to(node_modules(SOURCE, cache))
    node(package, "node_modules/typescript/bin/tsc", "-p", ".")
    return package


def node(folder: Path, *words: str) -> str:
    """Run node in `folder`; returns what it printed."""
    done = subprocess.run(
        ["node", *words], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
