"""Several targets: who is asked, and who is left out for how long."""

import asyncio

import pytest

from gateway.errors import ConnectFailed
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream import Upstream
from tests.proxy.support import OK, Peer, client_of, get, scripted
from tests.servers import free_port


def closed_address() -> TargetAddress:
    return TargetAddress(scheme="http", host="127.0.0.1", port=free_port())


async def answering(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


async def closing(peer: Peer) -> None:
    await peer.answer(OK.replace(b"Content", b"Connection: close\r\nContent"))


async def test_an_upstream_without_targets_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        async with client_of():
            pass


async def test_targets_take_turns() -> None:
    async with (
        scripted(closing) as first,
        scripted(closing) as second,
        scripted(closing) as third,
        client_of(first, second, third) as client,
    ):
        for _ in range(9):
            await get(client)

        assert [len(one.peers) for one in (first, second, third)] == [3, 3, 3]


async def test_who_has_least_to_do_is_asked() -> None:
    slow_asked = asyncio.Event()

    async def slow(peer: Peer) -> None:
        slow_asked.set()
        await peer.rest()

    async with (
        scripted(answering) as quick,
        scripted(slow) as stuck,
        client_of(quick, stuck) as client,
    ):
        stuck_one = asyncio.create_task(slow_asked.wait())
        while True:
            requested = asyncio.create_task(get(client))
            await asyncio.wait(
                {requested, stuck_one}, return_when=asyncio.FIRST_COMPLETED
            )
            if slow_asked.is_set():
                break
        for _ in range(10):
            assert (await get(client)).status == 200

        assert len(stuck.peers) == 1
        requested.cancel()
        await asyncio.gather(requested, return_exceptions=True)


async def test_a_target_that_takes_no_connections_is_left_out_for_longer_and_longer() -> (
    None
):
    now = 1000.0
    down = closed_address()
    async with (
        scripted(closing) as up,
        client_of(down, up, clock=lambda: now) as client,
    ):

        async def down_after_a_few() -> bool:
            for _ in range(4):
                assert (await get(client)).status == 200
            return client.stats()[0].down

        assert await down_after_a_few()
        pauses = []
        for _ in range(7):
            start = now
            while client.stats()[0].down:
                now += 0.5
            pauses.append(now - start)
            assert await down_after_a_few()

        assert pauses == [1, 2, 4, 8, 16, 30, 30]
        assert len(up.peers) == 4 + 7 * 4


async def test_only_one_request_finds_out_whether_a_target_is_back() -> None:
    now = 1000.0
    async with (
        scripted(closing) as up,
        client_of(closed_address(), up, clock=lambda: now) as client,
    ):
        for _ in range(4):
            await get(client)
        now += 2
        backend = client._pool._backends[0]
        assert not client.stats()[0].down
        assert backend.failures == 1

        await asyncio.gather(*(get(client) for _ in range(8)))

        assert backend.failures == 2


async def test_a_target_that_is_back_is_used_again() -> None:
    now = 1000.0
    address = closed_address()
    async with (
        scripted(closing) as up,
        client_of(address, up, clock=lambda: now) as client,
    ):
        for _ in range(4):
            await get(client)
        seen = []

        async def accept(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", address.port)
        try:
            now += 1.5
            for _ in range(6):
                assert (await get(client)).status == 200
        finally:
            server.close()

        assert len(seen) >= 2
        assert not client.stats()[0].down


async def test_when_all_are_down_one_is_tried_all_the_same() -> None:
    now = 1000.0
    addresses = [closed_address(), closed_address()]
    async with client_of(*addresses, clock=lambda: now) as client:
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                await get(client)

        assert [one.down for one in client.stats()] == [True, True]
        served = []

        async def accept(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            served.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", addresses[0].port)
        try:
            answers = [await answer_or_failure(client) for _ in range(2)]
        finally:
            server.close()

        assert 200 in answers
        assert served


async def answer_or_failure(client: Upstream) -> int | None:
    try:
        return (await get(client)).status
    except ConnectFailed:
        return None


async def test_one_idle_connection_makes_room_for_one_to_another_target() -> None:
    async with (
        scripted(answering) as first,
        scripted(answering) as second,
        client_of(first, second, max_connections=1) as client,
    ):
        for _ in range(4):
            assert (await get(client)).status == 200

        assert len(first.peers) >= 1
        assert len(second.peers) >= 1
        assert sum(one.open for one in client.stats()) == 1
