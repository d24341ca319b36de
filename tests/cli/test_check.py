"""`gateway check` says what is wrong, where, and what it would let in."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.faults.redis_fleet import cluster_fleet
from tests.servers import free_port, valkey_server

ROOT = Path(__file__).parents[2]

HEAD = """\
version: 1
redis: {url: "redis://:hunter2@127.0.0.1:1/0"}
upstreams:
  app: {url: http://127.0.0.1:3000}
routes:
"""


def check(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "g.yaml"
    file.write_text(text)
    return CliRunner().invoke(cli, ["check", "-c", str(file), *options])


@pytest.mark.parametrize("name", ["gateway.yaml", "minimal.yaml"])
def test_the_contract_is_right_as_it_stands(name: str) -> None:
    file = ROOT / "config" / name

    result = CliRunner().invoke(cli, ["check", "-c", str(file), "--offline"])

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{file}: ok\n")
    assert "routes " in result.stdout


def test_a_mistake_is_shown_with_its_line_and_a_caret(tmp_path: Path) -> None:
    result = check(tmp_path, HEAD + "  - {match: /, rule: publc, upstream: app}\n")

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {tmp_path}/g.yaml:6:22: expected one of public, protected, "
        'admin-only, auth-redirect, got "publc"; did you mean "public"?\n'
        "  6 |   - {match: /, rule: publc, upstream: app}\n"
        "    |                      ^\n"
        f"{tmp_path}/g.yaml: 1 error\n"
    )


def test_a_redis_that_does_not_answer_is_reported_without_its_password(
    tmp_path: Path,
) -> None:
    text = HEAD + "  - {match: /**, rule: public, upstream: app}\n"

    result = check(tmp_path, text)

    assert result.exit_code == 1
    assert "g.yaml:2:14: Redis at redis://127.0.0.1:1 is unavailable" in result.stderr
    assert "--offline skips this check" in result.stderr
    assert "hunter2" not in result.output


PASSWORDS = [
    pytest.param("right", "p%41ss", "% begins an escape", id="an-escape"),
    pytest.param("right", "p%25", "% begins an escape", id="encoded-and-wrong"),
    pytest.param("right", "wrong", "percent-encode the password", id="wrong"),
    pytest.param("p?ss", "p?ss", "percent-encode", id="question-mark"),
    pytest.param("a b", "a b", "percent-encode", id="space"),
    pytest.param("p%ss", "p%ss", "percent-encode", id="percent"),
    pytest.param("p\u00e4ss", "p\u00e4ss", "percent-encode", id="beyond-ascii"),
    pytest.param("a[S3]c", "a[S3]c", "", id="brackets"),
    pytest.param("p#a/s:s@", "p#a/s:s@", "", id="other-signs"),
]


@pytest.mark.parametrize(("real", "written", "hint"), PASSWORDS)
def test_a_password_in_the_url_works_or_is_to_be_encoded(
    tmp_path: Path, real: str, written: str, hint: str
) -> None:
    with valkey_server(tmp_path, "--requirepass", real, port=free_port()) as redis:
        text = HEAD.replace(
            ":hunter2@127.0.0.1:1", f":{written}@127.0.0.1:{redis.port}"
        )
        text += "  - {match: /**, rule: public, upstream: app}\n"
        result = check(tmp_path, text)

    assert result.exit_code == (1 if hint else 0), result.output
    assert hint in result.stderr
    assert ("redis.password" in result.stderr) == bool(hint)


@pytest.mark.parametrize(
    ("listen", "url", "refused"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("0.0.0.0:8080", "http://localhost:8080", True),
        ("[::]:8080", "http://[::1]:8080", True),
        ("unix:/run/gw.sock", "unix:/run/gw.sock", True),
        ("127.0.0.1:8080", "http://127.0.0.1:9090", True),
        ("127.0.0.1:8080", "http://127.0.0.1:3000", False),
        ("10.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("0.0.0.0:8080", "http://app.internal:8080", False),
    ],
)
def test_an_upstream_is_no_listener_of_the_gateway(
    tmp_path: Path, listen: str, url: str, refused: bool
) -> None:
    text = HEAD.replace("upstreams:", f'server: {{listen: "{listen}"}}\nupstreams:')
    text = text.replace("{url: http://127.0.0.1:3000}", f'{{url: "{url}"}}')
    text += "  - {match: /**, rule: public, upstream: app}\n"

    result = check(tmp_path, text, "--offline")

    assert ("this is a listener of the gateway itself" in result.stderr) is refused
    assert result.exit_code == int(refused), result.output


TOKENS = [
    pytest.param("{tokens: {lifetime: 16m}}", "a token cannot be revoked", id="long"),
    pytest.param(
        "{tokens: {profiles: {db: {audience: [a, b], header: X-T, lifetime: 1h}}}}",
        "a token cannot be revoked",
        id="long-of-a-profile",
    ),
    pytest.param(
        '{tokens: {profiles: {db: {audience: a, header: X-T, claims: {role: "{identity.traits.r}"}}}}}',
        "the database role comes from a trait",
        id="role-from-a-trait",
    ),
    pytest.param(
        '{tokens: {profiles: {db: {audience: a, header: X-T, claims: {role: "{identity.traits.r|anon}"}}}}}',
        "the database role comes from a trait",
        id="role-from-a-trait-with-a-default",
    ),
    pytest.param(
        '{tokens: {profiles: {db: {audience: a, header: X-T, claims: {"https://hasura.io/jwt/claims": {x-hasura-allowed-roles: [user, "{identity.traits.r}"]}}}}}}',
        "the database role comes from a trait",
        id="role-of-hasura-from-a-trait",
    ),
    pytest.param(
        '{tokens: {lifetime: 15m, profiles: {db: {audience: a, header: X-T, claims: {role: "t_{tenant.role}"}}}}}',
        "",
        id="neither",
    ),
]


@pytest.mark.parametrize(("tokens", "warning"), TOKENS)
def test_tokens_that_last_or_trust_too_much(
    tmp_path: Path, tokens: str, warning: str
) -> None:
    text = HEAD.replace("upstreams:", tokens[1:-1] + "\nupstreams:")
    text += "  - {match: /**, rule: public, upstream: app}\n"

    result = check(tmp_path, text, "--offline")

    assert result.exit_code == 0, result.output
    assert warning in result.stderr
    assert bool(warning) == ("token" in result.stderr or "role" in result.stderr)


DEAD_END = [
    pytest.param("/login", "intern.example.com", True, id="a-host"),
    pytest.param("/login", "*.example.com", True, id="a-wildcard"),
    pytest.param("/login", "{tenant}.example.com", True, id="a-tenant"),
    pytest.param("https://localhost/login", "intern.example.com", False, id="absolute"),
]


@pytest.mark.parametrize(("url", "host", "found"), DEAD_END)
def test_a_sign_in_page_that_a_host_protects_is_a_dead_end(
    tmp_path: Path, url: str, host: str, found: bool
) -> None:
    text = HEAD.replace("upstreams:", f"sign_in: {{url: {url}}}\nupstreams:")
    text += "  - {match: /**, rule: public, upstream: app}\n"
    text += f'  - {{match: {{host: "{host}", path: /**}}, rule: protected, upstream: app}}\n'

    result = check(tmp_path, text, "--offline")
    fixed = text + (
        f'  - {{match: {{host: "{host}", path: /login}}, rule: auth-redirect, upstream: app}}\n'
    )
    again = check(tmp_path, fixed, "--offline")

    assert (result.exit_code, again.exit_code) == (0, 0)
    assert (f"users cannot sign in on {host}" in result.stderr) is found
    assert "cannot sign in" not in again.stderr


FOUND = [
    pytest.param(
        ["{match: /admin/**, rule: admin-only, upstream: app}",
         "{match: /admin/help, rule: public, upstream: app}"],
        0, "warning: {}:7:13: /admin/help is public below /admin/**, which is admin-only (g.yaml:6)",
        id="public below admin-only",
    ),
    pytest.param(
        ["{match: /**, rule: protected, upstream: app}",
         "{match: /static/**, rule: public, upstream: app}",
         "{match: /auth/**, rule: auth-redirect, upstream: app}"],
        0, "", id="a list of what is open",
    ),
    pytest.param(
        ["{match: /**, rule: protected, upstream: app}"],
        0, "users cannot sign in at /auth/login: this route makes it protected",
        id="sign-in needs a session",
    ),
    pytest.param(
        ["{match: /**, rule: auth-redirect, upstream: app}"],
        1, "redirect loop for signed-in users: /** (g.yaml:6) is auth-redirect",
        id="home is for who is not signed in",
    ),
    pytest.param(
        ["{match: /x, rule: protected, upstream: app}"],
        0, "no route matches /auth/login on localhost", id="no sign-in page",
    ),
    pytest.param(
        ["{match: /.gateway/**, rule: public, upstream: app}"],
        1, "{}:6:13: this route can never match", id="the gateway's own paths",
    ),
    pytest.param(
        ["{match: /a/{x}, rule: public, upstream: app}",
         "{match: /a/{y}, rule: public, upstream: app}"],
        1, "g.yaml:6", id="a tie",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("routes", "code", "words"), FOUND)
def test_what_the_routes_let_in_is_looked_at(
    tmp_path: Path, routes: list[str], code: int, words: str
) -> None:
    text = HEAD + "".join(f"  - {one}\n" for one in routes)

    result = check(tmp_path, text, "--offline")

    assert result.exit_code == code
    assert words.replace("{}", str(tmp_path / "g.yaml")) in result.stderr
    assert bool(words) == bool(result.stderr)


def test_keys_and_certificates_are_read(tmp_path: Path) -> None:
    text = HEAD.replace(
        "upstreams:",
        "server: {tls: {certificate: c.pem, key: k.pem}}\n"
        "tokens: {keys: nowhere}\nupstreams:",
    )

    result = check(
        tmp_path, text + "  - {match: /**, rule: public, upstream: app}\n", "--offline"
    )

    assert result.exit_code == 1
    assert "g.yaml:3:29: cannot read " in result.stderr
    assert "g.yaml:4:16: " in result.stderr


def test_the_result_can_be_read_by_programs(tmp_path: Path) -> None:
    text = HEAD + "  - {match: /, rule: public, upstream: ap}\n"

    reported = json.loads(check(tmp_path, text, "--format", "json").stdout)

    assert reported["ok"] is False
    assert reported["problems"] == [
        {
            "file": str(tmp_path / "g.yaml"),
            "line": 6,
            "column": 40,
            "message": 'there is no upstream "ap"',
            "hint": 'did you mean "app"?',
        }
    ]


def test_a_file_that_is_not_there_is_reported() -> None:
    result = CliRunner().invoke(cli, ["check", "-c", "nowhere.yaml"])

    assert result.exit_code == 1
    assert "nowhere.yaml: cannot read the file" in result.stderr


def check_redis(tmp_path: Path, url: str) -> Result:
    text = HEAD.replace("redis://:hunter2@127.0.0.1:1/0", url)
    text = text.replace('"}\n', '", timeout: 30s}\n', 1)
    return check(tmp_path, text + "  - {match: /**, rule: public, upstream: app}\n")


def test_an_address_of_a_replica_is_refused(tmp_path: Path) -> None:
    with valkey_server(tmp_path) as server:
        assert check_redis(tmp_path, server.url).exit_code == 0
        server.command_line("REPLICAOF", "127.0.0.1", str(free_port()))

        result = check_redis(tmp_path, server.url)

    assert result.exit_code == 1
    assert "g.yaml:2:14: Redis: the server is a replica" in result.stderr


def test_a_user_without_the_rights_that_a_failover_needs_is_warned_of(
    tmp_path: Path,
) -> None:
    with valkey_server(tmp_path) as server:
        rights = ("~*", "+@all", "-info", "-wait")
        server.command_line("ACL", "SETUSER", "gw", "on", ">pw", *rights)

        result = check_redis(tmp_path, server.url.replace("unix://", "unix://gw:pw@"))

    assert result.exit_code == 0
    assert "may not run INFO" in result.stderr
    assert "may not run WAIT" in result.stderr


def test_a_cluster_that_reads_when_it_is_down_is_refused(tmp_path: Path) -> None:
    with cluster_fleet() as fleet:
        assert check_redis(tmp_path, fleet.url).exit_code == 0
        setting = "cluster-allow-reads-when-down"
        fleet.masters[1].ask("CONFIG", "SET", setting, "yes")

        result = check_redis(tmp_path, fleet.url)

    place = "{}:{}".format(*fleet.masters[1].place)
    assert result.exit_code == 1
    assert f"{setting} is yes at {place}" in result.stderr


PROVIDED = """\
version: 1
server: {public_url: https://app.example}
redis: {url: embedded}
sign_in:
  providers:
    acme: {issuer: 'http://127.0.0.1:9', client_id: gateway, client_secret: hunter2}
upstreams:
  app: {url: http://127.0.0.1:3000}
routes:
  - {match: /**, rule: protected, upstream: app}
"""


def test_what_to_register_at_a_provider_is_printed(tmp_path: Path) -> None:
    result = check(tmp_path, PROVIDED, "--offline")

    assert result.exit_code == 0
    assert "https://app.example/.gateway/sign-in/acme/callback" in result.stdout
    assert "https://app.example/.gateway/signed-out" in result.stdout
    assert "hunter2" not in result.output


def test_a_provider_that_does_not_answer_is_a_warning(tmp_path: Path) -> None:
    result = check(tmp_path, PROVIDED)

    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "provider acme: http://127.0.0.1:9/.well-known/" in result.stderr
    assert "--offline skips this check" in result.stderr


def test_the_message_about_a_missing_file_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    empty = CliRunner().invoke(cli, ["run"])
    (tmp_path / "gateway.yaml").write_text("version: 1\n")
    beside = CliRunner().invoke(cli, ["check"])

    missing = (
        "error: config/gateway.yaml: cannot read the file: No such file or directory"
    )
    assert empty.exit_code == beside.exit_code == 1
    assert empty.stderr == (
        f"{missing}; write one with `gateway init`, or name another with -c PATH\n"
    )
    assert beside.stderr.startswith(f"{missing}; add -c gateway.yaml\n")
