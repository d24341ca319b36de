"""`gateway identities`, on a real server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.cli.test_sessions import CONFIG
from tests.servers import Server, free_port, valkey_server

Run: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    server.command_line("FLUSHALL")
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG % server.url)
    return lambda *words: CliRunner().invoke(cli, [*words, "-c", str(path)])


def signed_in(run: Run, identity: str) -> str:
    words = (
        "--role",
        "admin",
        "--tenant",
        "t_acme=owner=Acme",
        "--tenant",
        "t_b=member",
    )
    active = ("--active-tenant", "t_acme", "--trait", "email=a@b.example", "--json")
    made = run("sessions", "create", "--identity", identity, *words, *active)
    assert made.exit_code == 0, made.output
    session: dict[str, Any] = json.loads(made.output)["session"]
    return str(session["id"])


def shown(run: Run, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("sessions", "show", session_id).output)
    return found


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["set", "u_ada"], "nothing to change"),
        (["set", "u_ada", "--role", "a\nb"], "control characters"),
        (["set", "u_ada", "--role", "a", "--no-roles"], "exclude each other"),
        (["set", "u_ada", "--tenant", "t"], "expected ID=ROLE"),
        (["set", "u_ada", "--trait", "x"], "expected NAME=VALUE"),
        (["remove-tenant", "u_ada"], "TENANT_ID"),
        (["remove-tenant", "u_ada", ""], "is empty"),
    ],
)
def test_a_change_that_is_none_is_a_usage_error(
    run: Run, words: list[str], given: str
) -> None:
    session_id = signed_in(run, "u_ada")
    before = shown(run, session_id)

    answer = run("identities", *words)

    assert answer.exit_code == 2
    assert given in answer.output
    assert shown(run, session_id) == before


@pytest.mark.parametrize("identity", ["u_ada", "-dashed-id", "a:b/*", "ü"])
def test_a_membership_is_removed_from_every_session(run: Run, identity: str) -> None:
    ids = [signed_in(run, identity) for _ in range(2)]

    answer = run("identities", "remove-tenant", identity, "t_acme")
    again = run("identities", "remove-tenant", identity, "t_acme", "--json")

    assert (answer.exit_code, answer.output) == (0, "changed 2 sessions\n")
    assert json.loads(again.output) == {"changed": 0, "unchanged": 2}
    for each in ids:
        found = shown(run, each)
        assert (list(found["tenants"]), found["active_tenant_id"]) == (["t_b"], None)


def test_roles_traits_and_tenants_are_replaced(run: Run) -> None:
    session_id = signed_in(run, "u_ada")

    words = ("--role", "editor", "--no-traits", "--tenant", "t_acme=member=Acme Inc")
    answer = run("identities", "set", "u_ada", *words)
    seen = json.loads(run("identities", "show", "u_ada").output)

    found = shown(run, session_id)
    assert answer.output == "changed 1 session\n"
    assert found["identity"] == {"id": "u_ada", "traits": {}, "roles": ["editor"]}
    assert found["tenants"] == {"t_acme": {"name": "Acme Inc", "role": "member"}}
    assert found["active_tenant_id"] == "t_acme"
    assert seen == {
        "identity": found["identity"],
        "tenants": found["tenants"],
        "sessions": 1,
        "differing_sessions": 0,
    }


def test_an_identity_without_a_session_is_named(run: Run) -> None:
    shown = run("identities", "show", "u_nobody")
    changed = run("identities", "set", "u_nobody", "--role", "x")

    assert (shown.exit_code, shown.output) == (
        1,
        "error: this identity has no active session\n",
    )
    # No error: most users of an app are not signed in when their role changes.
    assert (changed.exit_code, changed.output) == (
        0,
        "u_nobody has no active session; nothing to change\n",
    )


def test_a_misspelled_identity_is_shown_as_it_was_typed_and_sets_no_terminal(
    run: Run,
) -> None:
    changed = run("identities", "remove-tenant", "u\x1b[2Jada", "t_acme")

    assert changed.exit_code == 0
    assert "\x1b" not in changed.output
    assert "has no active session" in changed.output


def test_an_app_changes_its_sessions_itself(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    text = CONFIG % f"redis://127.0.0.1:{free_port()}"
    path.write_text(
        text.replace("sessions: {max_per_identity: 2}", "sessions: {format: better-auth, secrets: [0123456789abcdef0123456789abcdef]}")
        .replace("3000}", "3000, session_cookie: forward}")
    )  # fmt: skip

    answer = CliRunner().invoke(
        cli, ["identities", "remove-tenant", "u", "t", "-c", str(path)]
    )

    assert answer.exit_code == 1, answer.output
    assert "the app manages its sessions" in answer.output
