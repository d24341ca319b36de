"""The lock file fits the project and names public places only."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "uv.lock").read_text()


def ours() -> dict:
    packages = tomllib.loads(LOCK)["package"]
    return next(package for package in packages if package["name"] == "auth-gateway")


def wanted(requirements: list[str], extra: str = "") -> set[tuple[str, str, str]]:
    found = set()
    for text in requirements:
        name, limits = re.fullmatch(
            r"([\w.-]+)(?:\[\w+\])?([^;]*)(?:;.*)?", text
        ).groups()
        found.add((name.lower().replace("_", "-"), sorted_limits(limits), extra))
    return found


def locked(requirements: list[dict]) -> set[tuple[str, str, str]]:
    return {
        (
            entry["name"],
            sorted_limits(entry.get("specifier", "")),
            "demo" if "extra == 'demo'" in entry.get("marker", "") else "",
        )
        for entry in requirements
    }


def sorted_limits(text: str) -> str:
    return ",".join(sorted(text.replace(" ", "").split(",")))


def test_the_lock_is_of_the_requirements_in_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    asked = wanted(project["dependencies"])
    asked |= wanted(project["optional-dependencies"]["demo"], extra="demo")

    assert locked(ours()["metadata"]["requires-dist"]) == asked, "mend: make lock"


def test_the_lock_of_the_groups_is_of_those_in_pyproject():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    in_lock = ours()["metadata"]["requires-dev"]

    for name, requirements in groups.items():
        assert locked(in_lock[name]) == wanted(requirements), "mend: make lock"


def test_the_lock_names_the_public_index_only_and_a_hash_for_each_file():
    hosts = set(re.findall(r"https?://([^/\"]+)", LOCK))
    files = [line for line in LOCK.splitlines() if "files.pythonhosted.org" in line]

    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    assert all('hash = "sha256:' in line for line in files)
