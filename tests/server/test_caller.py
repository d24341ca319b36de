"""A cookie means the same wherever it is asked about."""

import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.caller import caller_of, credential_of, look_up
from gateway.sessions.authenticate import Anonymous, Authenticated
from gateway.sessions.store import MemoryStore
from tests.http.heads import head
from tests.server.parts import NOW, cookie, signed_in, some_tools, the_serving

SERVING = the_serving()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((), Reason.NO_SESSION),
        ((("Cookie", "a=b"),), Reason.NO_SESSION),
        ((cookie("short"),), Reason.MALFORMED),
        ((cookie("A" * 43), cookie("A" * 43)), Reason.MALFORMED),
    ],
    ids=["no cookie", "another cookie", "not a token", "two of them"],
)
async def test_what_is_no_token_is_told_apart_and_asks_no_store(
    fields: tuple[tuple[str, str], ...], reason: Reason
) -> None:
    tools = some_tools(store=Away())

    assert credential_of(head(*fields), SERVING) == Anonymous(reason=reason)
    assert await caller_of(head(*fields), SERVING, tools) == Anonymous(reason=reason)


async def test_a_live_session_is_who_asks() -> None:
    tools = some_tools()
    token = await signed_in(tools)

    found = await caller_of(head(cookie(token)), SERVING, tools)

    assert isinstance(found, Authenticated)
    assert found.key == token.key


async def test_an_ended_session_is_nobody_with_the_reason() -> None:
    tools = some_tools()
    token = await signed_in(tools)
    await tools.store.end(token.key, NOW)

    found = await look_up(token, SERVING, tools, NOW)

    assert found == Anonymous(reason=Reason.SESSION_REVOKED, ended=True)


async def test_a_store_that_is_away_is_not_nobody() -> None:
    with pytest.raises(StoreUnavailable):
        await caller_of(head(cookie("A" * 43)), SERVING, some_tools(store=Away()))


class Away(MemoryStore):
    """A store that cannot be asked."""

    async def load(self, key: str) -> None:
        raise StoreUnavailable(key)
