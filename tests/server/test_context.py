"""Where time and chance come from, and what is gathered of one request."""

from dataclasses import fields

import pytest

from gateway.errors import StoreUnavailable
from gateway.reasons import Reason, Verdict
from gateway.server.context import RequestContext
from gateway.server.system import System
from tests.server.parts import a_context, some_services


def test_ids_are_not_repeated_when_the_page_of_chance_is_used_up() -> None:
    system = System()

    drawn = [system.hex(16) for _ in range(1000)]  # of 256 in a page

    assert len(set(drawn)) == 1000
    assert {len(one) for one in drawn} == {32}


@pytest.mark.parametrize("count", [1, 8, 16, 4095, 4096])
def test_as_much_is_drawn_as_was_asked_for(count: int) -> None:
    system = System()
    system.hex(3)

    assert len(system.hex(count)) == 2 * count
    assert len(system.secret(count)) == count


def test_a_secret_is_no_part_of_the_page_that_ids_come_from() -> None:
    system = System()
    system.hex(1)
    page = system._pool

    assert system.secret(32).hex() not in page
    assert page[2:] not in repr(system)


def test_the_clocks_go_forward() -> None:
    system = System()

    assert system.ticks() <= system.ticks()
    assert system.now() > 1_700_000_000


async def test_a_context_begins_as_a_request_that_could_not_be_read() -> None:
    given = a_context()
    context = RequestContext(
        handler=given.handler,
        exchange=given.exchange,
        runtime=given.runtime,
        services=given.services,
        started=1.0,
        now=2.0,
        request_id="r",
        nonce="",
    )

    assert (context.verdict, context.reason) == (Verdict.REFUSE, Reason.BAD_REQUEST)
    assert (context.status, context.responded, context.abort_reason) == (0, False, None)


def test_a_context_has_no_place_for_a_secret() -> None:
    """Nothing here could let a reader of the log act as a user."""
    names = {one.name for one in fields(RequestContext)}

    assert not {name for name in names if "token" in name or "cookie" in name}


async def test_an_outage_of_the_store_fails_no_write_in_the_background() -> None:
    async def write() -> None:
        raise StoreUnavailable("away")

    services = some_services()

    services.run_in_background(write())

    await services.finish()
    assert not services._background
