"""A page of docs/apps/ as data: what to install, which files, which command, which YAML.

A paragraph that begins with a file's name is followed by the file. The block `sh`
that installs begins with pip, npm or apt-get; the last one starts the app. Commands of
the gateway are left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DOCUMENTED = {"gitea", "grafana"}
"""Apps that no registry has as a program: only what they are sent is tested."""

APPS = Path(__file__).parents[2] / "docs" / "apps"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]*\.\w+|config)`")
_INSTALL = re.compile(r"(pip|npm|apt-get) install (.+)\n", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one page shows.

    `installer` is pip, npm or apt-get, `packages` what it is given. `commands` are the
    blocks `sh` after that. `yaml` is the text of the first whole configuration.
    """

    name: str
    installer: str
    packages: tuple[str, ...]
    files: dict[str, str]
    commands: tuple[str, ...]
    yaml: str

    @property
    def port(self) -> int:
        """The port of the app on the page: that of its upstream in the YAML."""
        url: str = self.upstreams[self.name]["url"]
        return int(url.rpartition(":")[2])

    @property
    def upstreams(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.yaml)["upstreams"]
        return found


def read_recipe(name: str) -> Recipe:
    """Read the page docs/apps/<name>.md."""
    text = (APPS / f"{name}.md").read_text(encoding="utf-8")
    files: dict[str, str] = {}
    shell: list[str] = []
    whole: list[str] = []
    for block in _BLOCK.finditer(text):
        language, content = block[1], block[2]
        named = _FILE.match(text[: block.start()].rstrip().rpartition("\n\n")[2])
        if language == "yaml" and content.startswith("version:"):
            whole.append(content)
        elif language == "sh" and not content.startswith("gateway "):
            shell.append(content)
        elif named:
            files[named[1]] = content
    installing = _INSTALL.match(shell[0]) if shell else None
    assert installing or name in DOCUMENTED, f"{name}: the first sh block installs it"
    return Recipe(
        name=name,
        installer=installing[1] if installing else "",
        packages=tuple(installing[2].split()) if installing else (),
        files=files,
        commands=tuple(shell[1:]),
        yaml=whole[0],
    )


def pages() -> list[str]:
    """Name every page of docs/apps/."""
    return sorted(each.stem for each in APPS.glob("*.md"))
