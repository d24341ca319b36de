"""Places of connections: the oldest request is next, and no place is lost."""

import asyncio

import pytest

from gateway.errors import UpstreamBusy
from gateway.proxy.health import Health
from gateway.proxy.places import Places
from gateway.proxy.upstream_connection import Connection
from tests.proxy.wire import Keeper, Wire
from tests.servers import PATIENCE


def places(returned: list[Connection], patience: float = PATIENCE) -> Places:
    loop = asyncio.get_running_loop()
    made = Places(1, patience=patience, loop=loop, returned=returned.append)
    made.taken = 1
    return made


def connection() -> Connection:
    made = Connection(Keeper(asyncio.get_running_loop()), Health())
    made.connection_made(Wire())
    return made


async def waiting(full: Places) -> "asyncio.Task[Connection | None]":
    task = asyncio.ensure_future(full.wait())
    await asyncio.sleep(0)
    return task


async def test_the_oldest_request_gets_the_connection() -> None:
    full = places([])
    first, second = await waiting(full), await waiting(full)
    free = connection()

    assert full.offer(free)
    assert await first is free
    assert not second.done()
    full.give_back()
    assert await second is None
    assert full.taken == 1


async def test_without_a_request_a_place_becomes_free() -> None:
    full = places([])
    assert not full.free

    assert not full.offer(connection())
    full.give_back()

    assert full.free


async def test_a_request_waits_no_longer_than_its_patience() -> None:
    full = places([], patience=0.01)

    with pytest.raises(UpstreamBusy):
        await full.wait()

    assert not full.waiting


async def test_what_comes_for_a_cancelled_request_is_not_lost() -> None:
    returned: list[Connection] = []
    full, free = places(returned), connection()
    gone = await waiting(full)
    assert full.offer(free)
    gone.cancel()
    await asyncio.wait([gone])

    assert returned == [free]

    gone = await waiting(full)
    full.give_back()
    gone.cancel()
    await asyncio.wait([gone])

    assert full.free


@pytest.mark.parametrize(
    ("taken", "idle", "crowded"), [(5, 0, False), (6, 0, True), (6, 1, False)]
)
async def test_crowded_is_more_than_half_in_use(
    taken: int, idle: int, crowded: bool
) -> None:
    full = Places(
        10, patience=1, loop=asyncio.get_running_loop(), returned=lambda _: None
    )
    full.taken = taken

    assert full.is_crowded(idle) is crowded
