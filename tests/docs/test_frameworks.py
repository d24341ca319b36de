"""The verifiers of docs/frameworks.md, run as they stand there, and attacked."""

import base64
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.sessions.record import Identity
from gateway.tokens.key_files import new_key, read_folder
from tests.docs.snippets import block_of, files_of
from tests.npm import node_modules, unpinned
from tests.servers import PATIENCE, Server, free_port, valkey_server
from tests.walk.harness import (
    PROGRAM,
    Gateway,
    RecordingUpstream,
    ask,
    running_gateway,
)

# Go compiles its standard library once for a machine: a minute, or ten.
pytestmark = [pytest.mark.walk, pytest.mark.timeout(1200)]

PAGE = "docs/frameworks.md"
NODE = Path(__file__).parent / "node"
ISSUER = "http://localhost:8080"
DJANGO = {
    "mysite/__init__.py": "",
    "mysite/settings.py": (
        "SECRET_KEY = 'x' * 50\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'mysite.urls'\n"
        "MIDDLEWARE = ['mysite.gateway.CallerMiddleware']\n"
    ),
    "mysite/urls.py": (
        "from django.http import JsonResponse\nfrom django.urls import path\n"
        "urlpatterns = [path('', lambda request: JsonResponse(request.caller))]\n"
    ),
}
"""What every Django project has, around the two files of the page."""


@dataclass(frozen=True)
class Framework:
    """Where its files are on the page, and how it is run: `{port}` is its own."""

    heading: str
    verifier: str
    run: tuple[str, ...]
    beside: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    build: tuple[tuple[str, ...], ...] = ()


PYTHON = sys.executable
FRAMEWORKS = {
    "flask": Framework(
        heading="Flask",
        verifier="Python",
        run=(PYTHON, "-m", "flask", "--app", "app", "run", "--port", "{port}"),
    ),
    "fastapi": Framework(
        heading="FastAPI",
        verifier="Python",
        run=(PYTHON, "-m", "uvicorn", "app:app", "--port", "{port}"),
    ),
    "django": Framework(
        heading="Django",
        verifier="Python",
        folder="mysite",
        beside=DJANGO,
        run=(PYTHON, "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}")
        + ("--settings", "mysite.settings"),
    ),
    "express": Framework(heading="Express", verifier="Node", run=("node", "app.mjs")),
    "go": Framework(
        heading="Go",
        verifier="Go",
        beside={"go.mod": "module app\n\ngo 1.19\n"},
        build=(("go", "vet", "."), ("go", "build", "-o", "app", ".")),
        run=("./app",),
    ),
}
NEEDS = {"express": ("node", "npm"), "go": ("go",)}


@dataclass(frozen=True)
class Running:
    """An app of the page that runs, and where it looks for its gateway."""

    port: int
    gateway_port: int
    folder: Path


@dataclass(frozen=True)
class Place:
    """A gateway as the page configures it, and one of the page's apps behind it."""

    gateway: Gateway
    app: Running
    key: Any
    kid: str

    async def reported(self, token: str | None, **fields: str) -> tuple[int, bytes]:
        """Go to the app behind the gateway's back, with a token of one's own."""
        headers = {} if token is None else {"X-Auth-Assertion": token}
        reply = await ask(self.app.port, "GET", "/", PROGRAM | headers | fields)
        return reply.status, reply.body

    def sign(self, *, key: Any = None, alg: str = "ES256", **changes: Any) -> str:
        """Sign what the gateway would say, but for the changes; None leaves out."""
        now = int(time.time())
        header = {"kid": changes.pop("kid", self.kid)} | changes.pop("header", {})
        claims = {
            "iss": ISSUER,
            "aud": "app",
            "sub": "u_forged",
            "sid": "s",
            "iat": now,
            "nbf": now,
            "exp": now + 60,
        } | changes
        stated = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(stated, key or self.key, algorithm=alg, headers=header)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(
    params=[
        pytest.param(each, id=name, marks=pytest.mark.needs(*NEEDS.get(name, ())))
        for name, each in FRAMEWORKS.items()
    ],
    scope="module",
)
def app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Running]:
    """Run the files of the page, with ports of this machine for the page's two."""
    framework: Framework = request.param
    folder = tmp_path_factory.mktemp(framework.heading.lower())
    found = Running(port=free_port(), gateway_port=free_port(), folder=folder)
    (folder / framework.folder).mkdir(exist_ok=True)
    files = files_of(PAGE, framework.verifier) | files_of(PAGE, framework.heading)
    for name, text in files.items():
        own = text.replace("127.0.0.1:8080", f"127.0.0.1:{found.gateway_port}")
        own = own.replace("127.0.0.1:3000", f"127.0.0.1:{found.port}")
        own = own.replace("listen(3000,", f"listen({found.port},")
        (folder / framework.folder / name).write_text(own, encoding="utf-8")
    for name, text in framework.beside.items():
        (folder / name).write_text(text, encoding="utf-8")
    if framework.run[0] == "node":
        installed = node_modules(NODE, pytestconfig.cache.mkdir("npm"))
        (folder / "node_modules").symlink_to(installed)
    # Go fetches nothing: the page says the standard library alone. And it asks for
    # no C compiler, which Debian's package of it only recommends.
    env = os.environ | {"GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    for command in framework.build:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    words = [word.format(port=found.port) for word in framework.run]
    if words[0] == "node" and not _has_global_crypto():
        words.insert(1, "--experimental-global-webcrypto")  # as the page says
    with (folder / "said").open("wb") as stated:
        process = subprocess.Popen(words, cwd=folder, stdout=stated, stderr=stated)
    try:
        _wait(found, process)
        yield found
    finally:
        process.kill()
        process.wait(20)


def _has_global_crypto() -> bool:
    """Tell whether this is Node 20 or later; Debian 12 has 18."""
    reported = subprocess.check_output(["node", "--version"], text=True)
    return int(reported.removeprefix("v").partition(".")[0]) >= 20


def _wait(app: Running, process: subprocess.Popen[bytes]) -> None:
    """Ask until something listens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", app.port), 5):
            return
        time.sleep(0.02)
    raise AssertionError((app.folder / "said").read_text())


@asynccontextmanager
async def gateway_of(
    heading: str, folder: Path, redis: Server, *, listen: int = 0, **ports: int
) -> AsyncIterator[Gateway]:
    """Run a gateway by the configuration that the page shows below a heading."""
    config = yaml.safe_load(block_of(PAGE, heading, "yaml"))
    if not (folder / "keys").exists():
        new_key(folder / "keys", "ES256", time.time())
    address = f"127.0.0.1:{listen}"
    config["server"] = {"listen": address, "admin": None, "public_url": ISSUER}
    config["tokens"]["keys"] = str(folder / "keys")
    # Somebody else's: signed with the same key, and for another audience.
    config["tokens"]["profiles"]["other"] = {"audience": "other", "header": "X-Other"}
    config["upstreams"]["other"] = {"url": "http://127.0.0.1:1", "token": "other"}
    for name, port in ports.items():
        config["upstreams"][name]["url"] = f"http://127.0.0.1:{port}"
    config["routes"].append(
        {"match": "/other/**", "rule": "protected", "upstream": "other"}
    )
    async with running_gateway(config, folder, redis.url) as gateway:
        yield gateway


@pytest.fixture
async def recording() -> AsyncIterator[RecordingUpstream]:
    upstream = RecordingUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
async def place(
    app: Running, redis: Server, recording: RecordingUpstream
) -> AsyncIterator[Place]:
    async with gateway_of(
        "Your framework",
        app.folder,
        redis,
        listen=app.gateway_port,
        app=app.port,
        other=recording.port,
    ) as gateway:
        (file,) = read_folder(app.folder / "keys")
        key = serialization.load_pem_private_key(file.path.read_bytes(), None)
        yield Place(gateway=gateway, app=app, key=key, kid=file.key.kid)


def b64(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def with_the_public_key_as_a_secret(place: Place) -> str:
    """What a verifier takes that believes the token's own word for the algorithm."""
    pem = place.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = place.sign().split(".")[1]
    signed = f"{b64({'alg': 'HS256', 'kid': place.kid})}.{body}"
    return f"{signed}.{b64(hmac.digest(pem, signed.encode(), 'sha256'))}"


def with_its_own_key_inside(place: Place) -> str:
    own = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(own.public_key()))
    return place.sign(key=own, header={"jwk": public, "jku": "http://127.0.0.1:1/"})


def with_the_signature_of_another(place: Place) -> str:
    body = place.sign(sub="u_admin").split(".")[1]
    head, _, signature = place.sign().split(".")
    return f"{head}.{body}.{signature}"


def unsigned(place: Place, algorithm: str) -> str:
    body = place.sign().split(".")[1]
    return f"{b64({'alg': algorithm, 'typ': 'JWT', 'kid': place.kid})}.{body}."


NOW = time.time
FORGED: dict[str, Callable[[Place], str | None]] = {
    "none at all": lambda _: None,
    "an empty one": lambda _: "",
    "no token": lambda _: "Bearer x",
    "two dots": lambda _: "..",
    "bytes": lambda _: "\xff\xfe.\xe9.\xe9",
    "alg none": lambda place: unsigned(place, "none"),
    "alg None": lambda place: unsigned(place, "None"),
    "alg empty": lambda place: unsigned(place, ""),
    "alg without a signature": lambda place: unsigned(place, "ES256"),
    "HS256 with the public key": with_the_public_key_as_a_secret,
    "another key under our kid": lambda place: place.sign(
        key=ec.generate_private_key(ec.SECP256R1())
    ),
    "its own key inside": with_its_own_key_inside,
    "an unknown kid": lambda place: place.sign(kid="unknown"),
    "a kid that is a path": lambda place: place.sign(kid="../../dev/null"),
    "another's signature": with_the_signature_of_another,
    "a signature of nought": lambda place: (
        place.sign().rpartition(".")[0] + "." + b64(bytes(64))
    ),
    "a signature cut short": lambda place: place.sign()[:-4],
    "a part too many": lambda place: place.sign() + ".x",
    "expired": lambda place: place.sign(exp=int(NOW()) - 60),
    "without an end": lambda place: place.sign(exp=None),
    "not yet valid": lambda place: place.sign(nbf=int(NOW()) + 120),
    "for another audience": lambda place: place.sign(aud="postgrest"),
    "for no audience": lambda place: place.sign(aud=None),
    "of another issuer": lambda place: place.sign(iss="http://localhost:8081"),
    "of no issuer": lambda place: place.sign(iss=None),
    "of nobody": lambda place: place.sign(sub=None),
}


@pytest.mark.parametrize("forged", FORGED)
async def test_what_the_gateway_did_not_sign_for_this_app_is_refused(
    place: Place, forged: str
) -> None:
    status, body = await place.reported(
        FORGED[forged](place), **{"X-Auth-Email": "eve"}
    )

    assert status == 401, body
    assert b"eve" not in body


async def test_a_token_for_another_app_of_the_same_gateway_is_refused(
    place: Place, recording: RecordingUpstream
) -> None:
    cookie = await place.gateway.sign_in()
    reply = await ask(place.gateway.port, "GET", "/other", {"Cookie": cookie})

    status, _ = await place.reported(recording.last.one("X-Other"))

    assert (reply.status, status) == (200, 401)


async def test_who_comes_through_the_gateway_is_known(place: Place) -> None:
    """Also beyond ASCII, and whatever the client says of itself."""
    who = Identity(id="u_zoe", traits={"email": "zo\u00eb+100%@example.com"}, roles=())
    cookie = await place.gateway.sign_in(identity=who)
    eve = {"X-Auth-Email": "eve", "X-Auth-Assertion": "eve", "X_Auth_Assertion": "eve"}

    reply = await ask(
        place.gateway.port, "GET", "/", PROGRAM | eve | {"Cookie": cookie}
    )

    assert reply.status == 200, reply.body
    assert reply.json() == {"id": "u_zoe", "email": "zo\u00eb+100%@example.com"}


async def test_a_token_as_the_gateway_signs_it_passes(place: Place) -> None:
    """So what is refused above is refused for what was changed, and nothing else."""
    assert (await place.reported(place.sign()))[0] == 200


def test_the_lock_file_has_checksums_and_names_no_registry() -> None:
    assert unpinned(NODE) == []


async def test_hasura_gets_exactly_what_the_page_shows(
    redis: Server, recording: RecordingUpstream, tmp_path: Path
) -> None:
    async with gateway_of("Hasura", tmp_path, redis, hasura=recording.port) as gateway:
        cookie = await gateway.sign_in()
        eve = {"Authorization": "Bearer eve", "Cookie": cookie}
        reply = await ask(gateway.port, "POST", "/graphql/v1/graphql", PROGRAM | eve)
        jwks = await ask(gateway.port, "GET", "/.gateway/jwks.json")
        homeless = await gateway.sign_in(tenants={}, active_tenant=None)
        refused = await ask(
            gateway.port, "POST", "/graphql/v1/graphql", PROGRAM | {"Cookie": homeless}
        )

    assert (reply.status, refused.status) == (200, 403)
    assert [seen.target for seen in recording.seen] == ["/v1/graphql"]
    scheme, _, token = (recording.last.one("Authorization") or "").partition(" ")
    settings = _hasura_settings()
    (key,) = jwks.json()["keys"]
    claims = jwt.decode(
        token,
        jwt.PyJWK(key),
        algorithms=[key["alg"]],
        audience=settings["audience"],
        issuer=settings["issuer"],
    )
    assert scheme == "Bearer"
    assert set(settings) == {"jwk_url", "audience", "issuer"}
    assert settings["jwk_url"].endswith(":8080/.gateway/jwks.json")
    assert claims["https://hasura.io/jwt/claims"] == {
        "x-hasura-default-role": "user",
        "x-hasura-allowed-roles": ["user"],
        "x-hasura-user-id": "u_grace",
        "x-hasura-tenant-id": "t_acme",
        "x-hasura-tenant-role": "owner",
    }


def _hasura_settings() -> dict[str, str]:
    text = block_of(PAGE, "Hasura", "sh")
    found: dict[str, str] = json.loads(
        text.partition("JWT_SECRET='")[2].rpartition("'")[0]
    )
    return found
