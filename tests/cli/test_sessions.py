"""`gateway sessions`, on a real server."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.sessions.cookie import SessionToken
from gateway.sessions.record import Device, Identity, Session
from tests.servers import Server, free_port, valkey_server
from tests.sessions.opened import opened
from tests.sessions.samples import a_key, a_session

Run: TypeAlias = Callable[..., Result]
CONFIG = """\
version: 1
server: {public_url: https://app.example.com}
redis: {url: "%s", timeout: 20s}
sessions: {max_per_identity: 2}
upstreams:
  app: {url: http://127.0.0.1:3000}
routes:
  - {match: /**, rule: protected, upstream: app}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    server.command_line("FLUSHALL")
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG % server.url)
    return lambda *words: CliRunner().invoke(cli, ["sessions", *words, "-c", str(path)])


def made(run: Run, *words: str) -> dict[str, Any]:
    answer = run("create", "--identity", "u_ada", "--json", *words)
    assert answer.exit_code == 0, answer.output
    made: dict[str, Any] = json.loads(answer.output)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "--identity", ""],
        ["create", "--identity", "a\nb"],
        ["create", "--identity", "u", "--role", ""],
        ["create", "--identity", "u", "--trait", "x"],
        ["create", "--identity", "u", "--tenant", "t"],
        ["create", "--identity", "u", "--active-tenant", "t"],
        ["create", "--identity", "u", "--trait", "x=" + "x" * 70_000],
        ["list", "--limit", "0"],
        ["list", "--limit", "1001"],
        ["list", "--cursor", "x"],
        ["list", "--cursor", "-1"],
        ["list", "--cursor", "١"],
        ["list", "--identity", "u", "--cursor", "1"],
        ["show"],
        ["revoke-all"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(run: Run, words: list[str]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nobody"],
        ["revoke", "nobody"],
        ["revoke-all", "--identity", "u_ada", "--except", "nobody"],
        ["list", "--identity", "u", "--redis", "embedded"],
        ["list", "--identity", "u", "--redis", "redis://u:hunter2@h:x"],
        ["list", "--identity", "u", "--redis", "redis://u:hunter2@127.0.0.1:{port}"],
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(run: Run, words: list[str]) -> None:
    port = free_port()
    answer = run(*(word.replace("{port}", str(port)) for word in words))

    assert answer.exit_code == 1
    assert answer.output.startswith("error: ")
    assert "hunter2" not in answer.output


def test_a_session_that_was_made_is_the_one_that_the_token_opens(
    run: Run, server: Server
) -> None:
    answer = made(
        run,
        *("--trait", "email=ada@example.com", "--role", "admin"),
        *("--tenant", "t_acme=owner=Acme", "--aal", "aal2"),
    )

    async def load() -> Session:
        async with opened(server.url) as store:
            found = await store.load(SessionToken(answer["token"]).key)
            assert isinstance(found, Session)
            return found

    session = asyncio.run(load())
    assert session.id == answer["session"]["id"]
    assert session.identity.traits == {"email": "ada@example.com"}
    assert session.identity.roles == ("admin",)
    assert session.active_tenant_id == "t_acme"
    assert session.aal == "aal2"
    assert answer["cookie"] == f"__Host-gateway_session={answer['token']}"


def test_create_prints_a_ready_cookie_line(run: Run) -> None:
    answer = run("create", "--identity", "u_ada")

    assert "\nCookie: __Host-gateway_session=" in answer.output
    assert answer.exit_code == 0


def test_list_and_show_never_print_a_token(run: Run) -> None:
    answer = made(run)
    shown = run("show", answer["session"]["id"]).output
    reported = [
        run("list", "--identity", "u_ada", *form).output for form in ([], ["--json"])
    ]

    assert json.loads(shown) == answer["session"]
    assert json.loads(reported[1]) == [answer["session"]]
    assert answer["session"]["id"] in reported[0]
    for output in (shown, *reported):
        assert answer["token"] not in output
        assert SessionToken(answer["token"]).key not in output


def test_without_an_identity_the_sessions_of_all_are_listed(
    run: Run, server: Server
) -> None:
    ada, ben = made(run), made(run, "--identity", "u_ben")
    revoked = made(run)["session"]["id"]
    run("revoke", revoked)
    server.command_line("SET", "gateway:session:" + "x" * 64, "not one")
    server.command_line("SET", "gateway:session:" + "0" * 64, "not one")

    reported, read = run("list").output, json.loads(run("list", "--json").output)

    assert "u_ada" in reported
    assert revoked not in reported
    assert reported.endswith("\n2 sessions of 2 identities\n")
    ids = {each["session"]["id"] for each in (ada, ben)}
    assert {each["id"] for each in read.pop("items")} == ids
    assert read == {"sessions": 2, "identities": 2, "cursor": None}


def test_pages_continue_at_the_cursor_and_list_every_session(
    run: Run, server: Server
) -> None:
    """Among many more keys of others."""
    server.command_line("DEBUG", "POPULATE", "3000")

    async def fill() -> None:
        async with opened(server.url) as store:
            for number in range(60):
                now = time.time()
                session = replace(
                    a_session(identity=Identity(id=f"u_{number}")),
                    id=f"s_{number}",
                    expires_at=now + 600,
                )
                await store.create(f"{number:064x}", session, now)

    asyncio.run(fill())
    found: list[str] = []
    cursor: str | None = "0"
    pages = 0
    while cursor is not None:
        page = json.loads(
            run("list", "--limit", "20", "--cursor", cursor, "--json").output
        )
        assert page["sessions"] < 60
        found += (each["identity"]["id"] for each in page["items"])
        cursor, pages = page["cursor"], pages + 1

    assert pages > 1
    assert set(found) == {f"u_{number}" for number in range(60)}


def test_what_a_browser_called_itself_does_not_steer_the_terminal(
    run: Run, server: Server
) -> None:
    device = Device(ip_address="203.0.113.9", user_agent="\x1b[2Jx\r\n")
    session = a_session(devices=(device,), expires_at=4e9)

    async def create() -> None:
        async with opened(server.url) as store:
            await store.create(a_key(), session, session.issued_at)

    asyncio.run(create())

    reported = run("list", "--identity", "u_ada").output
    assert "203.0.113.9 ?[2Jx??" in reported
    assert "\x1b" not in reported + run("show", session.id).output


def test_revoke_ends_one_session_and_reports_it_once(run: Run) -> None:
    session_id = made(run)["session"]["id"]

    assert run("revoke", session_id).output == "revoked the session of u_ada\n"
    assert json.loads(run("show", session_id).output)["active"] is False
    assert run("revoke", session_id).exit_code == 1


def test_revoke_in_json_gives_the_ended_session(run: Run) -> None:
    session_id = made(run)["session"]["id"]
    ended = json.loads(run("revoke", session_id, "--json").output)

    assert (ended["active"], ended["ended_reason"]) == (False, "revoked")


def test_revoke_all_spares_the_one_that_is_named(run: Run) -> None:
    first, second = made(run)["session"]["id"], made(run)["session"]["id"]

    answer = run("revoke-all", "--identity", "u_ada", "--except", second)
    assert answer.output == "revoked 1 session\n"
    assert json.loads(run("show", first).output)["active"] is False
    answer = run("revoke-all", "--identity", "u_ada", "--json")
    assert json.loads(answer.output) == {"ended": 1}
    assert run("revoke-all", "--identity", "u_ada").output == "revoked 0 sessions\n"


def test_the_oldest_end_at_the_limit_of_the_configuration(run: Run) -> None:
    ended = [made(run)["ended"] for _ in range(3)]

    assert ended == [0, 0, 1]
    last = run("create", "--identity", "u_ada").output
    assert "1 older sessions ended" in last


def test_a_missing_configuration_is_reported(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        cli, ["sessions", "show", "x", "-c", str(tmp_path / "none.yaml")]
    )

    assert answer.exit_code == 1
