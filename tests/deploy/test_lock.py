"""The locks are whole, fit the project, and name no place that things come from."""

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("gateway", "build", "demo", "dev")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MEND = "mend: make lock"


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> Version:
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return Version(only.version)


def pins_of(lock: str) -> dict[str, Pin]:
    """What is installed from a lock by this Python, on this platform."""
    text = (ROOT / f"requirements/{lock}.lock").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: dict[str, Pin] = {}
    for line in lines:
        words, *hashes = line.split(" --hash=")
        pin = Pin(Requirement(words), tuple(each.strip() for each in hashes))
        if pin.requirement.marker is None or pin.requirement.marker.evaluate():
            name = canonicalize_name(pin.requirement.name)
            assert name not in found, f"{name} is there twice"
            found[name] = pin
    return found


PINS = {lock: pins_of(lock) for lock in LOCKS}


def up_to(lock: str) -> dict[str, Pin]:
    """What is installed for one purpose: its lock, and those before it."""
    alone = ("gateway",) if lock == "gateway" else LOCKS[: LOCKS.index(lock) + 1]
    return {name: pin for each in alone for name, pin in PINS[each].items()}


def asked_by(group: str) -> list[str]:
    found: list[str] = []
    for each in PROJECT["dependency-groups"][group]:
        found += [each] if isinstance(each, str) else asked_by(each["include-group"])
    return found


REQUESTED = {
    "gateway": PROJECT["project"]["dependencies"],
    "build": asked_by("build") + PROJECT["build-system"]["requires"],
    "demo": PROJECT["project"]["optional-dependencies"]["demo"],
    "dev": asked_by("test") + asked_by("lint"),
}


@pytest.mark.parametrize("lock", LOCKS)
def test_what_the_project_asks_for_is_in_its_lock(lock: str) -> None:
    found = up_to(lock)

    for text in REQUESTED[lock]:
        wanted = Requirement(text)
        pin = found.get(canonicalize_name(wanted.name))
        assert pin is not None, f"{text} is not locked; {MEND}"
        assert pin.version in wanted.specifier, f"{text}: {pin.version}; {MEND}"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_version_has_its_checksums_and_no_file_an_address(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.lock").read_text()

    assert "://" not in text
    assert "--index-url" not in text

    for pin in PINS[lock].values():
        assert pin.hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in pin.hashes)


def test_no_package_is_locked_twice() -> None:
    names = [name for lock in LOCKS for name in PINS[lock]]

    assert len(names) == len(set(names))


def test_what_the_locked_need_themselves_is_locked_and_fits() -> None:
    """So pip, which takes nothing without a checksum here, finds all of it."""
    found = up_to("dev")
    seen = 0
    todo = [(name, extra) for name, pin in found.items() for extra in extras(pin)]
    for name, extra in todo:
        for text in needs_of(name):
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": extra}):
                continue
            pin = found.get(canonicalize_name(need.name))
            assert pin is not None, f"{name} needs {text}; {MEND}"
            assert pin.version in need.specifier, f"{name} needs {text}; {MEND}"
            seen += 1

    assert seen > len(PINS["gateway"])


def extras(pin: Pin) -> set[str]:
    return {"", *pin.requirement.extras}


def needs_of(name: str) -> list[str]:
    return metadata.requires(name) or []


def test_what_is_installed_here_is_what_is_locked() -> None:
    for name, pin in up_to("dev").items():
        assert Version(metadata.version(name)) == pin.version, f"{name}: make check"


def test_the_image_and_the_makefile_install_from_every_lock() -> None:
    image = (ROOT / "Dockerfile").read_text()
    makefile = (ROOT / "Makefile").read_text()

    for lock in LOCKS:
        assert f"-r requirements/{lock}.lock" in makefile
        assert (f"requirements/{lock}.lock" in image) is (lock != "dev")
    assert image.count("--require-hashes") == 3
