"""A plain address behind which the server is exchanged: no event tells of it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Session
from gateway.sessions.redis.store import RedisStore
from tests.faults.redis_fleet import HERE, THERE, gateways, own_addresses, until  # noqa: F401
from tests.faults.wires import Wires, wires
from tests.servers import Server, free_port, redis_binary, valkey_server
from tests.sessions.samples import DAY, a_key, a_session, the_session

pytestmark = pytest.mark.walk

RECOVERED = 2.0
"""Seconds in which everything is as it should be: twice the time between looks."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server, Wires, tuple[str, int]]]:
    """Two servers, the second a replica of the first, and an address in front."""
    with ExitStack() as stack:
        between = stack.enter_context(wires())
        one, two = (
            stack.enter_context(
                valkey_server(
                    tmp_path,
                    *("--repl-diskless-sync-delay", "0"),
                    binary=redis_binary(),
                    port=free_port(),
                )
            )
            for _ in range(2)
        )
        two.command_line("REPLICAOF", "127.0.0.1", str(one.port))
        until(lambda: b"master_link_status:up" in two.command_line("INFO"))
        public = ("127.0.1.9", free_port())
        between.lead(public, ("127.0.0.1", one.port))
        yield one, two, between, public


async def filled(store: RedisStore, number: int) -> list[str]:
    now = time.time()
    keys = [a_key(f"exchange-{number}-{n}") for n in range(number)]
    for key in keys:
        session = a_session(
            id=key[:12], issued_at=now, authenticated_at=now, last_seen_at=now,
            expires_at=now + DAY,
        )  # fmt: skip
        await store.create(key, session, now)
    return keys


def lead_to_the_second(
    pair: tuple[Server, Server, Wires, tuple[str, int]], *, demote: bool
) -> None:
    one, two, between, public = pair
    until(lambda: one.command_line("DBSIZE") == two.command_line("DBSIZE"))
    two.command_line("REPLICAOF", "NO", "ONE")
    if demote:
        one.command_line("REPLICAOF", "127.0.0.1", str(two.port))
        until(lambda: b"master_link_status:up" in one.command_line("INFO"))
    between.lead(public, ("127.0.0.1", two.port))


async def ended(store: RedisStore, key: str) -> float:
    """End a session, however often it takes; give how long that was."""
    began = time.monotonic()
    while True:
        try:
            await store.end(key, time.time())
        except StoreUnavailable:
            await asyncio.sleep(0.02)
        else:
            return time.monotonic() - began


@pytest.mark.parametrize("demote", [True, False], ids=["replica", "master"])
async def test_sign_out_here_holds_though_the_address_leads_elsewhere(
    pair: tuple[Server, Server, Wires, tuple[str, int]], demote: bool
) -> None:
    """Old connections stay at a server that is a replica now, or thinks it is none."""
    url = f"redis://{pair[3][0]}:{pair[3][1]}"
    async with gateways(url, HERE) as (store,):
        keys = await filled(store, 20)
        await asyncio.to_thread(lead_to_the_second, pair, demote=demote)
        took = []
        for key in keys:
            took.append(await ended(store, key))
            found = await store.load(key)
            assert isinstance(found, Session)
            assert not found.active
            raw = pair[1].command_line("GET", f"gateway:session:{key}")
            assert b'"active":false' in raw

        assert max(took) < RECOVERED


@pytest.mark.parametrize("demote", [True, False], ids=["replica", "master"])
async def test_sign_out_by_another_gateway_is_seen_within_two_seconds(
    pair: tuple[Server, Server, Wires, tuple[str, int]], demote: bool
) -> None:
    url = f"redis://{pair[3][0]}:{pair[3][1]}"
    async with gateways(url, HERE) as (old,):
        keys = await filled(old, 20)
        await asyncio.to_thread(lead_to_the_second, pair, demote=demote)
        async with gateways(url, THERE) as (new,):
            await new.end(keys[0], time.time())
            async with asyncio.timeout(RECOVERED):
                while the_session(await old.load(keys[0])).active:
                    await asyncio.sleep(0.02)
            for key in keys[1:]:
                await new.end(key, time.time())
                assert not the_session(await old.load(key)).active


async def test_an_ending_is_written_on_the_server_that_lacks_it(
    tmp_path: Path, pair: tuple[Server, Server, Wires, tuple[str, int]]
) -> None:
    """The other server never was a replica: it has an older copy of the sessions."""
    one, two, between, public = pair
    async with gateways(f"redis://{public[0]}:{public[1]}", HERE) as (store,):
        keys = await filled(store, 5)
        await asyncio.to_thread(
            until, lambda: one.command_line("DBSIZE") == two.command_line("DBSIZE")
        )
        two.command_line("REPLICAOF", "NO", "ONE")
        # Not seen by it: longer ago than a replica that left is waited for.
        await ended(store, keys[0])
        between.lead(public, ("127.0.0.1", two.port))
        await ended(store, keys[1])
        raw = [two.command_line("GET", f"gateway:session:{key}") for key in keys[:3]]

        # Also the first one, which was answered before the address led elsewhere.
        assert [b'"active":false' in each for each in raw] == [True, True, False]
