"""`gateway explain --bearer|--basic`: a program, by the code that serves it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.cli.subject import PLACEHOLDER
from tests.servers import Server, valkey_server

CONFIG = """\
version: 1
server: {public_url: https://app.example.com}
redis: {url: "%s", timeout: 20s}
upstreams:
  app: {url: http://127.0.0.1:3000}
routes:
  - {match: /**, rule: protected, upstream: app}
  - {match: /api/**, rule: protected, upstream: app, credentials: [cookie, bearer]}
  - {match: /dav/**, rule: protected, upstream: app, credentials: [basic]}
  - {match: /pay/**, rule: protected, upstream: app, credentials: [cookie, bearer], require: {aal: aal1}}
"""


def explain(folder: Path, *words: str, redis: str = "redis://127.0.0.1:1") -> Result:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG % redis)
    return CliRunner().invoke(cli, ["explain", *words, "-c", str(path)])


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["GET", "/api/x", "--as", "member", "--bearer"], 0, "decision  allow (signed_in)"),
        (["GET", "/dav/x", "--as", "member", "--basic"], 0, "decision  allow (signed_in)"),
        (["GET", "/dav/x", "--as", "member", "--bearer"], 1, "decision  challenge (credential_not_taken)"),
        (["GET", "/dav/x", "--as", "member"], 1, "decision  challenge (credential_not_taken)"),
        (["GET", "/x", "--as", "member", "--bearer"], 1, "decision  challenge (no_session)"),
        (["GET", "/api/x", "--as", "admin", "--bearer", "-H", "Authorization: Bearer x"], 1, "decision  challenge (two_credentials)"),
        (["GET", "/pay/x", "--as", "member", "--bearer"], 1, "  FAIL  signed in, not by an access token   token_not_allowed"),
        (["GET", "/pay/x", "--as", "member"], 0, "decision  allow (signed_in)"),
        (["GET", "/.gateway/account", "--as", "member", "--bearer"], 1, "route     none: 403 token_not_allowed"),
    ],
)  # fmt: skip
def test_a_program_is_explained(
    tmp_path: Path, words: list[str], code: int, line: str
) -> None:
    answer = explain(tmp_path, *words)

    assert answer.exit_code == code, answer.output
    assert line in answer.output.splitlines()
    assert PLACEHOLDER.value not in answer.output


def test_what_a_program_gets_is_no_redirect(tmp_path: Path) -> None:
    answer = explain(tmp_path, "GET", "/dav/x", "--as", "member", "--bearer")

    assert 'WWW-Authenticate: Basic realm="app.example.com"' in answer.output
    assert "Location" not in answer.output


def test_a_program_needs_an_identity(tmp_path: Path) -> None:
    assert explain(tmp_path, "GET", "/api/x", "--bearer").exit_code == 2


def test_a_program_sends_its_token_in_one_way(tmp_path: Path) -> None:
    words = ("--as", "member", "--bearer", "--basic")
    answer = explain(tmp_path, "GET", "/api/x", *words)

    assert answer.exit_code == 2
    assert "--bearer and --basic exclude each other" in answer.output


def test_a_token_is_no_cookie_and_a_cookie_is_no_token(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The gateway would refuse what was explained as allowed."""
    with valkey_server(tmp_path_factory.mktemp("explain")) as server:
        token = _made(tmp_path, server)["session"]["id"]
        session = _made(tmp_path, server, "sessions", "create")["session"]["id"]
        as_cookie = explain(tmp_path, "GET", "/api/x", "--as", token, redis=server.url)
        as_token = explain(
            tmp_path, "GET", "/api/x", "--as", session, "--bearer", redis=server.url
        )

    assert (as_cookie.exit_code, as_token.exit_code) == (1, 1)
    assert "is an access token; add --bearer or --basic" in as_cookie.output
    assert "is the session of a browser; leave out --bearer" in as_token.output


def test_a_token_of_redis_is_named_by_its_id(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with valkey_server(tmp_path_factory.mktemp("explain")) as server:
        token = _made(tmp_path, server)
        answer = explain(
            tmp_path,
            *("GET", "/api/x", "--as", token["session"]["id"], "--bearer"),
            redis=server.url,
        )

    assert answer.exit_code == 0, answer.output
    assert "X-Auth-User-Id: u_ci" in answer.output


def _made(
    folder: Path,
    server: Server,
    *command: str,
) -> dict[str, dict[str, str]]:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG % server.url)
    words = command or ("tokens", "create", "--name", "ci")
    answer = CliRunner().invoke(
        cli, [*words, "--identity", "u_ci", "--json", "-c", str(path)]
    )
    found: dict[str, dict[str, str]] = json.loads(answer.output)
    return found
