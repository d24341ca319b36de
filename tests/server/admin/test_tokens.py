"""The access tokens of the admin API: each answer is one that its document promises."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.sessions.record import Session
from tests.memory_store import MemoryStore
from tests.server.admin.test_sessions import ADA, Admin, opened
from tests.server.parts import signed_in
from tests.sessions.samples import NOW, a_session

WANTED = {"name": "ci", **ADA}


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with opened(MemoryStore()) as each:
        yield each


async def made(admin: Admin, **changes: Any) -> dict[str, Any]:
    status, found = await admin.ask("POST", "/admin/tokens", {**WANTED, **changes})
    assert status == 201, found
    answer: dict[str, Any] = found
    return answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/tokens"),
        ("GET", "/admin/tokens"),
        ("GET", "/admin/tokens/x"),
        ("DELETE", "/admin/tokens/x"),
        ("GET", "/admin/identities/u_ada/tokens"),
    ],
)
async def test_without_the_admin_token_nothing_is_done(
    admin: Admin, method: str, path: str
) -> None:
    status, _ = await admin.ask(method, path, authorization="Bearer x")

    assert status == 401


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": None}, id="no name"),
        pytest.param({"name": ""}, id="an empty name"),
        pytest.param({"name": "a\nb"}, id="a name of two lines"),
        pytest.param({"name": 7}, id="a number for a name"),
        pytest.param({"name": "n" * 256}, id="a long name"),
        pytest.param({"identity": {}}, id="no identity"),
        pytest.param({"expires_in": 0}, id="over at once"),
        pytest.param({"expires_in": -1}, id="over before"),
        pytest.param({"expires_in": 1.5}, id="half a second"),
        pytest.param({"expires_in": True}, id="true"),
        pytest.param({"expires_in": "90d"}, id="a text"),
        pytest.param({"expires_in": 10**12}, id="for ever"),
        pytest.param({"aal": "aal2"}, id="a level"),
        pytest.param({"authentication_methods": ["totp"]}, id="a method"),
        pytest.param({"persistent": True}, id="a cookie that stays"),
        pytest.param({"everywhere": True}, id="a change of other sessions"),
        pytest.param({"active_tenant_id": "t"}, id="a tenant without membership"),
    ],
)
async def test_what_cannot_be_meant_makes_no_token(
    admin: Admin, changes: dict[str, Any]
) -> None:
    status, found = await admin.ask("POST", "/admin/tokens", {**WANTED, **changes})

    assert (status, found["reason"]) == (400, "bad_request")
    assert await admin.services.tokens.list_tokens(NOW) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{"])
async def test_a_body_that_is_no_object_makes_no_token(
    admin: Admin, body: bytes
) -> None:
    status, _ = await admin.ask("POST", "/admin/tokens", body)

    assert status == 400


async def test_a_token_is_made_listed_shown_and_revoked(admin: Admin) -> None:
    answer = await made(admin, expires_in=3600)
    record = answer["session"]
    path = f"/admin/tokens/{record['id']}"

    assert answer["token"].startswith("gwt_")
    assert record["gateway_token"] == {"name": "ci"}
    assert record["authenticator_assurance_level"] == "aal0"
    assert await admin.ask("GET", path) == (200, record)
    assert await admin.ask("GET", "/admin/tokens") == (200, [record])
    assert await admin.ask("GET", "/admin/identities/u_ada/tokens") == (200, [record])
    assert await admin.ask("GET", "/admin/identities/u_ada/sessions") == (200, [])

    assert (await admin.ask("DELETE", path))[0] == 204
    assert (await admin.ask("DELETE", path))[0] == 204
    assert await admin.ask("GET", "/admin/tokens") == (200, [])
    shown = await admin.ask("GET", path)
    assert (shown[0], shown[1]["active"]) == (200, False)


async def test_a_session_is_no_token(admin: Admin) -> None:
    await signed_in(admin.services)
    path = f"/admin/tokens/{a_session().id}"

    assert (await admin.ask("GET", path))[0] == 404
    assert (await admin.ask("DELETE", path))[0] == 404
    assert len(await admin.services.store.list_for("u_ada", NOW)) == 1


async def test_a_token_is_not_extended() -> None:
    sessions = {"lifespan": "24h", "extend_within": "6h"}
    async with opened(MemoryStore(), sessions=sessions) as admin:
        record = (await made(admin))["session"]

        status, _ = await admin.ask("PATCH", f"/admin/sessions/{record['id']}/extend")

    assert status == 409


async def test_what_was_done_is_audited(admin: Admin) -> None:
    record = (await made(admin))["session"]
    await admin.ask("DELETE", f"/admin/tokens/{record['id']}")

    report: Any = admin.services.report
    done = [
        (event, each.id) for event, each in report.others if isinstance(each, Session)
    ]
    assert done == [("created", record["id"]), ("revoked", record["id"])]
