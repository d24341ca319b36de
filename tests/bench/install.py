"""The peers of the comparison, in a folder outside of the checkout.

`python -m tests.bench install` installs them in the versions that `peers/` pins: wheels
of PyPI in a virtual environment, packages of npm, oauth2-proxy built by Go. What
cannot be installed is reported with the reason, and the rest is installed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.systems.system import UnavailableError
from tests.npm import node_modules

PINNED: Final = Path(__file__).parent / "peers"
GO_MODULE: Final = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6"
DEBIAN: Final[Mapping[str, str]] = {
    "nginx": "nginx",
    "wrk": "wrk",
    "node": "nodejs",
    "npm": "npm",
    "go": "golang-go",
    "taskset": "util-linux",
}
LUA: Final = (
    "libnginx-mod-http-lua",
    "lua-nginx-redis",
    "lua-cjson",
    "lua-resty-core",
    "lua-resty-lrucache",
)


def default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "auth-gateway-bench"


@dataclass(frozen=True)
class Peers:
    """What is installed in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv/bin/python"

    def program(self, name: str) -> Path:
        """Return a program of a peer.

        Raises:
            UnavailableError: it is not installed.
        """
        for place in ("venv/bin", "bin"):
            if (found := self.folder / place / name).exists():
                return found
        raise UnavailableError(
            f"{name} is not installed: python -m tests.bench install"
        )

    def node_modules(self) -> Path:
        """Return the packages of npm.

        Raises:
            UnavailableError: they are not installed.
        """
        for found in self.folder.glob("node/*/installed"):
            return found.parent / "node_modules"
        raise UnavailableError(
            "its packages are not installed: python -m tests.bench install"
        )


def install(folder: Path) -> dict[str, str]:
    """Install everything; return for each part "installed" or why it is not."""
    folder.mkdir(parents=True, exist_ok=True)
    steps: dict[str, Callable[[Path], None]] = {
        "Debian's packages": _debian,
        "PyPI: " + ", ".join(_wheels()): _pip,
        "npm: " + ", ".join(_packages()): _npm,
        f"Go: {GO_MODULE}": _go,
    }
    found = {}
    for name, step in steps.items():
        try:
            step(folder)
            found[name] = "installed"
        except (OSError, subprocess.CalledProcessError, UnavailableError) as error:
            found[name] = _reason(error)
    return found


def _debian(_: Path) -> None:
    """Install what is missing as root; else say how."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [p for name, p in DEBIAN.items() if not shutil.which(name, path=path)]
    missing += [p for p in LUA if not Path(f"/usr/share/doc/{p}").exists()]
    if not missing:
        return
    command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UnavailableError(f"not installed; run: sudo {' '.join(command)}")
    _run(["apt-get", "-q", "update"])
    _run(command)


def _pip(folder: Path) -> None:
    venv = folder / "venv"
    if not (venv / "bin/python").exists():
        _run([sys.executable, "-m", "venv", str(venv)])
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet"]
    _run([*pip, "--require-hashes", "-r", str(PINNED / "requirements.lock")])


def _npm(folder: Path) -> None:
    # What an earlier version pinned would be found beside it.
    shutil.rmtree(folder / "node", ignore_errors=True)
    try:
        node_modules(PINNED, folder / "node")
    except AssertionError as error:
        raise UnavailableError(str(error)) from error


def _go(folder: Path) -> None:
    env = {**os.environ, "GOBIN": str(folder / "bin"), "GOFLAGS": "-trimpath"}
    _run(["go", "install", GO_MODULE], env=env)


def _wheels() -> list[str]:
    lines = (PINNED / "requirements.in").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def _packages() -> list[str]:
    found = json.loads((PINNED / "package.json").read_text())["dependencies"]
    return [f"{name} {version}" for name, version in found.items()]


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, env=env)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{' '.join(error.cmd[:3])} failed: {error.stderr.strip()[-400:]}"
    return str(error)
