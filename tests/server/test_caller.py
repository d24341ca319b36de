"""A cookie means the same wherever it is asked about."""

import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason
from gateway.server.caller import caller_of, look_up
from gateway.server.context import Services
from gateway.server.streams import OpenStream
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.cookie import SessionToken
from gateway.spine.credential import credential_of
from tests.http.heads import head
from tests.memory_store import MemoryStore
from tests.server.parts import (
    Machine,
    a_context,
    cookie,
    signed_in,
    some_services,
    the_runtime,
)
from tests.sessions.samples import DAY, NOW

RULES = the_runtime().rules


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
async def test_what_is_no_token_is_distinguished_and_asks_no_store(
    fields: tuple[tuple[str, str], ...], reason: Reason
) -> None:
    services = some_services(store=Away())

    anonymous = Anonymous(reason=reason, twice=len(fields) == 2)
    assert credential_of(head(*fields), RULES) == anonymous
    context = a_context(head(*fields), services=services)
    assert await caller_of(context) == anonymous


async def test_a_live_session_is_who_asks() -> None:
    services = some_services()
    token = await signed_in(services)

    found = await caller_of(a_context(head(cookie(token)), services=services))

    assert isinstance(found, Authenticated)
    assert found.key == token.key


async def test_an_ended_session_is_unauthenticated_with_the_reason() -> None:
    services = some_services()
    token = await signed_in(services)
    await services.store.end(token.key, NOW)

    found = await look_up(token, a_context(head(), services=services))

    assert found == Anonymous(reason=Reason.SESSION_REVOKED, ended=True)


async def test_a_store_that_is_away_is_not_unauthenticated() -> None:
    with pytest.raises(StoreUnavailable):
        services = some_services(store=Away())
        await caller_of(a_context(head(cookie("A" * 43)), services=services))


class Away(MemoryStore):
    """A store that cannot be asked."""

    async def load(self, key: str) -> None:
        raise StoreUnavailable(key)


async def clockwise(services: Services, token: SessionToken) -> Authentication:
    return await look_up(token, a_context(head(), services=services))


async def test_a_clock_set_back_revives_no_session() -> None:
    services = some_services()
    services.system = machine = Machine()
    token = await signed_in(services)
    machine.passes(DAY)
    ended = await clockwise(services, token)

    machine.wall -= DAY / 2

    assert ended == Anonymous(reason=Reason.SESSION_EXPIRED, ended=True)
    assert await clockwise(services, token) == ended


async def test_what_is_open_ends_with_the_answer_that_its_session_is_over() -> None:
    services = some_services()
    services.system = machine = Machine()
    token = await signed_in(services)
    ended: list[Reason] = []
    services.streams.add(OpenStream(key=token.key, end=ended.append))
    machine.passes(DAY)

    await clockwise(services, token)

    assert ended == [Reason.SESSION_EXPIRED]


async def test_a_step_forward_that_is_undone_ends_only_what_was_looked_up_meanwhile() -> (
    None
):
    services = some_services()
    services.system = machine = Machine()
    token, other = await signed_in(services), await signed_in(services, number=2)
    machine.wall += 365 * DAY
    over = await clockwise(services, token)
    machine.passes(60)
    machine.wall -= 365 * DAY

    assert over == Anonymous(reason=Reason.SESSION_EXPIRED, ended=True)
    assert await clockwise(services, token) == over
    assert isinstance(await clockwise(services, other), Authenticated)
