"""No release with a known advisory is allowed, and the pages say which ones are."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUESTED = {
    str(canonicalize_name(one.name)): one
    for one in map(Requirement, PROJECT["project"]["dependencies"])
}
_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| ([0-9.]+) \| (.+) \|$", re.MULTILINE)
PAGE = (ROOT / "docs/dependencies.md").read_text()
FLOORS = {name: Version(floor) for name, floor, _ in _ROW.findall(PAGE)}


def floor_of(requirement: Requirement) -> Version:
    (lowest,) = (one for one in requirement.specifier if one.operator == ">=")
    return Version(lowest.version)


def test_every_dependency_has_a_floor_on_the_page_and_no_other_has() -> None:
    assert set(FLOORS) == set(REQUESTED)


@pytest.mark.parametrize("name", REQUESTED)
def test_the_lowest_allowed_version_is_the_one_on_the_page(name: str) -> None:
    assert floor_of(REQUESTED[name]) == FLOORS[name]


# What was the first release without an advisory when this was written: a floor may
# be raised above it, and never fall below.
FIXED = {
    "aiohttp": "3.14.3",
    "click": "8.3.3",
    "cryptography": "50.0.0",
    "jinja2": "3.1.6",
    "msgpack": "1.2.1",
    "orjson": "3.11.6",
    "pydantic": "2.4.0",
    "pyjwt": "2.15.0",
    "pyyaml": "5.4",
    "redis": "4.5.5",
}


@pytest.mark.parametrize(("name", "fixed"), FIXED.items())
def test_no_allowed_version_has_a_known_advisory(name: str, fixed: str) -> None:
    assert floor_of(REQUESTED[name]) >= Version(fixed)
