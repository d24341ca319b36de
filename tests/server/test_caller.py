"""A cookie means the same wherever it is asked about."""

import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.caller import caller_of, credential_of, look_up
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.cookie import SessionToken
from gateway.sessions.store import MemoryStore
from tests.http.heads import head
from tests.server.parts import (
    NOW,
    Machine,
    cookie,
    signed_in,
    some_tools,
    the_serving,
)
from tests.sessions.samples import DAY

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

    found = await look_up(token, head(), SERVING, tools, NOW)

    assert found == Anonymous(reason=Reason.SESSION_REVOKED, ended=True)


async def test_a_store_that_is_away_is_not_nobody() -> None:
    with pytest.raises(StoreUnavailable):
        await caller_of(head(cookie("A" * 43)), SERVING, some_tools(store=Away()))


class Away(MemoryStore):
    """A store that cannot be asked."""

    async def load(self, key: str) -> None:
        raise StoreUnavailable(key)


async def clockwise(tools: Tools, token: SessionToken) -> Authentication:
    return await look_up(token, head(), SERVING, tools, tools.edge.now())


async def test_a_clock_set_back_revives_no_session() -> None:
    tools = some_tools()
    tools.edge = machine = Machine()
    token = await signed_in(tools)
    machine.passes(DAY)
    ended = await clockwise(tools, token)

    machine.wall -= DAY / 2

    assert ended == Anonymous(reason=Reason.SESSION_EXPIRED, ended=True)
    assert await clockwise(tools, token) == ended


async def test_a_step_forward_that_is_undone_signs_nobody_out() -> None:
    tools = some_tools()
    tools.edge = machine = Machine()
    token = await signed_in(tools)
    machine.wall += 365 * DAY

    refused = await clockwise(tools, token)
    machine.passes(60)
    machine.wall -= 365 * DAY

    assert refused == Anonymous(reason=Reason.SESSION_EXPIRED, ended=False)
    assert isinstance(await clockwise(tools, token), Authenticated)


async def test_what_was_over_for_longer_stays_over_when_the_step_is_undone() -> None:
    tools = some_tools()
    tools.edge = machine = Machine()
    token, other = await signed_in(tools), await signed_in(tools, number=2)
    machine.wall += 365 * DAY
    await clockwise(tools, token)
    machine.passes(600)
    over = await clockwise(tools, token)
    machine.wall -= 365 * DAY

    assert over == Anonymous(reason=Reason.SESSION_EXPIRED, ended=True)
    assert await clockwise(tools, token) == over
    assert isinstance(await clockwise(tools, other), Authenticated)
