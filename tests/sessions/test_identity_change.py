"""What an identity is now, its sessions are; and whatever else happened to them stays."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
    changed_session,
)
from gateway.sessions.record import Corrupt, Identity, Session, Tenant
from tests.memory_store import MemoryStore
from tests.sessions.samples import NOW, a_key, a_session, the_session

BETA = Tenant(id="t_beta", name="Beta", role="member")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(IdentityChange(roles=("admin\r\nX-Auth-Role: root",)), id="controls"),
        pytest.param(IdentityChange(roles=("r" * 256,)), id="a long role"),
        pytest.param(IdentityChange(traits={"x": "y" * 70_000}), id="a large record"),
        pytest.param(IdentityChange(traits={"x": {1, 2}}), id="not JSON"),
        pytest.param(
            IdentityChange(tenants={"": Tenant(id="", name="x", role="")}), id="no tenant"
        ),
    ],
)  # fmt: skip
async def test_an_invalid_change_changes_nothing(change: IdentityChange) -> None:
    store = MemoryStore()
    await store.create(a_key(), a_session(), NOW)

    for identity_id in ("u_ada", "u_nobody"):
        with pytest.raises(ValueError, match=r"."):
            await change_sessions(
                store, identity_id, change, now=NOW, count=ChangeCount()
            )

    assert await store.load(a_key()) == a_session()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(IdentityChange(remove_tenant="t_acme"), {"tenants": {"t_beta": BETA}, "active_tenant_id": None}, id="the active membership"),
        pytest.param(IdentityChange(tenants={}), {"tenants": {}, "active_tenant_id": None}, id="all memberships"),
        pytest.param(IdentityChange(tenants={"t_beta": BETA}), {"tenants": {"t_beta": BETA}, "active_tenant_id": None}, id="another list"),
        pytest.param(IdentityChange(remove_tenant="t_other"), {}, id="one that it does not have"),
        pytest.param(IdentityChange(roles=("admin",)), {}, id="the role that it has"),
    ],
)  # fmt: skip
def test_a_session_without_the_membership_acts_for_no_tenant(
    change: IdentityChange, expected: dict[str, Any]
) -> None:
    session = a_session()

    changed = changed_session(session, change)

    assert changed == replace(session, **expected)
    assert (changed is session) is (not expected)


@pytest.mark.parametrize(
    ("change", "roles", "tenants"),
    [
        pytest.param(IdentityChange(roles=("admin", "owner")), ("admin",), ["t_acme"], id="more roles"),
        pytest.param(IdentityChange(roles=("owner", "admin", "ci")), ("ci", "admin"), ["t_acme"], id="its order"),
        pytest.param(IdentityChange(roles=()), (), ["t_acme"], id="no role"),
        pytest.param(IdentityChange(tenants={"t_beta": BETA}), ("ci", "admin"), [], id="another membership"),
        pytest.param(IdentityChange(remove_tenant="t_acme"), ("ci", "admin"), [], id="no membership"),
    ],
)  # fmt: skip
def test_a_change_adds_nothing_to_an_access_token(
    change: IdentityChange, roles: tuple[str, ...], tenants: list[str]
) -> None:
    acme = a_session().tenants["t_acme"]
    token = a_session(
        token_name="deploy",
        identity=replace(a_session().identity, roles=("ci", "admin")),
        tenants={"t_acme": acme},
    )

    changed = changed_session(token, change)

    assert changed.identity.roles == roles
    assert list(changed.tenants) == tenants
    assert changed.active_tenant_id == (tenants[0] if tenants else None)


def test_an_access_token_has_the_role_that_its_membership_has_now() -> None:
    acme = Tenant(id="t_acme", name="Acme", role="viewer")
    token = a_session(token_name="deploy")

    changed = changed_session(token, IdentityChange(tenants={"t_acme": acme}))

    assert changed.tenants == {"t_acme": acme}


def test_another_membership_leaves_the_active_one() -> None:
    changed = changed_session(a_session(), IdentityChange(remove_tenant="t_beta"))

    assert (list(changed.tenants), changed.active_tenant_id) == (["t_acme"], "t_acme")


def test_only_what_is_given_changes() -> None:
    session = a_session(extra={"theirs": [1]})
    change = IdentityChange(traits={"email": "a@b.example"}, updated_at=NOW)

    changed = changed_session(session, change)

    identity = replace(
        session.identity, traits={"email": "a@b.example"}, updated_at=NOW
    )
    assert changed == replace(session, identity=identity)
    assert changed.version != session.version
    assert change.members == ("traits", "updated_at")


@pytest.mark.parametrize(
    ("old", "new"), [(1, True), (False, 0), (2, 2.0), ([0], [False])]
)
async def test_values_that_python_takes_for_equal_are_changed(
    old: object, new: object
) -> None:
    identity = replace(a_session().identity, traits={"verified": old})
    store = MemoryStore()
    await store.create(a_key(), a_session(identity=identity), NOW)

    count = await changed_by(store, IdentityChange(traits={"verified": new}))

    found = the_session(await store.load(a_key()))
    assert count == (1, 0)
    assert repr(found.identity.traits) == repr({"verified": new})


class Racing(MemoryStore):
    """Another writer is faster, once for each of its writes."""

    def __init__(self, *writes: Callable[[Session], Session | None]) -> None:
        super().__init__()
        self.writes = list(writes)

    async def amend(self, key: str, old: Session, new: Session) -> bool:
        if self.writes:
            written = self.writes.pop(0)(old)
            if written is None:
                del self._records[key]
            elif not written.active:
                await self.end(key, NOW)
            else:
                await self.replace(key, old, written)
        return await super().amend(key, old, new)


async def changed_by(store: MemoryStore, change: IdentityChange) -> tuple[int, int]:
    count = ChangeCount()
    await change_sessions(store, "u_ada", change, now=NOW, count=count)
    return count.changed, count.unchanged


async def test_a_session_that_was_extended_and_switched_meanwhile_keeps_that() -> None:
    def later(session: Session) -> Session:
        return replace(
            session, expires_at=session.expires_at + 60, last_seen_at=NOW + 5
        )

    def switched(session: Session) -> Session:
        return replace(session, active_tenant_id="t_beta")

    store = Racing(later, switched)
    await store.create(a_key(), a_session(), NOW)

    count = await changed_by(store, IdentityChange(roles=(), remove_tenant="t_acme"))

    found = the_session(await store.load(a_key()))
    assert count == (1, 0)
    assert found.identity.roles == ()
    assert found.expires_at == a_session().expires_at + 60
    assert (found.last_seen_at, found.active_tenant_id) == (NOW + 5, "t_beta")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda session: replace(session, active=False), id="revoked"),
        pytest.param(lambda _session: None, id="deleted"),
    ],
)
async def test_a_session_that_ended_meanwhile_stays_ended(end: Any) -> None:
    store = Racing(end)
    await store.create(a_key(), a_session(), NOW)

    assert await changed_by(store, IdentityChange(roles=())) == (0, 0)

    found = await store.load(a_key())
    assert found is None or not the_session(found).active


async def test_a_session_that_always_changes_is_no_success() -> None:
    count = iter(range(1, 1000))

    def busy(session: Session) -> Session:
        return replace(session, last_seen_at=NOW + next(count))

    store = Racing(*[busy] * 200)
    await store.create(a_key(), a_session(), NOW)

    with pytest.raises(StoreUnavailable, match="kept changing"):
        await changed_by(store, IdentityChange(roles=()))


async def test_a_session_that_began_meanwhile_is_changed_too() -> None:
    store = MemoryStore()

    class Beginning(MemoryStore):
        async def amend(self, key: str, old: Session, new: Session) -> bool:
            if a_key("late") not in self._records:
                await self.create(a_key("late"), a_session(id="late"), NOW)
            return await super().amend(key, old, new)

    store = Beginning()
    await store.create(a_key(), a_session(), NOW)

    assert await changed_by(store, IdentityChange(remove_tenant="t_acme")) == (2, 0)

    late = the_session(await store.load(a_key("late")))
    assert list(late.tenants) == ["t_beta"]


async def test_a_repeated_change_finds_nothing_to_change() -> None:
    store = MemoryStore()
    await store.create(a_key(), a_session(), NOW)
    change = IdentityChange(roles=("editor",), tenants={"t_beta": BETA})

    assert await changed_by(store, change) == (1, 0)
    assert await changed_by(store, change) == (0, 1)


async def test_sessions_of_others_and_ended_ones_stay_as_they_are() -> None:
    store = MemoryStore()
    other = a_session(id="other", identity=Identity(id="u_ada2", roles=("admin",)))
    await store.create(a_key("other"), other, NOW)
    await store.create(a_key("old"), a_session(id="old", expires_at=NOW - 1), NOW)
    store.put_raw(a_key("torn"), b"{")

    assert await changed_by(store, IdentityChange(roles=())) == (0, 0)

    assert await store.load(a_key("other")) == other
    assert isinstance(await store.load(a_key("torn")), Corrupt)
