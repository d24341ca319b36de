"""Installs what a package-lock.json names: once, for as long as it names the same."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path


def node_modules(packages: Path, cache: Path) -> Path:
    """Install what the lock file in `packages` names; gives the node_modules.

    `cache` keeps it, so that only the first run asks a registry.
    """
    lock = (packages / "package-lock.json").read_bytes()
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(packages / name, folder)
            npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            npm += ["--fetch-retries=6", "--fetch-retry-mintimeout=2000"]
            done = subprocess.run(
                [*npm, "--prefer-offline"],
                check=False,
                cwd=folder,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            (folder / "installed").touch()
    return folder / "node_modules"


def unpinned(packages: Path) -> list[str]:
    """Name what the lock file takes from a named registry, or without a checksum."""
    lock = json.loads((packages / "package-lock.json").read_text(encoding="utf-8"))
    return [
        name
        for name, package in lock["packages"].items()
        if name and ("resolved" in package or "integrity" not in package)
    ]
