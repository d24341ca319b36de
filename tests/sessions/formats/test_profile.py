"""Times in records; and the Redis user that needs no more than to read."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest

from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.paths import parse_path
from gateway.sessions.formats.profile import TimeField, Unit
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.timestamps import LATEST
from tests.servers import PATIENCE, Server, packed, valkey_server
from tests.sessions.formats.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize(
    ("value", "unit", "found"),
    [
        pytest.param(None, Unit.SECONDS, None, id="nothing"),
        pytest.param(True, Unit.SECONDS, None, id="true"),
        pytest.param("1795219200", Unit.SECONDS, None, id="digits-as-text"),
        pytest.param(float("nan"), Unit.SECONDS, None, id="nan"),
        pytest.param(float("inf"), Unit.MILLISECONDS, None, id="infinity"),
        pytest.param(10**400, Unit.MILLISECONDS, None, id="beyond-floats"),
        pytest.param(-1, Unit.SECONDS, None, id="negative"),
        pytest.param(LATEST + 1, Unit.SECONDS, None, id="year-10000"),
        pytest.param(1795219200, Unit.ISO, None, id="number-where-text-is-due"),
        pytest.param("2026-11-21T00:00:00", Unit.ISO, None, id="no-zone"),
        pytest.param("2026-W47-6", Unit.ISO, None, id="week-date"),
        pytest.param("2026-11-21T00:00:00.000Z", Unit.ISO, 1795219200.0, id="iso"),
        pytest.param(1795219200, Unit.SECONDS, 1795219200.0, id="seconds"),
        pytest.param(1795219200500, Unit.MILLISECONDS, 1795219200.5, id="ms"),
    ],
)
def test_a_time_is_one_or_none(
    value: float | str | None, unit: Unit, found: float | None
) -> None:
    moment = TimeField(path=parse_path("$.t"), unit=unit)
    later = TimeField(path=parse_path("$.t"), unit=unit, plus=1e12)

    assert moment.find({"t": value}) == found
    assert later.find({"t": value}) == (None if found is None else LATEST)


class User:
    """A connection of the user that a gateway would have."""

    def __init__(self, path: Path, password: str) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.settimeout(PATIENCE)
        self._line.connect(str(path))
        self._reader = hiredis.Reader()
        assert self.ask("AUTH", "gateway", password) == b"OK"

    def ask(self, *words: int | str) -> Any:
        self._line.sendall(packed(*map(str, words)))
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._line.recv(65536))
        return answer

    def close(self) -> None:
        self._line.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("acl")) as running:
        yield running


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
def test_a_user_that_may_only_read_these_keys_is_enough(
    server: Server, scenario: Scenario
) -> None:
    profile = scenario.profile
    credential = read_credential(profile, [scenario.cookie])
    assert isinstance(credential, Credential)
    key = credential.record_key
    server.command_line("FLUSHALL")
    for name, stored in scenario.redis.keys.items():
        server.command_line("SET", name, stored.value or b"")
    server.command_line(
        *("ACL", "SETUSER", "gateway", "reset", "on", ">pass", *profile.acl()),
        *("%RW~gateway:*", "-@all", "+auth", "+getrange", "+get", "+pttl", "+mget"),
    )
    user = User(server.socket_path, "pass")

    try:
        assert user.ask("GETRANGE", key, 0, 65536) == scenario.redis.ask(key).value
        assert user.ask("PTTL", key) == -1
        assert user.ask("GET", "gateway:revoked:" + credential.key) is None
        for words in (
            ("SET", key, "x"),
            ("DEL", key),
            ("EXPIRE", key, "1"),
            ("GETDEL", key),
            ("GETEX", key, "EX", "1"),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("EVAL", "return 1", "0"),
            ("CONFIG", "GET", "*"),
        ):
            assert "NOPERM" in str(user.ask(*words)), words
        if scenario.expected["session_key"] != credential.value:  # not a bare id
            assert "NOPERM" in str(user.ask("GET", "other:" + credential.value))
    finally:
        user.close()


def test_a_bare_id_leaves_the_acl_nothing_to_narrow() -> None:
    profile = compile_format(
        FormatSettings(format="better-auth", key_prefix="", secrets=("a long secret",))
    )

    assert profile.acl() == ("%R~*",)
