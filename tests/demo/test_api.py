"""The sample API on a real PostgreSQL: the token decides, not the request."""

import time
from collections.abc import Iterator

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_aiohttp import AiohttpClient, AiohttpServer

from gateway.demo.api import NotesApi
from gateway.demo.bearer import GatewayKeys
from gateway.demo.postgres import EmbeddedPostgres
from gateway.demo.run import demo_file

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.postgres]

KEY = ec.generate_private_key(ec.SECP256R1())
PAGE = {"Accept": "text/html"}


def bearer(tenant_id: str | None, **changes: int | str) -> dict[str, str]:
    now = int(time.time())
    claims = {
        "aud": "postgrest",
        "iat": now,
        "exp": now + 60,
        "sub": "u_grace",
        "role": "authenticated",
        "tenant_id": tenant_id,
        "tenant_role": "member",
        "email": "grace@example.com",
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": "k1"})
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def database() -> Iterator[EmbeddedPostgres]:
    files = sorted(demo_file("sql", "deploy/postgres").glob("*.sql"))
    with EmbeddedPostgres(files) as server:
        yield server


async def jwks(_: web.Request) -> web.Response:
    key = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return web.json_response({"keys": [{**key, "kid": "k1", "alg": "ES256"}]})


@pytest.fixture
async def keys(aiohttp_server: AiohttpServer) -> GatewayKeys:
    publisher = web.Application()
    publisher.router.add_get("/jwks.json", jwks)
    gateway = await aiohttp_server(publisher)
    return GatewayKeys(str(gateway.make_url("/jwks.json")))


@pytest.fixture
async def api(
    database: EmbeddedPostgres, keys: GatewayKeys, aiohttp_client: AiohttpClient
) -> TestClient[web.Request, web.Application]:
    notes = NotesApi(dsn=database.dsn("authenticator"), keys=keys)
    return await aiohttp_client(notes.app())


async def tenants_seen(
    api: TestClient[web.Request, web.Application], headers: dict[str, str]
) -> set[str]:
    answer = await api.get("/notes", headers=headers)
    assert answer.status == 200, await answer.text()
    return {note["tenant_id"] for note in await answer.json()}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer x.y.z"}, id="no-jwt"),
        pytest.param(bearer("t_acme", aud="web"), id="wrong-audience"),
        pytest.param(bearer("t_acme", exp=1), id="expired"),
    ],
)
async def test_without_a_token_of_the_gateway_there_are_no_notes(
    api: TestClient[web.Request, web.Application], headers: dict[str, str]
) -> None:
    answer = await api.get("/notes", headers=headers)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "role", ["postgres", "nobody_knows", 'a"; drop role x; --', "", "none", 7]
)
async def test_a_role_that_the_api_may_not_take_is_refused(
    api: TestClient[web.Request, web.Application], role: int | str
) -> None:
    answer = await api.get("/notes", headers=bearer("t_acme", role=role))

    assert answer.status == 403


async def test_without_a_tenant_no_row_is_seen(
    api: TestClient[web.Request, web.Application],
) -> None:
    assert await tenants_seen(api, bearer(None)) == set()


async def test_a_tenant_that_does_not_exist_sees_no_row(
    api: TestClient[web.Request, web.Application],
) -> None:
    assert await tenants_seen(api, bearer("t_' or '1'='1")) == set()


@pytest.mark.parametrize("tenant_id", ["t_acme", "t_globex"])
async def test_a_tenant_sees_its_own_rows_only(
    api: TestClient[web.Request, web.Application], tenant_id: str
) -> None:
    assert await tenants_seen(api, bearer(tenant_id)) == {tenant_id}


async def test_a_note_belongs_to_the_tenant_of_the_token(
    api: TestClient[web.Request, web.Application],
) -> None:
    answer = await api.post(
        "/notes",
        json={"body": "only for Globex", "tenant_id": "t_acme"},
        headers=bearer("t_globex"),
    )

    assert answer.status == 201
    acme = await (await api.get("/notes", headers=bearer("t_acme"))).text()
    globex = await (await api.get("/notes", headers=bearer("t_globex"))).text()
    assert "only for Globex" in globex
    assert "only for Globex" not in acme


async def test_without_a_tenant_no_note_is_written(
    api: TestClient[web.Request, web.Application],
) -> None:
    answer = await api.post("/notes", json={"body": "x"}, headers=bearer(None))

    assert answer.status == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"body": ""}', b'{"body": 1}', b'{"body": "\\u0000"}'],
)
async def test_what_is_no_note_is_refused(
    api: TestClient[web.Request, web.Application], body: bytes
) -> None:
    headers = {**bearer("t_acme"), "Content-Type": "application/json"}

    answer = await api.post("/notes", data=body, headers=headers)

    assert answer.status == 400


async def test_a_form_comes_back_to_the_page(
    api: TestClient[web.Request, web.Application],
) -> None:
    answer = await api.post(
        "/notes",
        data={"body": "<b>by form</b>"},
        headers={**bearer("t_acme"), **PAGE},
        allow_redirects=False,
    )
    page = await (await api.get("/notes", headers={**bearer("t_acme"), **PAGE})).text()

    assert (answer.status, answer.headers["Location"]) == (303, "notes")
    assert "&lt;b&gt;by form&lt;/b&gt;" in page


async def test_one_request_leaves_nothing_to_the_next(
    api: TestClient[web.Request, web.Application],
) -> None:
    assert await tenants_seen(api, bearer("t_globex")) == {"t_globex"}

    assert await tenants_seen(api, bearer(None)) == set()


async def test_without_a_database_every_answer_states_the_reason(
    aiohttp_client: AiohttpClient,
) -> None:
    keys = GatewayKeys("http://127.0.0.1:1/")
    api = NotesApi(dsn=None, keys=keys, unavailable="no PostgreSQL is installed")
    client = await aiohttp_client(api.app())

    answer = await client.get("/notes")
    page = await client.get("/notes", headers=PAGE)

    assert (answer.status, await answer.json()) == (
        503,
        {"message": "no PostgreSQL is installed"},
    )
    assert (page.status, page.content_type) == (503, "text/html")


async def test_a_database_that_is_away_is_a_503(
    keys: GatewayKeys, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(NotesApi(dsn="host=/nowhere", keys=keys).app())

    answer = await client.get("/notes", headers=bearer("t_acme"))

    assert answer.status == 503


async def test_a_gateway_that_is_away_is_a_503(
    database: EmbeddedPostgres, aiohttp_client: AiohttpClient
) -> None:
    anonymous = GatewayKeys("http://127.0.0.1:1/")
    notes = NotesApi(dsn=database.dsn("authenticator"), keys=anonymous)
    client = await aiohttp_client(notes.app())

    answer = await client.get("/notes", headers=bearer("t_acme"))

    assert answer.status == 503
