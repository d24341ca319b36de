"""`gateway explain` prints what the server would do, by the code that does it."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Session
from tests.servers import Server, free_port, valkey_server
from tests.sessions.opened import opened
from tests.sessions.samples import a_session

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "config" / "gateway.yaml"


def explain(*words: str, config: Path = REFERENCE) -> Result:
    runner = CliRunner(env={"REDIS_URL": "embedded"})
    result = runner.invoke(cli, ["explain", *words, "-c", str(config)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def explained(*words: str, config: Path = REFERENCE) -> tuple[int, str]:
    """The exit code and the output, without the lines of the file."""
    result = explain(*words, config=config)
    assert result.stderr == ""
    lines = re.sub(r"yaml:\d+", "yaml:_", result.stdout)
    return result.exit_code, re.sub(
        r'("(?:auth_time|session_exp)": )\d+', r"\1_", lines
    )


FORWARDED = """\
  X-Forwarded-For: 127.0.0.1
  X-Forwarded-Proto: http
  X-Forwarded-Host: localhost:8080
  X-Forwarded-Port: 8080
"""
IDS = """\
  X-Request-Id: 0123456789abcdef0123456789abcdef
  traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01
"""

FORWARDED_ANONYMOUS = f"{FORWARDED}  X-Auth-Status: none\n  X-Forwarded-Uri: /\n{IDS}"

_OWNER = '{"id": "t_example", "name": "Example", "role": "owner"}'
ASSERTION = (
    '{"aud": "web", "email": "admin@example.com", "name": "Admin", "roles": ["admin"], '
    f'"admin": true, "tenant": {_OWNER}, "tenants": [{_OWNER}], '
    '"auth_time": _, "amr": ["password"], "acr": "aal1", "session_exp": _}'
)
ADMIN = f"""\
GET /admin/users as admin

route     /admin/**   gateway.yaml:_
because   the most specific host and path
          not /** (gateway.yaml:_): its /** begins earlier, at segment 1
rule      admin-only

checks
  -     sent from an allowed network
  -     not sent by another site
  pass  a valid session
  pass  an administrator
  -     one of the roles
  pass  a member of the tenant named
  -     has a tenant
  -     the role in the tenant
  -     signed in, not by an access token
  -     signed in strongly enough
  -     signed in recently enough

decision  allow (signed_in)
          You are signed in.

upstream  web (http://127.0.0.1:3000)
  GET /admin/users HTTP/1.1
  Host: localhost:8080
  Accept: text/html
{FORWARDED}\
  X-Auth-User-Id: u_admin
  X-Auth-Email: admin@example.com
  X-Auth-Role: admin
  X-Auth-Tenant-Id: t_example
  X-Auth-Tenant-Role: owner
  X-Auth-Session-Id: 00000000-0000-4000-8000-000000000000
  X-Auth-Assertion: <assertion token>
{IDS}\
  assertion token: {ASSERTION}
"""

MEMBER = """\
GET /admin/users as member

route     /admin/**   gateway.yaml:_
because   the most specific host and path
          not /** (gateway.yaml:_): its /** begins earlier, at segment 1
rule      admin-only

checks
  -     sent from an allowed network
  -     not sent by another site
  pass  a valid session
  FAIL  an administrator   not_admin
  -     one of the roles
  pass  a member of the tenant named
  -     has a tenant
  -     the role in the tenant
  -     signed in, not by an access token
  -     signed in strongly enough
  -     signed in recently enough

decision  deny (not_admin)
          This page is for administrators.

answer    a browser gets 403
          a program gets 403
"""

ANONYMOUS = """\
GET /admin/users?page=2 as anonymous

route     /admin/**   gateway.yaml:_
because   the most specific host and path
          not /** (gateway.yaml:_): its /** begins earlier, at segment 1
rule      admin-only

checks
  -     sent from an allowed network
  -     not sent by another site
  FAIL  a valid session   no_session

decision  challenge (no_session)
          Sign in to see this page.

answer    a browser gets 302, Location: /auth/login?return_to=/admin/users%3Fpage%3D2&reason=no_session
          a program gets 401, WWW-Authenticate: Session realm="localhost"
"""

PUBLIC = f"""\
GET / as anonymous

route     /**   gateway.yaml:_
because   the most specific host and path
rule      public

checks
  -     sent from an allowed network
  -     not sent by another site
  -     a valid session

decision  allow (public)
          This page is open to everyone.

upstream  web (http://127.0.0.1:3000)
  GET / HTTP/1.1
  Host: localhost:8080
  Accept: text/html
{FORWARDED_ANONYMOUS}"""

SIGNED_IN = """\
GET /auth/login as member

route     /auth/**   gateway.yaml:_
because   the most specific host and path
          not /** (gateway.yaml:_): its /** begins earlier, at segment 1
rule      auth-redirect

checks
  -     sent from an allowed network
  -     not sent by another site
  FAIL  not signed in, or on a page for signed-in users   already_signed_in

decision  deny (already_signed_in)
          You are signed in already.

answer    a browser gets 302, Location: /dashboard
          a program gets 403
"""

GOLDEN = [
    pytest.param(["GET", "/admin/users", "--as", "admin"], 0, ADMIN, id="admin"),
    pytest.param(["GET", "/admin/users", "--as", "member"], 1, MEMBER, id="member"),
    pytest.param(["GET", "/admin/users?page=2"], 1, ANONYMOUS, id="anonymous"),
    pytest.param(["GET", "/"], 0, PUBLIC, id="public"),
    pytest.param(["GET", "/auth/login", "--as", "member"], 1, SIGNED_IN, id="sign-in"),
    pytest.param(
        ["GET", "/a//b"], 1,
        "GET /a//b as anonymous\n\n"
        "refused   400 bad_target: the path has an empty segment\n",
        id="refused",
    ),
    pytest.param(
        ["GET", "/.gateway/nothing"], 1,
        "GET /.gateway/nothing as anonymous\n\n"
        "route     none: 404 no_route\n"
        "because   routes do not apply to the gateway's own paths\n",
        id="own-404",
    ),
    pytest.param(
        ["GET", "/.gateway/logout"], 1,
        "GET /.gateway/logout as anonymous\n\n"
        "route     none takes GET: 405 method_not_allowed\n"
        "          allowed: POST\n"
        "because   routes do not apply to the gateway's own paths\n",
        id="own-405",
    ),
    pytest.param(
        ["GET", "/.well-known/jwks.json"], 0,
        "GET /.well-known/jwks.json as anonymous\n\n"
        "route     none: the gateway answers this itself\n"
        "because   routes do not apply to the gateway's own paths\n",
        id="own",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "text"), GOLDEN)
def test_everything_is_explained(words: list[str], code: int, text: str) -> None:
    assert explained(*words) == (code, text)


@pytest.mark.parametrize(
    ("words", "code", "lines"),
    [
        pytest.param(
            ["GET", "/a%2Fb"], 1, ["refused   400 bad_target: the path has %2F, which path_allows of the route does not list"], id="escape"
        ),
        pytest.param(
            ["GET", "/files/a%2Fb", "--as", "member"], 0, ["  GET /files/a%2Fb HTTP/1.1"],
            id="escape that is let",
        ),
        pytest.param(
            ["PROPFIND", "/api/x"], 1,
            ["route     none takes PROPFIND: 405 method_not_allowed"], id="method",
        ),
        pytest.param(
            ["GET", "/x", "-H", "Host: evil"], 1, ["refused   400 bad_host: "], id="two hosts"
        ),
        pytest.param(
            ["GET", "/x", "--host", "a b"], 1, ["refused   400 bad_host: "], id="no host"
        ),
        pytest.param(
            ["GET", "/api/x", "--as", "member"], 0,
            [
                "  GET /x HTTP/1.1",
                "  Authorization: Bearer <database token>",
                '  database token: {"aud": "postgrest", "role": "authenticated", '
                '"tenant_id": "t_example", "tenant_role": "owner", '
                '"email": "member@example.com"}',
                "  pass  has a tenant",
            ],
            id="prefix and token",
        ),
        pytest.param(
            ["GET", "/api/x"], 1,
            ["answer    a browser gets 401, WWW-Authenticate: "], id="status for browsers too",
        ),
        pytest.param(
            ["OPTIONS", "/api/x", "-H", "Origin: https://e.test",
             "-H", "Access-Control-Request-Method: PUT"], 0,
            ["  pass  CORS preflight, which this route passes through",
             "decision  allow (preflight)"],
            id="preflight",
        ),
        pytest.param(
            ["OPTIONS", "/api/x"], 1, ["decision  challenge (no_session)"], id="no preflight"
        ),
        pytest.param(
            ["POST", "/x", "--host", "intern.localhost", "--as", "admin",
             "-H", "Origin: https://e.test"], 1,
            ["  FAIL  not sent by another site   cross_site", "  pass  one of the roles",
             "answer    a browser gets 404"],
            id="another site",
        ),
        pytest.param(
            ["GET", "/x", "--host", "intern.localhost", "--as", "admin"], 0,
            ["because   the most specific host and path",
             "          not /** (gateway.yaml:_): another route names the host more exactly"],
            id="host",
        ),
        pytest.param(
            ["GET", "/auth/login?refresh=true", "--as", "member"], 0,
            ["  pass  not signed in, or on a page for signed-in users"], id="errand",
        ),
        pytest.param(
            ["GET", "/static/x.css", "--as", "member"], 0,
            ["  -     a valid session", "decision  allow (public)"], id="session ignored",
        ),
        pytest.param(
            ["GET", "/", "-H", "X-Auth-User-Id: root", "-H", "Cookie: a=1", "--as", "member"], 0,
            ["  X-Auth-User-Id: u_member", "  Cookie: a=1"], id="spoofed",
        ),
    ],
)  # fmt: skip
def test_what_decides_is_shown(words: list[str], code: int, lines: list[str]) -> None:
    found, text = explained(*words)

    assert found == code
    for line in lines:
        assert line in text
    assert "root" not in text


@pytest.mark.parametrize("who", ["admin", "member", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "target",
    ["/", "/dashboard", "/admin", "/auth/login", "/auth/onboarding", "/api/x"]
    + ["/api/billing/x", "/static/x", "/.gateway/tenant"],
)
def test_it_passes_exactly_where_nothing_fails(
    who: str, method: str, target: str
) -> None:
    code, text = explained(method, target, "--as", who)

    refused = "FAIL" in text or "405" in text
    assert code == refused
    assert ("upstream  " in text or "answers this itself" in text) is not refused
    assert ("answer    a browser gets " in text) is ("FAIL" in text)


def test_a_place_in_the_file_is_named() -> None:
    text = explain("GET", "/admin/x").stdout

    found = re.search(r"^route .*gateway\.yaml:(\d+)$", text, re.MULTILINE)
    assert found
    line = int(found[1])
    assert REFERENCE.read_text().splitlines()[line - 1] == "  - match: /admin/**"


SMALL = """\
version: 1
server: {public_url: "https://app.example"}
redis: {url: "%s", timeout: 20s}
tenants: {resolve: [{header: X-Tenant}]}
tokens:
  profiles: {db: {audience: a, header: Authorization, claims: {t: "{tenant.id}"}}}
upstreams:
  app: {url: "http://127.0.0.1:1", token: db}
routes:
  - {match: {host: app.example, path: /**}, rule: protected, upstream: app}
  - {match: {host: app.example, path: /auth/**}, rule: public, upstream: app}
  - {match: {host: app.example, path: /new/**}, rule: protected,
     require: {authenticated_within: 15m}, upstream: app}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL % "redis://:hunter2@127.0.0.1:1/0")
    return file


def test_a_host_that_is_not_ours_is_misdirected(small: Path) -> None:
    code, text = explained("GET", "/", "--host", "other.example", config=small)

    assert (code, text.splitlines()[2]) == (1, "route     none: 421 misdirected")


def test_a_token_that_needs_a_tenant_is_shown_as_missing(small: Path) -> None:
    code, text = explained("GET", "/x", "--as", "member", config=small)

    assert code == 0
    assert "  pass  a member of the tenant named\n" in text
    assert "  no db token: it needs a tenant, and there is none\n" in text
    assert "Authorization" not in text


def test_a_tenant_of_others_is_shown_as_refused(small: Path) -> None:
    code, text = explained(
        "GET", "/x", "--as", "member", "-H", "X-Tenant: t_other", config=small
    )

    assert code == 1
    assert "  FAIL  a member of the tenant named   not_a_member\n" in text


def test_a_session_that_cannot_be_looked_up_is_not_taken_for_none(
    small: Path,
) -> None:
    result = explain("GET", "/x", "--as", "5f0d2c3e", config=small)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "hunter2" not in result.output


def test_an_embedded_store_cannot_be_asked() -> None:
    result = explain("GET", "/dashboard", "--as", "5f0d2c3e")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "redis.url is embedded; add --redis" in result.stderr


@pytest.mark.parametrize("words", [[], ["GET"], ["GET", "/", "extra"]])
def test_too_few_or_too_many_words_are_not_understood(words: list[str]) -> None:
    assert explain(*words).exit_code == 2


def test_routes_that_tie_are_reported_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "tie.yaml"
    file.write_text(
        "version: 1\nupstreams: {a: {url: 'http://127.0.0.1:1'}}\nroutes:\n"
        "  - {match: '/{a}', rule: public, upstream: a}\n"
        "  - {match: '/{b}', rule: public, upstream: a}\n"
    )

    result = explain("GET", "/x", config=file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "tie.yaml:5" in result.stderr


# Sessions of a real store


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("v"), port=free_port()) as server:
        yield server


STARTED = time.time()
LIVE = a_session(
    id="live",
    issued_at=STARTED,
    authenticated_at=STARTED,
    expires_at=STARTED + 86_400,
    last_seen_at=STARTED,
)


@pytest.mark.needs("valkey")
@pytest.mark.parametrize(
    ("session", "code", "lines"),
    [
        pytest.param(
            replace(LIVE, id="ended", active=False), 1,
            ["  FAIL  a valid session   session_revoked",
             "          and the session cookie is cleared"],
            id="revoked",
        ),
        pytest.param(
            replace(LIVE, id="old", authenticated_at=1.0, expires_at=time.time() - 60), 1,
            ["  FAIL  a valid session   session_expired",
             "          and the session cookie is cleared"],
            id="expired",
        ),
        pytest.param(LIVE, 0, ["  X-Auth-User-Id: u_ada", "  X-Auth-Session-Id: live"], id="live"),
    ],
)  # fmt: skip
def test_a_session_is_looked_up_by_its_public_id(
    tmp_path: Path, valkey: Server, session: Session, code: int, lines: list[str]
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL % valkey.tcp_url)
    token = new_token(session.id.encode().ljust(32))
    asyncio.run(_store(valkey, token.key, session))

    found, text = explained("GET", "/new", "--as", session.id, config=file)

    assert found == code, text
    for line in lines:
        assert line in text
    assert token.value not in text
    assert token.key not in text


@pytest.mark.needs("valkey")
def test_a_session_that_is_not_there_is_reported(
    tmp_path: Path, valkey: Server
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL % valkey.tcp_url)

    result = explain("GET", "/new", "--as", "nobody", config=file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: no session with the ID nobody\n"


async def _store(server: Server, key: str, session: Session) -> None:
    async with opened(server.tcp_url) as store:
        await store.create(key, session, time.time())


OFFICE = """\
version: 1
sign_in: {url: /auth/login}
upstreams: {app: {url: http://127.0.0.1:3000}}
routes:
  - {match: /**, rule: public, upstream: app, require: {networks: [192.0.2.0/24]}}
"""


@pytest.mark.parametrize(
    ("address", "code", "line"),
    [
        ("192.0.2.7", 0, "  pass  sent from an allowed network (192.0.2.7)"),
        ("::ffff:192.0.2.7", 0, "  pass  sent from an allowed network (192.0.2.7)"),
        (
            "198.51.100.7",
            1,
            "  FAIL  sent from an allowed network (198.51.100.7)   network_not_allowed",
        ),
    ],
)
def test_the_address_of_the_client_decides_where_networks_are_required(
    tmp_path: Path, address: str, code: int, line: str
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(OFFICE)

    found, text = explained("GET", "/", "--from", address, config=config)

    assert found == code
    assert line in text.splitlines()


def test_what_is_no_address_of_a_client_is_a_usage_error() -> None:
    result = explain("GET", "/", "--from", "office")

    assert result.exit_code == 2
    assert "'office' is not an IP address" in result.stderr


def test_the_explanation_can_be_read_by_programs() -> None:
    found = explain("GET", "/x", "--json")
    document = json.loads(found.stdout)

    assert found.exit_code == 1 - document["allowed"]
    assert document["text"][0] == "GET /x as anonymous"
    assert document["verdict"] in {"allow", "challenge", "deny", "refuse"}


def test_its_checks_say_which_one_failed(small: Path) -> None:
    document = json.loads(explain("GET", "/x/y", "--json", config=small).stdout)

    assert {"as", "method", "target", "reason", "route"} <= set(document)
    assert all(
        one["result"] in {"pass", "fail", "not required"}
        for one in document.get("checks", [])
    )


@pytest.mark.needs("valkey")
def test_a_session_of_a_gateway_with_embedded_redis_is_found_at_its_address(
    valkey: Server,
) -> None:
    token, session = new_token(b"\x09" * 32), a_session()
    asyncio.run(_store(valkey, token.key, session))

    found = explain("GET", "/", "--as", session.id, "--redis", valkey.tcp_url)
    nowhere = explain("GET", "/", "--as", session.id, "--redis", "http://x")
    away = explain("GET", "/", "--as", session.id, "--redis", "redis://127.0.0.1:1/0")

    assert found.exit_code == 0, found.output
    assert session.identity.id in found.stdout
    assert (nowhere.exit_code, nowhere.stdout) == (1, "")
    assert nowhere.stderr.startswith("error: invalid Redis URL")
    assert away.stderr.startswith("error: Redis at redis://127.0.0.1:1")
