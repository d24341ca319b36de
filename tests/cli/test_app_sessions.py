"""`gateway sessions` and `gateway explain` with the sessions of an app."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.servers import Server, valkey_server

SID = "5e55105e" * 4
HASH = hashlib.sha256(SID.encode()).hexdigest()
Run: TypeAlias = Callable[..., Result]
CONFIG = """\
version: 1
redis: {url: "%s"}
sign_in: {url: /login}
sessions:
  format: json
  cookie: {name: sid}
  profile: {id: "[0-9a-f]{32}", key: "s:{id}", identity: $.user.id, roles: $.user.roles}
upstreams:
  app: {url: http://127.0.0.1:3000, session_cookie: forward}
routes:
  - {match: /**, rule: protected, upstream: app}
  - {match: /admin/**, rule: admin-only, upstream: app}
  - {match: /login, rule: auth-redirect, upstream: app}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    server.command_line("FLUSHALL")
    record = {"user": {"id": "u_ada", "roles": ["admin"]}}
    server.command_line("SET", f"s:{SID}", json.dumps(record), "EX", "60")
    server.command_line("SET", f"s:{'e' * 32}", "{}", "EX", "60")
    server.command_line("SET", f"s:{'d' * 32}", "{", "EX", "60")
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG % server.url)
    return lambda *words: CliRunner().invoke(cli, [*words, "-c", str(path)])


@pytest.mark.parametrize(
    "words", [("create", "--identity", "u"), ("list", "--identity", "u")]
)
def test_what_only_the_app_can_do_is_refused_with_the_reason(
    run: Run, words: tuple[str, str, str]
) -> None:
    answer = run("sessions", *words)

    assert answer.exit_code == 1
    assert "not available with sessions.format json" in answer.output


@pytest.mark.parametrize("named", [SID, HASH], ids=["its-id", "its-public-id"])
def test_a_session_is_shown_and_ended_by_either_name(run: Run, named: str) -> None:
    shown = run("sessions", "show", named)
    ended = run("sessions", "revoke", named)
    after = run("sessions", "show", named)

    assert json.loads(shown.output)["identity"]["id"] == "u_ada"
    assert (ended.exit_code, HASH in ended.output) == (0, True)
    assert json.loads(after.output)["active"] is False


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("unknown", "no such session"),
        ("f" * 32, "no such session"),
        ("f" * 64, "no such session"),
        ("e" * 32, "no user is signed in to this session"),
        ("d" * 32, "invalid session record: not strict JSON"),
    ],
)
def test_what_is_no_session_is_distinguished(
    run: Run, named: str, expected: str
) -> None:
    answer = run("sessions", "show", named)

    assert answer.exit_code == 1
    assert expected in answer.output


def test_a_session_whose_record_is_gone_can_be_ended_all_the_same(
    run: Run, server: Server
) -> None:
    server.command_line("DEL", f"s:{SID}")

    ended = run("sessions", "revoke", HASH, "--json")

    assert json.loads(ended.output) == {"id": HASH, "active": False}
    assert server.command_line("EXISTS", f"gateway:revoked:{HASH}") == 1


@pytest.mark.parametrize("long", ["a1" * 32, "session-of-express"])
def test_a_public_id_that_could_be_an_id_ends_what_it_names(
    run: Run, server: Server, tmp_path: Path, long: str
) -> None:
    key = hashlib.sha256(long.encode()).hexdigest()
    path = tmp_path / "gateway.yaml"
    path.write_text(path.read_text().replace("[0-9a-f]{32}", "[a-z0-9-]{16,64}"))
    record = {"user": {"id": "u_ada", "roles": []}}
    server.command_line("SET", f"s:{long}", json.dumps(record), "EX", "60")

    for named in (key, long):
        server.command_line("DEL", f"gateway:revoked:{key}")
        shown = run("sessions", "show", named)
        spared = run("sessions", "revoke-all", "--identity", "u_ada", "--except", named)
        alive = run("sessions", "show", named)
        ended = run("sessions", "revoke", named, "--json")
        after = run("sessions", "show", named)

        assert json.loads(shown.output)["active"] is True
        assert (spared.exit_code, json.loads(alive.output)["active"]) == (0, True)
        assert json.loads(ended.output)["id"] == key
        assert json.loads(after.output)["active"] is False


@pytest.mark.parametrize(("but", "active"), [((), False), (("--except", SID), True)])
def test_all_sessions_of_a_user_end_except_one(
    run: Run, but: tuple[str, ...], active: bool
) -> None:
    ended = run("sessions", "revoke-all", "--identity", "u_ada", *but)
    shown = run("sessions", "show", SID)
    anonymous = run("sessions", "revoke-all", "--identity", "u", "--except", "unknown")

    assert ended.exit_code == 0, ended.output
    assert json.loads(shown.output)["active"] is active
    assert anonymous.exit_code == 1


@pytest.mark.parametrize("named", [SID, HASH], ids=["its-id", "its-public-id"])
def test_how_a_request_would_be_handled_is_explained_without_secrets(
    run: Run, named: str
) -> None:
    answer = run("explain", "GET", "/admin", "--as", named)

    assert answer.exit_code == 0, answer.output
    assert "pass  an administrator" in answer.output
    assert "X-Auth-User-Id: u_ada" in answer.output
    assert SID not in answer.output
    assert HASH[:12] in answer.output


def test_a_guest_is_unauthenticated_and_a_revoked_session_too(run: Run) -> None:
    guest = run("explain", "GET", "/admin", "--as", "e" * 32)
    run("sessions", "revoke", SID)
    revoked = run("explain", "GET", "/admin", "--as", SID)
    unknown = run("explain", "GET", "/admin", "--as", "f" * 32)
    example = run("explain", "GET", "/admin", "--as", "admin")

    assert (guest.exit_code, "no_session" in guest.output) == (1, True)
    assert (revoked.exit_code, "session_revoked" in revoked.output) == (1, True)
    assert unknown.exit_code == 1
    assert "no session with the ID" in unknown.output
    assert example.exit_code == 0, example.output


def test_check_asks_redis_for_what_a_request_would_ask(
    run: Run, server: Server, tmp_path: Path
) -> None:
    right = run("check")
    rules = ("~gateway:*", "&*", "-@all", "+exists", "+mget", "+getrange", "+pttl")
    server.command_line("ACL", "SETUSER", "poor", "reset", "on", ">pw", *rules)
    poor = tmp_path / "poor.yaml"
    poor.write_text(CONFIG % server.url.replace("://", "://poor:pw@"))
    wrong = CliRunner().invoke(cli, ["check", "-c", str(poor)])

    assert right.exit_code == 0, right.output
    assert "json, cookie sid, keys %R~s:*" in right.output
    assert wrong.exit_code == 1
    assert "permission" in wrong.output.lower()


def test_a_mistake_in_the_format_is_reported_by_every_command(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.replace("[0-9a-f]{32}", ".*") % "redis://127.0.0.1:1")
    for words in (
        ("sessions", "show", SID),
        ("explain", "GET", "/", "--as", SID),
        ("check",),
    ):
        answer = CliRunner().invoke(cli, [*words, "-c", str(path)])
        assert answer.exit_code == 1
        assert "gateway.yaml:7:17" in answer.output


def test_all_sessions_end_with_the_rights_that_an_app_without_tokens_needs(
    server: Server, run: Run, tmp_path: Path
) -> None:
    rights = (
        "resetchannels %R~s:* ~gateway:revoked:* ~gateway:not-before:*"
        " ~gateway:issued:* %R~gateway:ping &gateway:sessions:ended -@all +getrange"
        " +pttl +mget +set +exists +publish +subscribe +unsubscribe +ping +select"
        " +info +wait"
    )
    server.command_line(
        "ACL", "SETUSER", "least", "reset", "on", ">pw", *rights.split()
    )
    path = tmp_path / "least.yaml"
    path.write_text(CONFIG % server.url.replace("://", "://least:pw@"))

    ended = CliRunner().invoke(
        cli, ["sessions", "revoke-all", "--identity", "u_ada", "-c", str(path)]
    )
    shown = run("sessions", "show", SID)

    assert ended.exit_code == 0, ended.output
    assert json.loads(shown.output)["active"] is False
