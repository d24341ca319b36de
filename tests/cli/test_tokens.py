"""`gateway tokens`, on a real server."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.servers import Server, valkey_server

Run: TypeAlias = Callable[..., Result]
CONFIG = """\
version: 1
server: {public_url: https://app.example.com}
redis: {url: "%s", timeout: 20s}
upstreams:
  app: {url: http://127.0.0.1:3000, session_cookie: forward}
routes:
  - {match: /**, rule: protected, upstream: app, credentials: [bearer]}
"""
OWN = ("create", "--identity", "u_ada", "--name", "ci")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture(params=["gateway", "better-auth"])
def run(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Run:
    """Run a command, also beside the sessions of an app."""
    server.command_line("FLUSHALL")
    path = tmp_path / "gateway.yaml"
    sessions = (
        ""
        if request.param == "gateway"
        else "sessions: {format: better-auth, secrets: [a-secret-of-32-characters-or-so]}\n"
    )
    path.write_text(CONFIG % server.url + sessions)

    def command(*words: str, group: str = "tokens") -> Result:
        return CliRunner().invoke(cli, [group, *words, "-c", str(path)])

    return command


def made(run: Run, *words: str) -> dict[str, Any]:
    answer = run(*OWN, "--json", *words)
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.output)
    return found


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["create", "--name", "ci"], id="no identity"),
        pytest.param(["create", "--identity", "u"], id="no name"),
        pytest.param(["create", "--identity", "u", "--name", ""], id="an empty name"),
        pytest.param(["create", "--identity", "u", "--name", "a\nb"], id="two lines"),
        pytest.param([*OWN, "--expires", "never"], id="no end"),
        pytest.param([*OWN, "--expires", "0d"], id="an end at once"),
        pytest.param([*OWN, "--expires", "90"], id="no unit"),
        pytest.param([*OWN, "--expires", "9999d"], id="too long"),
        pytest.param([*OWN, "--tenant", "t"], id="no role"),
        pytest.param([*OWN, "--active-tenant", "t"], id="no member"),
        pytest.param([*OWN, "--aal", "aal2"], id="a level"),
        pytest.param(["revoke"], id="which"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    run: Run, server: Server, words: list[str]
) -> None:
    assert run(*words).exit_code == 2
    assert server.command_line("KEYS", "*") == []


def test_a_token_is_printed_once_and_stored_as_its_hash(
    run: Run, server: Server
) -> None:
    answer = run(*OWN, "--role", "editor", "--tenant", "t_acme=owner=Acme")

    lines = dict(line.split(maxsplit=1) for line in answer.output.splitlines())
    digest = sha256(lines["token"].encode()).hexdigest()
    record = json.loads(server.command_line("GET", f"gateway:session:{digest}"))
    listed = run("list")

    assert record["id"] == lines["id"]
    assert record["identity"]["roles"] == ["editor"]
    assert record["active_tenant_id"] == "t_acme"
    assert record["gateway_token"] == {"name": "ci"}
    assert lines["token"] not in listed.output
    assert lines["id"] in listed.output
    assert "never" in listed.output


@pytest.mark.parametrize(("words", "days"), [((), 90), (("--expires", "36h"), 1.5)])
def test_it_lives_as_long_as_was_set(
    run: Run, words: tuple[str, ...], days: float
) -> None:
    session = made(run, *words)["session"]

    began, ends = (
        datetime.fromisoformat(session[name]) for name in ("issued_at", "expires_at")
    )
    assert (ends - began).total_seconds() == pytest.approx(days * 86_400)


def test_those_of_all_and_of_one_are_listed(run: Run) -> None:
    made(run)
    run("create", "--identity", "u_other", "--name", "x")

    everybody = json.loads(run("list", "--json").output)
    one = json.loads(run("list", "--json", "--identity", "u_other").output)

    assert [each["gateway_token"]["name"] for each in everybody] == ["x", "ci"]
    assert [each["gateway_token"]["name"] for each in one] == ["x"]


def test_a_token_is_revoked_by_its_id(run: Run) -> None:
    session = made(run)["session"]

    assert "revoked the access token ci of u_ada" in run("revoke", session["id"]).output
    assert run("revoke", session["id"]).exit_code == 1
    assert json.loads(run("list", "--json").output) == []


@pytest.mark.parametrize("run", ["gateway"], indirect=True)
def test_a_session_is_no_token_and_a_token_is_no_session(run: Run) -> None:
    made(run)
    created = run("create", "--identity", "u_ada", "--json", group="sessions")
    session = json.loads(created.output)["session"]

    listed = run("list", "--identity", "u_ada", "--json", group="sessions")

    assert [each["id"] for each in json.loads(listed.output)] == [session["id"]]
    assert run("revoke", session["id"]).exit_code == 1
    assert (
        "2 sessions"
        in run("revoke-all", "--identity", "u_ada", group="sessions").output
    )
    assert json.loads(run("list", "--json").output) == []
