"""A sign-in that the store is away for in the middle; the rest is walked."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.observe.audit_events import IdentityChanged
from gateway.server import session_changes
from gateway.server.context import Services
from gateway.server.session_changes import sign_in, sign_out
from gateway.server.sign_in_headers import SignIn, sign_in_of
from gateway.sessions.record import Session
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import a_context, cookie, signed_in, some_services
from tests.sessions.samples import NOW, a_session, the_session

WHO = a_session().identity.id


class Flickering(MemoryStore):
    """A store that is away for the next calls of these methods."""

    def __init__(self) -> None:
        super().__init__()
        self.away: list[str] = []

    def _ask(self, method: str) -> None:
        if self.away and self.away[0] == method:
            self.away.pop(0)
            raise StoreUnavailable("away")

    async def create(self, key: str, session: Session, now: float) -> list[str]:
        made = await super().create(key, session, now)
        self._ask("create")  # it was stored, and the answer was lost
        return made

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        self._ask("end")
        return await super().end(key, now, reason)


def sign_in_header() -> SignIn:
    found = sign_in_of({"identity": {"id": WHO}})
    assert isinstance(found, SignIn)
    return found


async def signing_in(
    store: MemoryStore, services: Services, *fields: tuple[str, str]
) -> Sequence[str]:
    request = head(*fields, target="/auth/login")
    return await sign_in(sign_in_header(), store, a_context(request, services=services))


async def test_a_sign_in_and_a_sign_out_forget_why_the_last_session_ended() -> None:
    """Else the next end would be explained by an earlier one."""
    store = MemoryStore()
    services = some_services(store)
    word = ("Cookie", "gateway_ended=session_revoked")

    plain = await signing_in(store, services)
    after = await signing_in(store, services, word)
    left = await sign_out("this", a_context(head(word), services=services))

    assert len(plain) == 1
    forgotten = "gateway_ended=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0"
    assert list(after[1:]) == [forgotten]
    assert left[-1] == forgotten


@pytest.mark.parametrize(
    "away", [["end"], ["end", "end"], ["create"], ["create", "end"]]
)
async def test_a_sign_in_that_fails_leaves_the_old_session_and_no_other(
    away: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0, 0.0))
    store = Flickering()
    services = some_services(store)
    old = await signed_in(services)
    store.away = away

    with pytest.raises(StoreUnavailable):
        await signing_in(store, services, cookie(old))
    await services.finish()

    assert [key for key, _ in await store.list_for(WHO, NOW)] == [old.key]


async def test_a_store_that_stays_away_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0, 0.0))
    store = Flickering()
    services = some_services(store)
    store.away = ["create", *["end"] * 9]

    with pytest.raises(StoreUnavailable):
        await signing_in(store, services)
    await services.finish()

    assert store.away == ["end"] * 7


async def test_what_is_put_off_holds_up_no_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (3600.0,))
    store = Flickering()
    services = some_services(store)
    store.away = ["create"]

    with pytest.raises(StoreUnavailable):
        await signing_in(store, services)
    await services.finish()

    assert not services._background


async def test_a_sign_in_ends_the_session_that_it_came_with() -> None:
    store = MemoryStore()
    services = some_services(store)
    old = await signed_in(services)

    (field,) = await signing_in(store, services, cookie(old))

    (kept,) = await store.list_for(WHO, NOW)
    assert kept[0] != old.key
    assert old.value not in field


async def test_a_sign_in_everywhere_is_followed_by_the_other_sessions() -> None:
    store = MemoryStore()
    services = some_services(store)
    tablet = await signed_in(services)
    document = {"identity": {"id": WHO, "roles": ["editor"]}, "everywhere": True}
    found = sign_in_of(document)
    assert isinstance(found, SignIn)
    context = a_context(head(target="/auth/login"), services=services)

    await sign_in(found, store, context)

    other = the_session(await store.load(tablet.key))
    assert (other.identity.roles, other.tenants) == (("editor",), {})
    assert (other.active_tenant_id, other.active) == (None, True)
    notes: Any = services.report
    assert notes.audits[-1] == IdentityChanged(
        members=("roles", "traits", "tenants"), count=1
    )


async def test_a_sign_in_leaves_the_other_sessions_as_they_are() -> None:
    store = MemoryStore()
    services = some_services(store)
    tablet = await signed_in(services)

    await signing_in(store, services)

    assert await store.load(tablet.key) == a_session()


async def test_a_sign_in_for_which_another_session_has_no_room_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0,))
    store = MemoryStore()
    services = some_services(store)
    old = await signed_in(services)
    await store.create("b" * 64, a_session(extra={"theirs": "x" * 40_000}), NOW)
    before = await store.list_for(WHO, NOW)
    identity = {"id": WHO, "traits": {"about": "y" * 30_000}}
    found = sign_in_of({"identity": identity, "everywhere": True})
    assert isinstance(found, SignIn)
    context = a_context(head(cookie(old)), services=services)

    with pytest.raises(ValueError, match="larger than"):
        await sign_in(found, store, context)
    await services.finish()

    assert await store.list_for(WHO, NOW) == before


async def test_a_sign_in_whose_change_is_not_certain_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0,))

    class Away(MemoryStore):
        async def amend(self, key: str, old: Session, new: Session) -> bool:
            raise StoreUnavailable("away")

    store = Away()
    services = some_services(store)
    found = sign_in_of({"identity": {"id": WHO}, "everywhere": True})
    assert isinstance(found, SignIn)

    with pytest.raises(StoreUnavailable):
        await sign_in(found, store, a_context(head(), services=services))
    await services.finish()

    assert await store.list_for(WHO, NOW) == []
