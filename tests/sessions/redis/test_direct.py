"""Look-ups that need no task, at a real server, and what they leave to the others."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Session
from gateway.sessions.redis.direct import WrongType, send_now
from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.redis_connection import Command, encode
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.supervisor import Supervisor
from tests.servers import PATIENCE, Server, free_port, valkey_server
from tests.sessions.opened import opened
from tests.sessions.samples import NOW, a_key, a_session, the_session

KEY = a_key()


def encoded(commands: Sequence[Command]) -> tuple[bytes, int]:
    return b"".join(map(encode, commands)), len(commands)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    with valkey_server(tmp_path, port=free_port()) as server:
        yield server


@asynccontextmanager
async def warm(server: Server, **options: Any) -> AsyncIterator[RedisStore]:
    """Open a store that has looked up once: its connection is open."""
    async with opened(server.url, **options) as store:
        await store.create(KEY, a_session(), NOW)
        await store.load(KEY)
        yield store


def supervisor_of(store: RedisStore) -> Supervisor:
    supervisor = store._client._servers.supervisor
    assert supervisor is not None
    return supervisor


async def test_a_warm_look_up_starts_no_task(valkey: Server) -> None:
    async with warm(valkey) as store:
        before = asyncio.all_tasks()
        look_up = store.load(KEY)
        while not look_up.done():
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= before

    assert type(look_up.result()) is Session


async def test_a_connection_that_ends_in_flight_is_replaced(valkey: Server) -> None:
    async with warm(valkey) as store:
        valkey.freeze()
        look_up = store.load(KEY)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connections = supervisor_of(store).usable()
        assert connections is not None
        connection = connections.ready()
        assert connection is not None
        assert connection.busy
        connection._transport.abort()
        valkey.thaw()

        assert the_session(await look_up).active
        assert connections.ready() is not connection


async def test_an_answer_of_before_a_switch_is_no_answer(valkey: Server) -> None:
    """It was sent before the switch, and had come before the connection was closed."""
    async with warm(valkey) as store:
        supervisor = supervisor_of(store)
        replies: list[object] = []
        valkey.freeze()
        sent = send_now(
            supervisor, *encoded([("MGET", record_key(KEY))]), replies.append
        )
        assert sent is not None
        supervisor._reopen()
        valkey.thaw()
        await asyncio.sleep(0)

        assert replies == [None]
        assert the_session(await store.load(KEY)).active


async def test_an_answer_on_connections_that_do_not_count_is_no_answer(
    valkey: Server,
) -> None:
    async with warm(valkey) as store:
        supervisor = supervisor_of(store)
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        send_now(supervisor, *encoded([("MGET", record_key(KEY))]), done.set_result)
        own, supervisor._connections = supervisor._connections, None
        async with asyncio.timeout(PATIENCE):
            assert await done is None
        supervisor._connections = own


async def test_nothing_is_sent_without_a_lease(valkey: Server) -> None:
    async with warm(valkey, timeout=0.1) as store:
        supervisor = supervisor_of(store)
        supervisor._lease_until = 0.0
        assert send_now(supervisor, *encoded([("MGET", "x")]), lambda _: None) is None

        with pytest.raises(StoreUnavailable):
            await store.load(KEY)


async def test_an_error_is_left_to_the_general_way(valkey: Server) -> None:
    async with warm(valkey) as store:
        supervisor = supervisor_of(store)
        valkey.command_line("ACL", "SETUSER", "default", "-mget")
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        send_now(supervisor, *encoded([("MGET", "x")]), done.set_result)
        assert await done is None
        with pytest.raises(StoreUnavailable, match="permission"):
            await store.load(KEY)
        valkey.command_line("ACL", "SETUSER", "default", "+mget")

        assert the_session(await store.load(KEY)).active


async def test_a_key_of_another_type_costs_the_others_nothing(valkey: Server) -> None:
    async with warm(valkey) as store:
        valkey.command_line("HSET", "a-hash", "user", "u")
        done: asyncio.Future[list[Any] | None] = (
            asyncio.get_running_loop().create_future()
        )
        commands = [("GETRANGE", "a-hash", 0, 9), ("GETRANGE", record_key(KEY), 0, 0)]
        send_now(supervisor_of(store), *encoded(commands), done.set_result)

        async with asyncio.timeout(PATIENCE):
            replies = await done
        assert replies is not None
        other, own = replies
        assert isinstance(other, WrongType)
        assert own == b"{"


async def test_replies_that_arrive_together_go_to_their_own_look_ups(
    valkey: Server,
) -> None:
    """Several batches, one connection: each look-up gets the record of its own key."""
    async with warm(valkey) as store:
        store._lookups._at_once = 2
        keys = [a_key(f"k{number}") for number in range(9)]
        for number, key in enumerate(keys):
            await store.create(key, a_session(id=f"s{number}"), NOW)
        valkey.freeze()
        look_ups = [store.load(key) for key in keys]
        await asyncio.sleep(0)
        valkey.thaw()

        found = [the_session(await each).id for each in look_ups]

    assert found == [f"s{number}" for number in range(9)]
