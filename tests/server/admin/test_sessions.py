"""The session API, against its own description: each answer is one it promises."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator
from multidict import CIMultiDict
from openapi_spec_validator import validate
from yarl import URL

from gateway.errors import NotPermitted, StoreUnavailable
from gateway.server.admin.application import admin_application
from gateway.server.admin.health import Health
from gateway.server.admin.identities import IdentityApi
from gateway.server.admin.sessions import SessionApi
from gateway.server.admin.tokens import TokenApi
from gateway.server.context import Services
from gateway.sessions.record import Session
from tests.memory_store import MemoryStore
from tests.server.parts import a_runtime, signed_in, some_services
from tests.sessions.samples import NOW, a_session

ROOT = Path(__file__).parents[3]
DOCUMENT = orjson.loads((ROOT / "gateway/server/admin/openapi.json").read_bytes())
TOKEN = "an-admin-token-0123456789"
SESSION = a_session().id
ADA = {"identity": {"id": "u_ada"}}


class Away(MemoryStore):
    """A store that cannot be asked."""

    async def find(self, session_id: str) -> tuple[str, Session] | None:
        raise StoreUnavailable("away")

    async def list_for(self, identity_id: str, now: float) -> list[tuple[str, Session]]:
        raise StoreUnavailable("away")

    async def create(self, key: str, session: Session, now: float) -> list[str]:
        raise StoreUnavailable("away")


@dataclass
class Admin:
    """The admin listener, and what stands behind it."""

    client: TestClient[web.Request, web.Application]
    services: Services
    refused: list[str]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        authorization: str | None = f"Bearer {TOKEN}",
    ) -> tuple[int, Any]:
        """Ask, and hold the answer against what the document says of it."""
        headers = {} if authorization is None else {"Authorization": authorization}
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        async with self.client.request(
            method, path, data=data, headers=headers
        ) as answer:
            return answer.status, await checked(answer)


async def checked(answer: ClientResponse) -> Any:
    resource = answer.request_info.url.raw_path
    route = next(
        each
        for each in DOCUMENT["paths"]
        if len(each.split("/")) == len(resource.split("/"))
        and all(
            stated in (requested, "{id}")
            for stated, requested in zip(
                each.split("/"), resource.split("/"), strict=True
            )
        )
    )
    stated = DOCUMENT["paths"][route][answer.method.lower()]["responses"]
    promised = stated[str(answer.status)]
    if "$ref" in promised:
        promised = DOCUMENT["components"]["responses"][promised["$ref"].split("/")[-1]]
    for name in promised.get("headers", {}):
        assert name in answer.headers
    if "content" not in promised:
        assert await answer.read() == b""
        return None
    assert answer.content_type in promised["content"]
    schema = promised["content"][answer.content_type]["schema"]
    found = await answer.json(content_type=None)
    Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    ).validate(found)
    return found


@asynccontextmanager
async def opened(
    store: MemoryStore, token: str | None = TOKEN, **config: Any
) -> AsyncIterator[Admin]:
    services = some_services(store)
    refused: list[str] = []
    runtime = a_runtime(**config)

    def count(address: str) -> int:
        refused.append(address)
        return 0

    application = admin_application(
        health=Health({}),
        identities=IdentityApi(services),
        sessions=SessionApi(services, lambda: runtime.rules),
        tokens=TokenApi(services),
        metrics=lambda _: (b"", "text/plain"),
        token=lambda: token,
        refused=count,
        hosts=lambda: ("gw.internal",),
    )
    async with TestClient(TestServer(application)) as client:
        yield Admin(client, services, refused)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    sessions = {"lifespan": "24h", "extend_within": "6h"}
    async with opened(MemoryStore(), sessions=sessions) as each:
        await signed_in(each.services)
        yield each


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/sessions"),
        ("GET", f"/admin/sessions/{SESSION}"),
        ("DELETE", f"/admin/sessions/{SESSION}"),
        ("PATCH", f"/admin/sessions/{SESSION}/extend"),
        ("GET", "/admin/identities/u_ada/sessions"),
        ("DELETE", "/admin/identities/u_ada/sessions"),
    ],
)
async def test_without_the_token_nothing_is_disclosed_or_done(
    admin: Admin, method: str, path: str, authorization: str | None
) -> None:
    status, found = await admin.ask(method, path, authorization=authorization)

    assert (status, found["reason"]) == (401, "not_admin")
    assert admin.refused == ["127.0.0.1"]
    assert len(await admin.services.store.list_for("u_ada", NOW)) == 1


async def test_where_no_token_is_configured_there_is_no_api() -> None:
    async with opened(MemoryStore(), token=None) as admin:
        for authorization in (None, "Bearer ", "Bearer None"):
            status, _ = await admin.ask(
                "POST", "/admin/sessions", ADA, authorization=authorization
            )

            assert status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 60_000,
        [],
        {},
        {"identity": {}},
        {"identity": {"id": ""}},
        {"identity": {"id": 7.5}},
        {"identity": {"id": "u\r\nX-Auth-Role: admin"}},
        {"identity": {"id": "u", "roles": "admin"}},
        {**ADA, "tenants": []},
        {**ADA, "active_tenant_id": "t_other"},
        {**ADA, "active_tenant_id": ""},
        {**ADA, "tenants": {"": {}}},
        {**ADA, "tenants": {"t": {"role": "r" * 256}}},
        {**ADA, "tenants": {"t" * 256: {}}},
        {**ADA, "authentication_methods": [""]},
        {**ADA, "authentication_methods": ["m" * 256]},
        {"identity": {"id": "u" * 256}},
        {"identity": {"id": "u", "roles": [""]}},
        {"identity": {"id": "u", "roles": ["r" * 256]}},
        b'{"identity": {"id": "u_ada"}, "identity": {"id": "u_eve"}}',
        b'{"identity": {"id": "u_ada", "\\u0069d": "u_eve"}}',
        b'{"identity": {"id": "u"}, "tenants": {"t": {"role": "a", "role": "b"}}}',
        b'{"identity": {"id": "u", "traits": {"a": {"b": 1, "b": 2}}}}',
        {**ADA, "aal": "aal9"},
        {**ADA, "persistent": 1},
    ],
)
async def test_what_is_no_sign_in_starts_nothing(admin: Admin, body: Any) -> None:
    status, found = await admin.ask("POST", "/admin/sessions", body)

    assert (status, found["reason"]) == (400, "bad_request")
    assert "X-Auth-Role" not in found["detail"]


@pytest.mark.parametrize(
    "identity_id",
    [
        *("{x}", "}{", "{", "a/b", "/", "%", "%2F", "%25", "..", ".", "a b", "a?b#c"),
        *("ü", "日本", "😀", ";a=b", "+", "\\", "*", "sessions", "i" * 255, "é" * 255),
    ],
)
async def test_an_identity_with_any_id_can_be_listed_and_ended(
    admin: Admin, identity_id: str
) -> None:
    path = (
        f"/admin/identities/{quote(identity_id, safe='').replace('.', '%2E')}/sessions"
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = URL(str(admin.client.make_url("/"))[:-1] + path, encoded=True)
    body = {"identity": {"id": identity_id}}

    status, made = await admin.ask("POST", "/admin/sessions", body)
    async with admin.client.session.get(url, headers=headers) as answer:
        listed = await answer.json()
    async with admin.client.session.delete(url, headers=headers) as answer:
        ended = await answer.json()

    assert status == 201
    assert listed == [made["session"]]
    assert ended == {"count": 1}
    assert await admin.services.store.list_for(identity_id, NOW) == []


@pytest.mark.parametrize(
    "second", [f"Bearer {TOKEN}", "Bearer other", "Basic eDp5", ""]
)
@pytest.mark.parametrize("right_first", [True, False])
async def test_two_authorization_lines_are_no_token(
    admin: Admin, second: str, right_first: bool
) -> None:
    lines = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", second)]
    fields = CIMultiDict(lines if right_first else lines[::-1])

    async with admin.client.delete(
        f"/admin/sessions/{SESSION}", headers=fields
    ) as answer:
        assert answer.status == 401

    assert admin.refused == ["127.0.0.1"]
    assert len(await admin.services.store.list_for("u_ada", NOW)) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("10.0.0.7:9090", 200),
        ("localhost", 200),
        ("gateway", 200),
        ("gw.internal", 200),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/metrics", "/openapi.json", f"/admin/sessions/{SESSION}"],
)
async def test_a_page_does_not_reach_the_listener_by_a_name_of_its_own(
    admin: Admin, path: str, host: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": host}

    async with admin.client.get(path, headers=headers) as answer:
        assert answer.status == status
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert admin.refused == []


async def test_one_host_is_named_and_only_once(admin: Admin) -> None:
    statuses = []
    for head in (
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        b"GET /livez HTTP/1.1\r\n",
        b"GET /livez HTTP/1.0\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", admin.client.port)
        writer.write(head + b"Connection: close\r\n\r\n")
        statuses.append(int((await reader.readline()).split()[1]))
        writer.close()

    assert statuses == [400, 400, 200]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_a_probe_may_use_the_method_of_haproxy(admin: Admin, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.client.port)
    writer.write(f"OPTIONS {path} HTTP/1.0\r\n\r\n".encode())

    status = int((await reader.readline()).split()[1])

    writer.close()
    assert status == 200


async def test_a_body_too_large_is_not_read(admin: Admin) -> None:
    status, _ = await admin.ask("POST", "/admin/sessions", b" " * 70_000)

    assert status == 413


async def test_a_session_is_created_with_its_token_shown_once(admin: Admin) -> None:
    status, made = await admin.ask(
        "POST",
        "/admin/sessions",
        {"identity": {"id": "u_bea"}, "tenants": {"t1": {"name": "One"}}},
    )
    _, shown = await admin.ask("GET", f"/admin/sessions/{made['session']['id']}")

    assert status == 201
    assert made["session_token"] in made["set_cookie"]
    assert shown == made["session"]
    assert made["session_token"] not in orjson.dumps(shown).decode()


async def test_a_session_is_shown_and_listed(admin: Admin) -> None:
    shown = await admin.ask("GET", f"/admin/sessions/{SESSION}")
    listed = await admin.ask("GET", "/admin/identities/u_ada/sessions")

    assert shown[0] == listed[0] == 200
    assert listed[1] == [shown[1]]


async def test_a_session_gets_a_new_life(admin: Admin) -> None:
    _, before = await admin.ask("GET", f"/admin/sessions/{SESSION}")
    status, after = await admin.ask("PATCH", f"/admin/sessions/{SESSION}/extend")

    assert status == 200
    assert after["expires_at"] >= before["expires_at"]


async def test_an_ended_session_stays_ended(admin: Admin) -> None:
    first = await admin.ask("DELETE", f"/admin/sessions/{SESSION}")
    again = await admin.ask("DELETE", f"/admin/sessions/{SESSION}")
    extended = await admin.ask("PATCH", f"/admin/sessions/{SESSION}/extend")

    assert (first, again) == ((204, None), (204, None))
    assert (extended[0], extended[1]["reason"]) == (409, "session_revoked")


async def test_nothing_is_extended_where_the_configuration_says_never() -> None:
    async with opened(MemoryStore(), sessions={"extend_within": None}) as admin:
        await signed_in(admin.services)

        status, found = await admin.ask("PATCH", f"/admin/sessions/{SESSION}/extend")

        assert status == 409
        assert "extend_within" in found["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/sessions/nobody"),
        ("DELETE", "/admin/sessions/%2e%2e%2f"),
        ("PATCH", "/admin/sessions/nobody/extend"),
    ],
)
async def test_an_unknown_session_is_a_404(
    admin: Admin, method: str, path: str
) -> None:
    status, found = await admin.ask(method, path)

    assert (status, found["reason"]) == (404, "unknown_session")


async def test_all_sessions_of_an_identity_end(admin: Admin) -> None:
    ended = await admin.ask("DELETE", "/admin/identities/u_ada/sessions")
    anonymous = await admin.ask("DELETE", "/admin/identities/u%2Fnobody/sessions")

    assert ended == (200, {"count": 1})
    assert anonymous == (200, {"count": 0})


@pytest.mark.parametrize(
    ("credentials", "status"), [(["cookie"], 200), (["cookie", "bearer"], 503)]
)
async def test_who_may_not_read_access_tokens_ends_sessions_where_none_are_taken(
    credentials: list[str], status: int
) -> None:
    class NotAllowed(MemoryStore):
        async def list_for(
            self, identity_id: str, now: float
        ) -> list[tuple[str, Session]]:
            raise NotPermitted("no permissions to run the 'zrange' command")

    route = {"match": "/**", "rule": "protected", "upstream": "web"}
    routes = [{**route, "credentials": credentials}]
    async with opened(MemoryStore(), routes=routes) as admin:
        await signed_in(admin.services)
        admin.services.own_tokens = NotAllowed()

        found = await admin.ask("DELETE", "/admin/identities/u_ada/sessions")

        assert found[0] == status
        assert await admin.services.store.list_for("u_ada", NOW) == []


async def test_a_store_that_cannot_be_asked_is_a_503_that_states_when_to_retry() -> (
    None
):
    async with opened(Away()) as admin:
        for method, path, body in (
            ("GET", f"/admin/sessions/{SESSION}", None),
            ("GET", "/admin/identities/u_ada/sessions", None),
            ("POST", "/admin/sessions", ADA),
        ):
            status, found = await admin.ask(method, path, body)

            assert (status, found["reason"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/admin/secrets", 404, "no_route"),
        ("PUT", "/livez", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_document_too(
    admin: Admin, method: str, path: str, status: int, reason: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with admin.client.request(method, path, headers=headers) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["reason"] == reason
        assert status != 405 or "GET" in answer.headers["Allow"]


async def test_the_document_is_served_and_is_openapi(admin: Admin) -> None:
    async with admin.client.get("/openapi.json") as answer:
        served = await answer.json()

    validate(served)
    assert served == DOCUMENT


async def test_the_document_names_what_is_there_and_nothing_else(admin: Admin) -> None:
    there = {
        (route.method.lower(), route.resource.canonical)
        for route in admin.client.app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    described = {
        (method, path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if method != "parameters"
    }

    assert described == there


def test_the_document_is_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert DOCUMENT["info"]["version"] == project["version"]
