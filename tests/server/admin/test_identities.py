"""The identity API: running sessions follow an identity."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Identity, Session
from tests.memory_store import MemoryStore
from tests.server.admin.test_sessions import ADA, TOKEN, Admin, Away, opened
from tests.server.parts import signed_in
from tests.sessions.samples import NOW, a_session, the_session

PATH = "/admin/identities/u_ada"


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    async with opened(MemoryStore()) as each:
        await signed_in(each.services)
        yield each


async def only_session(admin: Admin) -> Session:
    ((_, session),) = await admin.services.store.list_for("u_ada", NOW)
    return session


@pytest.mark.parametrize("authorization", [None, "Bearer x", f"Basic {TOKEN}"])
async def test_without_the_token_nothing_changes(
    admin: Admin, authorization: str | None
) -> None:
    status, _ = await admin.ask(
        "PATCH", PATH, {"roles": []}, authorization=authorization
    )

    assert status == 401
    assert await only_session(admin) == a_session()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b'{"roles": [], "roles": ["admin"]}', "twice", id="a key twice"),
        pytest.param([], "not an object", id="a list"),
        pytest.param({}, "nothing to change", id="nothing"),
        pytest.param({"roles": None}, "nothing to change", id="null"),
        pytest.param({"role": ["x"]}, "only roles", id="unknown"),
        pytest.param({"identity": {"id": "u_eve"}}, "only roles", id="another identity"),
        pytest.param({"roles": "admin"}, "roles: not a list", id="a role"),
        pytest.param({"roles": [7]}, "roles: not a list of texts", id="a number"),
        pytest.param({"roles": ["x\r\nX-Auth-Role: admin"]}, "identity.roles", id="controls"),
        pytest.param({"traits": []}, "traits: not an object", id="traits"),
        pytest.param({"traits": {"x": "y" * 65_000}}, "larger than", id="a large record"),
        pytest.param({"tenants": []}, "tenants: not an object", id="tenants"),
        pytest.param({"tenants": {"": {}}}, "the ID is empty", id="no tenant id"),
        pytest.param({"remove_tenant": ""}, "remove_tenant", id="no tenant"),
        pytest.param({"remove_tenant": ["t"]}, "remove_tenant", id="a list of tenants"),
        pytest.param({"tenants": {}, "remove_tenant": "t"}, "exclude each other", id="both"),
        pytest.param({"updated_at": "yesterday"}, "updated_at: not an RFC 3339 time", id="no time"),
        pytest.param({"created_at": 1_800_000_000}, "created_at: not a string", id="a number as time"),
    ],
)  # fmt: skip
async def test_an_invalid_change_is_named_and_changes_nothing(
    admin: Admin, body: Any, detail: str
) -> None:
    status, found = await admin.ask("PATCH", PATH, body)

    assert (status, found["reason"]) == (400, "bad_request")
    assert detail in found["detail"]
    assert "X-Auth-Role" not in found["detail"]
    assert await only_session(admin) == a_session()


async def test_every_session_of_the_identity_changes_and_the_number_is_returned(
    admin: Admin,
) -> None:
    await admin.ask("POST", "/admin/sessions", ADA)
    body = {
        "roles": ["editor"],
        "tenants": {"t_beta": {"name": "Beta", "role": "owner"}, "9": None},
        "updated_at": "2027-01-15T08:00:00Z",
    }

    first = await admin.ask("PATCH", PATH, body)
    again = await admin.ask("PATCH", PATH, body)

    assert first == (200, {"changed": 2, "unchanged": 0})
    assert again == (200, {"changed": 0, "unchanged": 2})
    for _, session in await admin.services.store.list_for("u_ada", NOW):
        assert session.identity.roles == ("editor",)
        assert session.identity.updated_at == NOW
        assert sorted(session.tenants) == ["9", "t_beta"]
        assert session.active_tenant_id is None
    notes: Any = admin.services.report
    audited = [what for name, what in notes.others if name == "identity changed"]
    members = ("roles", "tenants", "updated_at")
    assert audited == [("u_ada", members, 2), ("u_ada", members, 0)]


async def test_one_membership_is_removed(admin: Admin) -> None:
    status, found = await admin.ask("PATCH", PATH, {"remove_tenant": "t_acme"})

    session = await only_session(admin)
    assert (status, found["changed"]) == (200, 1)
    assert (list(session.tenants), session.active_tenant_id) == (["t_beta"], None)
    assert session == replace(
        a_session(), tenants=session.tenants, active_tenant_id=None
    )


@pytest.mark.parametrize(
    "identity_id",
    [
        *("{x}", "}{", "a/b", "/", "%", "%2F", "..", ".", "a b", "a?b#c", "sessions"),
        *("ü", "😀", ";a=b", "+", "\\", "*", "i" * 255),
    ],
)
async def test_an_identity_with_any_id_is_changed(
    admin: Admin, identity_id: str
) -> None:
    path = f"/admin/identities/{quote(identity_id, safe='').replace('.', '%2E')}"
    url = URL(str(admin.client.make_url("/"))[:-1] + path, encoded=True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    await admin.ask("POST", "/admin/sessions", {"identity": {"id": identity_id}})

    async with admin.client.session.patch(
        url, headers=headers, json={"roles": ["new"]}
    ) as answer:
        found = await answer.json()

    assert found == {"changed": 1, "unchanged": 0}
    ((_, session),) = await admin.services.store.list_for(identity_id, NOW)
    assert session.identity == Identity(id=identity_id, roles=("new",))


class Breaking(MemoryStore):
    """A store that goes away after the first change."""

    amended = 0

    async def amend(self, key: str, old: Session, new: Session) -> bool:
        self.amended += 1
        if self.amended > 1:
            raise StoreUnavailable("away")
        return await super().amend(key, old, new)


async def test_what_is_not_certain_is_a_503_and_what_changed_is_audited() -> None:
    async with opened(Breaking()) as admin:
        for _ in range(3):
            await admin.ask("POST", "/admin/sessions", ADA)

        status, found = await admin.ask("PATCH", PATH, {"roles": ["x"]})

        notes: Any = admin.services.report
        assert (status, found["reason"]) == (503, "store_unavailable")
        assert notes.others[-1] == ("identity changed", ("u_ada", ("roles",), 1))


async def test_a_store_that_is_away_is_a_503() -> None:
    async with opened(Away()) as admin:
        status, _ = await admin.ask("PATCH", PATH, {"roles": []})

        assert status == 503


async def test_sessions_of_an_app_are_changed_by_the_app(admin: Admin) -> None:
    admin.services.gateway_managed = None

    status, found = await admin.ask("PATCH", PATH, {"roles": []})

    assert (status, found["reason"]) == (409, "session_read_only")
    assert "in the records that it writes" in found["detail"]


async def test_a_session_made_with_everywhere_is_followed_by_the_others(
    admin: Admin,
) -> None:
    body = {
        "identity": {"id": "u_ada", "roles": ["editor"]},
        "tenants": {"t_beta": {}},
        "everywhere": True,
    }

    status, _ = await admin.ask("POST", "/admin/sessions", body)

    sessions = await admin.services.store.list_for("u_ada", NOW)
    assert status == 201
    assert len(sessions) == 2
    for _, session in sessions:
        assert the_session(session).identity.roles == ("editor",)
        assert list(session.tenants) == ["t_beta"]


async def test_a_session_for_which_another_has_no_room_is_not_made(
    admin: Admin,
) -> None:
    store = admin.services.gateway_managed
    assert store is not None
    await store.create("b" * 64, a_session(extra={"theirs": "x" * 40_000}), NOW)
    before = await store.list_for("u_ada", NOW)
    identity = {"id": "u_ada", "traits": {"about": "y" * 30_000}}
    body = {"identity": identity, "everywhere": True}

    status, found = await admin.ask("POST", "/admin/sessions", body)
    await admin.services.finish()

    assert (status, found["reason"]) == (400, "bad_request")
    assert await store.list_for("u_ada", NOW) == before


async def test_access_tokens_of_the_identity_are_changed_too(admin: Admin) -> None:
    body = {**ADA, "name": "ci", "expires_in": 3600, "tenants": {"t_acme": {}}}
    status, made = await admin.ask("POST", "/admin/tokens", body)

    found = await admin.ask("PATCH", PATH, {"remove_tenant": "t_acme"})

    assert (status, found) == (201, (200, {"changed": 2, "unchanged": 0}))
    _, shown = await admin.ask("GET", f"/admin/tokens/{made['session']['id']}")
    assert shown["tenants"] == {}
    assert shown["active_tenant_id"] is None
