"""No client address, and no identity, holds an upstream for itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.server.shares import Shares
from tests.servers import Server
from tests.walk.harness import (
    Gateway,
    Line,
    Reply,
    ask,
    base_config,
    running_gateway,
    stage,
    until,
)

pytestmark = pytest.mark.walk

SIZE = 20
HALF, QUARTER = 10, 5


@asynccontextmanager
async def crowding(
    folder: Path, redis: Server, **upstream: Any
) -> AsyncIterator[tuple[Gateway, asyncio.Event]]:
    """Open a gateway whose upstream answers /held when the event is set."""
    release = asyncio.Event()

    async def answer(line: Line) -> None:
        while True:
            seen = await line.request()
            if "held" in seen.target:
                await release.wait()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with stage(answer) as playing:
        config = base_config(playing.port)
        config["server"]["trusted_proxies"] = ["127.0.0.1"]
        config["upstreams"]["web"] |= {
            "max_connections": SIZE,
            # Also the time to connect, which a busy machine needs.
            "timeouts": {"connect": "1s"},
            **upstream,
        }
        async with running_gateway(config, folder, redis.url) as gateway:
            yield gateway, release


def held(
    gateway: Gateway, count: int, headers: Mapping[str, str]
) -> list["asyncio.Task[Reply]"]:
    return [
        asyncio.create_task(ask(gateway.port, "GET", "/dashboard/held", headers))
        if "Cookie" in headers
        else asyncio.create_task(ask(gateway.port, "GET", "/held", headers))
        for _ in range(count)
    ]


def in_use(gateway: Gateway) -> int:
    [target] = gateway.app.runtime.applications["web"].upstream.stats()
    return target.in_use


def by(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


FLOODS: dict[str, Callable[[int], str]] = {
    "one address": lambda _n: "203.0.113.1",
    "one IPv6 site": lambda n: f"2001:db8:1:2::{n + 1:x}",
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_one_client_leaves_half_of_an_upstream_to_others(
    redis: Server, tmp_path: Path, kind: str
) -> None:
    async with crowding(tmp_path, redis) as (gateway, release):
        flood = [
            task
            for n in range(3 * SIZE)
            for task in held(gateway, 1, by(FLOODS[kind](n)))
        ]
        await until(lambda: in_use(gateway) == HALF)
        others = [
            await ask(gateway.port, "GET", "/", by(f"198.51.100.{n}")) for n in range(5)
        ]
        refused = [task for task in flood if not task.done()]
        done, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        assert len(refused) >= HALF
        reply = next(iter(done)).result()
        await until(lambda: sum(task.done() for task in flood) == 3 * SIZE - HALF)
        release.set()
        replies = await asyncio.gather(*flood)

    assert [other.status for other in others] == [200] * 5
    assert (reply.status, reply.json()["reason"]) == (429, "client_limit")
    assert reply.one("Retry-After")
    assert [each.status for each in replies].count(200) == HALF


async def test_one_identity_has_its_share_wherever_it_comes_from(
    redis: Server, tmp_path: Path
) -> None:
    async with crowding(tmp_path, redis) as (gateway, release):
        cookie = await gateway.sign_in()
        flood = [
            task
            for n in range(SIZE)
            for task in held(gateway, 1, by(f"203.0.113.{n}") | {"Cookie": cookie})
        ]
        await until(lambda: in_use(gateway) == QUARTER)
        other = await ask(gateway.port, "GET", "/", by("203.0.113.1"))
        await until(lambda: sum(task.done() for task in flood) == SIZE - QUARTER)
        release.set()
        replies = await asyncio.gather(*flood)

    assert other.status == 200
    statuses = [each.status for each in replies]
    assert (statuses.count(200), statuses.count(429)) == (QUARTER, SIZE - QUARTER)


async def test_a_request_above_the_share_waits_for_its_turn(
    redis: Server, tmp_path: Path
) -> None:
    patient = {"timeouts": {"connect": "30s"}}

    async with crowding(tmp_path, redis, **patient) as (gateway, release):
        tasks = held(gateway, 3 * SIZE, by("203.0.113.1"))
        await until(lambda: in_use(gateway) == HALF)
        release.set()
        replies = await asyncio.gather(*tasks)
        shares = gateway.app.runtime.applications["web"].shares

    assert [reply.status for reply in replies] == [200] * (3 * SIZE)
    assert shares._addresses.total == 0
    assert shares._waiting == {}


async def test_look_ups_of_one_client_leave_room_for_others_while_the_store_hangs(
    redis: Server, tmp_path: Path
) -> None:
    async with crowding(tmp_path, redis) as (gateway, _):
        gateway.app.services.lookups = Shares(SIZE, 0.5)
        cookie = {"Cookie": "gateway_session=" + "A" * 43}
        redis.freeze()
        try:
            flood = held(gateway, 3 * SIZE, by("203.0.113.1") | cookie)
            await until(lambda: sum(task.done() for task in flood) == 3 * SIZE - HALF)
            [other] = held(gateway, 1, by("203.0.113.2") | cookie)
            await until(lambda: gateway.app.services.lookups.total == HALF + 1)
        finally:
            redis.thaw()
        replies = await asyncio.gather(*flood)
        served = await other

    statuses = [reply.status for reply in replies]
    assert (statuses.count(429), statuses.count(401)) == (3 * SIZE - HALF, HALF)
    assert served.status == 401
    assert gateway.app.services.lookups.total == 0
