"""A sign-in that the store is away for in the middle; the rest is walked."""

import pytest

from gateway.errors import StoreUnavailable
from gateway.server import session_changes
from gateway.server.hand_off import SignIn, sign_in_of
from gateway.server.session_changes import sign_in
from gateway.server.tools import Tools
from gateway.sessions.record import Session
from gateway.sessions.store import MemoryStore
from tests.http.heads import head
from tests.server.parts import NOW, a_story, cookie, signed_in, some_tools, the_serving
from tests.sessions.samples import a_session

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


def hand_off() -> SignIn:
    found = sign_in_of({"identity": {"id": WHO}})
    assert isinstance(found, SignIn)
    return found


async def signing_in(store: MemoryStore, tools: Tools, *fields: tuple[str, str]):
    request = head(*fields, target="/auth/login")
    return await sign_in(hand_off(), store, request, the_serving(), a_story(), tools)


@pytest.mark.parametrize(
    "away", [["end"], ["end", "end"], ["create"], ["create", "end"]]
)
async def test_a_sign_in_that_fails_leaves_the_old_session_and_no_other(
    away: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0, 0.0))
    store = Flickering()
    tools = some_tools(store)
    old = await signed_in(tools)
    store.away = away

    with pytest.raises(StoreUnavailable):
        await signing_in(store, tools, cookie(old))
    await tools.finish()

    assert [key for key, _ in await store.list_for(WHO, NOW)] == [old.key]


async def test_a_store_that_stays_away_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (0.0, 0.0))
    store = Flickering()
    tools = some_tools(store)
    store.away = ["create", *["end"] * 9]

    with pytest.raises(StoreUnavailable):
        await signing_in(store, tools)
    await tools.finish()

    assert store.away == ["end"] * 7


async def test_what_is_put_off_holds_up_no_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_changes, "_TRIES", (3600.0,))
    store = Flickering()
    tools = some_tools(store)
    store.away = ["create"]

    with pytest.raises(StoreUnavailable):
        await signing_in(store, tools)
    await tools.finish()

    assert not tools._later


async def test_a_sign_in_ends_the_session_that_it_came_with() -> None:
    store = MemoryStore()
    tools = some_tools(store)
    old = await signed_in(tools)

    (field,) = await signing_in(store, tools, cookie(old))

    (kept,) = await store.list_for(WHO, NOW)
    assert kept[0] != old.key
    assert old.value not in field
