"""A failover of Redis brings no ended session back, and loses none that was begun.

Two gateways, that is two stores with connections of their own, end sessions and begin
others while the master changes. Every row counts; the counts that must be zero are in
`Counts.wrong`. The others only show that something was tried: a busy machine answers
503 more often. `make failover` runs the long form.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.formats.credential import Credential
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.record import Session
from gateway.sessions.redis.store import RedisStore
from tests.faults.redis_fleet import (
    HERE,
    SOURCE,
    THERE,
    cluster_fleet,
    gateways,
    own_addresses,  # noqa: F401 - a fixture for every test here
    sentinel_fleet,
    soon,
)
from tests.servers import PATIENCE, valkey_binary
from tests.sessions.external import test_store as external
from tests.sessions.samples import DAY, a_key, a_session, the_session

pytestmark = pytest.mark.walk

PERIOD = 0.05
RUNS = int(os.environ.get("FAILOVER_RUNS", "1"))
"""How often each row is run. More than once is the long form: `make failover`."""
AFTER = 14.0 if RUNS > 1 else 3.0
"""Seconds for which sessions end after a planned switch: the old master takes eleven
to become a replica."""


@pytest.fixture(autouse=True, params=range(RUNS))
def run(request: pytest.FixtureRequest) -> int:
    """Repeat each row."""
    number: int = request.param
    return number


@dataclass
class Counts:
    """What was seen. `wrong` names what must never be."""

    ended: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    begun: list[str] = field(default_factory=list)
    not_begun: int = 0
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    unknown: int = 0


class Crowd:
    """Sessions that are there from the beginning, for gateways to end."""

    def __init__(self, *stores: RedisStore) -> None:
        self.stores = stores
        self.counts = Counts()
        self.left: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 0
        self.until = 0.0

    async def gather(self, number: int) -> None:
        now = time.time()
        for n in range(number):
            key = a_key(f"crowd-{id(self)}-{n}")
            session = a_session(
                id=f"crowd-{id(self)}-{n}",
                issued_at=now,
                authenticated_at=now,
                last_seen_at=now,
                expires_at=now + DAY,
            )
            await self.stores[0].create(key, session, now)
            self.left.append(key)

    async def act(self, seconds: float, *, begin: bool = True) -> None:
        """End a session each 50 ms, and begin one; ask for both at every gateway."""
        self.until = time.monotonic() + seconds
        while time.monotonic() < self.until and self.left:
            self._spawn(self._end(self.left.pop(), self._turn()))
            if begin and self._next % 4 == 0:
                self._spawn(self._begin(self._turn()))
            await asyncio.sleep(PERIOD)

    async def act_until(self, done: Callable[[], object], more: float) -> None:
        """Act until something holds, and for `more` seconds after that."""
        acting = asyncio.ensure_future(self.act(PATIENCE))
        await soon(done)
        self.until = time.monotonic() + more
        await acting

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def check_all(self, *stores: RedisStore) -> None:
        """Ask for everything once more: what was ended is over, what began lives."""
        for store in stores or self.stores:
            for key in self.counts.ended:
                found = await asked(store, key)
                if isinstance(found, Session) and found.active:
                    self.counts.wrong.append(f"{key[:8]} came back at the end")
            for key in self.counts.begun:
                found = await asked(store, key)
                if not (isinstance(found, Session) and found.active):
                    self.counts.wrong.append(f"{key[:8]} began, and is {found}")

    def _turn(self) -> RedisStore:
        self._next += 1
        return self.stores[self._next % len(self.stores)]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, key: str, by: RedisStore) -> None:
        began = time.monotonic()
        try:
            await by.end(key, time.time())
        except StoreUnavailable:
            self.counts.refused += 1
            return
        self.counts.slowest = max(self.counts.slowest, time.monotonic() - began)
        self.counts.ended[key] = began
        for number, store in enumerate(self.stores):
            with contextlib.suppress(StoreUnavailable):
                found = await store.load(key)
                if found is None:
                    self.counts.unknown += 1
                if isinstance(found, Session) and found.active:
                    self.counts.wrong.append(
                        f"{key[:8]} was signed out and is let in by {number}"
                    )

    async def _begin(self, by: RedisStore) -> None:
        now = time.time()
        self._next += 1
        key = a_key(f"new-{id(self)}-{self._next}")
        session = a_session(
            id=f"new-{id(self)}-{self._next}", issued_at=now, authenticated_at=now,
            last_seen_at=now, expires_at=now + DAY,
        )  # fmt: skip
        try:
            await by.create(key, session, now)
        except StoreUnavailable:
            self.counts.not_begun += 1
            return
        self.counts.begun.append(key)
        for number, store in enumerate(self.stores):
            with contextlib.suppress(StoreUnavailable):
                if not isinstance(await store.load(key), Session):
                    self.counts.wrong.append(f"{key[:8]} began, unknown to {number}")


async def asked(store: RedisStore, key: str) -> object:
    """Ask until there is an answer."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await store.load(key)
            except StoreUnavailable:
                await asyncio.sleep(0.02)


KINDS = [
    pytest.param(None, (), id="redis"),
    pytest.param(valkey_binary(), ("COORDINATED",), id="valkey-coordinated"),
]


@pytest.mark.parametrize(("binary", "how"), KINDS)
async def test_a_planned_switch_brings_no_ended_session_back(
    binary: Path | None, how: tuple[str, ...]
) -> None:
    with sentinel_fleet(binary=binary) as fleet:
        async with gateways(fleet.url, HERE, THERE) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(int((AFTER + 3) / PERIOD))
            acting = asyncio.ensure_future(crowd.act(AFTER + 1))
            await asyncio.sleep(1)
            old = fleet.servers[0]
            await asyncio.to_thread(fleet.switch, None, *how)
            await acting
            await crowd.settle()
            await soon(lambda: fleet.all_name_another(old))
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 15
            assert len(crowd.counts.begun) > 0


async def test_a_gateway_that_slept_through_a_switch_does_not_read_the_old_master() -> (
    None
):
    """Frozen for longer than the failover, the old master wakes as "master"."""
    with sentinel_fleet() as fleet:
        async with gateways(fleet.url, HERE, THERE) as (awake, idle):
            crowd = Crowd(awake)
            await crowd.gather(60)
            assert isinstance(await idle.load(crowd.left[0]), Session)
            old = fleet.servers[0]
            old.freeze()
            await soon(lambda: fleet.all_name_another(old))
            await crowd.act(1, begin=False)
            await crowd.settle()
            old.thaw()
            # Now, and for as long as it takes the old master to become a replica.
            until_demoted = time.monotonic() + 2
            while time.monotonic() < until_demoted:
                await crowd.check_all(idle)

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 8


async def test_a_master_that_is_cut_off_is_neither_read_nor_written() -> None:
    """One gateway and one Sentinel are on its side of the partition."""
    with sentinel_fleet(down_after=3000) as fleet:
        async with gateways(fleet.url, HERE, THERE) as (here, there):
            crowd = Crowd(here, there)
            await crowd.gather(250)
            old, inside = fleet.servers[0], fleet.sentinels[2]
            rest = [*fleet.servers[1:], *fleet.sentinels[:2]]
            outside = [node.ip for node in rest]
            fleet.wires.isolate([old.ip, inside.ip, THERE], [*outside, HERE])
            await crowd.act_until(
                lambda: all(fleet.named(s) != old.place for s in fleet.sentinels[:2]),
                1.5,
            )
            await crowd.settle()
            assert fleet.named(inside) == old.place
            with pytest.raises(StoreUnavailable):
                await there.load(a_key("any"))
            fleet.wires.join()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 0


async def test_a_gateway_that_reaches_the_cut_off_master_follows_the_others() -> None:
    """Only the servers are cut from each other; both gateways reach all of them."""
    with sentinel_fleet() as fleet:
        async with gateways(fleet.url, HERE, THERE) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(250)
            old = fleet.servers[0]
            rest = [*fleet.servers[1:], *fleet.sentinels]
            fleet.wires.isolate([old.ip], [node.ip for node in rest])
            await crowd.act_until(lambda: fleet.all_name_another(old), 1.5)
            await crowd.settle()
            fleet.wires.join()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 0
            assert len(crowd.counts.begun) > 0


async def test_the_leader_alone_is_enough_to_follow_a_switch() -> None:
    """Two Sentinels cannot be reached, and the events of the third are lost."""
    with sentinel_fleet(down_after=3000) as fleet:
        async with gateways(fleet.url, HERE, THERE) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(120)
            leader, *others = fleet.sentinels
            fleet.wires.isolate([HERE, THERE], [node.ip for node in others])
            acting = asyncio.ensure_future(crowd.act(4))
            leader.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.to_thread(fleet.switch, leader)
            leader.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await acting
            await crowd.settle()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 8


async def test_two_dead_sentinels_refuse_no_request() -> None:
    """The replicas vouch for their master."""
    with sentinel_fleet(down_after=3000) as fleet:
        async with gateways(fleet.url, HERE, THERE, timeout=5) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(60)
            for node in fleet.sentinels[:2]:
                node.kill()
            await crowd.act(2)
            await crowd.settle()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert (crowd.counts.refused, crowd.counts.not_begun) == (0, 0)
            assert len(crowd.counts.ended) > 8


async def test_a_dead_replica_refuses_no_request() -> None:
    """It is known to exist, but its port refuses: it cannot have been promoted."""
    with sentinel_fleet() as fleet:
        async with gateways(fleet.url, HERE, THERE, timeout=5) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(60)
            fleet.wires.close_port(fleet.servers[2].place)
            fleet.servers[2].kill()
            await asyncio.sleep(0)
            await crowd.act(2)
            await crowd.settle()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert (crowd.counts.refused, crowd.counts.not_begun) == (0, 0)
            assert len(crowd.counts.ended) > 8


async def test_what_was_answered_holds_though_the_gateway_and_the_master_die() -> None:
    """Nothing replays what it had answered: the replicas have it."""
    with sentinel_fleet() as fleet:
        async with gateways(fleet.url, HERE) as (first,):
            crowd = Crowd(first)
            await crowd.gather(40)
            await crowd.act(1)
            await crowd.settle()
            await first.close()
            old = fleet.servers[0]
            old.kill()
            await soon(lambda: fleet.all_name_another(old))
            async with gateways(fleet.url, THERE) as (second,):
                await crowd.check_all(second)

            assert crowd.counts.wrong == []
            assert crowd.counts.refused == 0
            assert len(crowd.counts.ended) > 8


async def test_a_membership_that_was_removed_stays_so_though_the_master_dies() -> None:
    """The process that removed it is gone as well: the replicas have it."""
    now = time.time()
    session = a_session(expires_at=now + DAY, authenticated_at=now, issued_at=now)
    with sentinel_fleet() as fleet:
        async with gateways(fleet.url, HERE) as (first,):
            for number in range(12):
                key = a_key(f"k{number}")
                await first.create(key, replace(session, id=f"s{number}"), now)
            change, count = IdentityChange(remove_tenant="t_acme"), ChangeCount()
            await change_sessions(first, "u_ada", change, now=now, count=count)
            old = fleet.servers[0]
            old.kill()
            await first.close()
            await soon(lambda: fleet.all_name_another(old))
            async with gateways(fleet.url, THERE) as (second,):
                found = [await second.load(a_key(f"k{number}")) for number in range(12)]

    assert count.changed == 12
    assert [list(the_session(each).tenants) for each in found] == [["t_beta"]] * 12


async def test_a_cluster_master_that_is_cut_off_confirms_nothing() -> None:
    with cluster_fleet() as fleet:
        async with gateways(fleet.url, HERE, THERE) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(200)
            old = fleet.masters[0]
            rest = [*fleet.masters[1:], *fleet.replicas]
            fleet.wires.isolate([old.ip], [node.ip for node in rest])
            await crowd.act_until(
                lambda: fleet.replicas[0].info()["role"] == "master", 1.5
            )
            await crowd.settle()
            fleet.wires.join()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 8


async def test_a_planned_switch_of_a_cluster_brings_no_ended_session_back() -> None:
    with cluster_fleet() as fleet:
        async with gateways(fleet.url, HERE, THERE) as stores:
            crowd = Crowd(*stores)
            await crowd.gather(150)
            acting = asyncio.ensure_future(crowd.act(3))
            fleet.replicas[0].ask("CLUSTER", "FAILOVER")
            fleet.replicas[1].ask("CLUSTER", "FAILOVER", "TAKEOVER")
            await acting
            await crowd.settle()
            await crowd.check_all()

            assert crowd.counts.wrong == []
            assert len(crowd.counts.ended) > 15


async def test_a_planned_switch_keeps_the_tombstones_of_an_apps_sessions() -> None:
    """The app's records stay as they are; what ends them is the gateway's word."""
    ids = [f"{number:032x}" for number in range(80)]
    with sentinel_fleet() as fleet:
        async with AsyncExitStack() as stack:
            stores = []
            for source in (HERE, THERE):
                SOURCE.set(source)
                store = external.opened(fleet.url, timeout=0.25)
                stores.append(await stack.enter_async_context(store))
                listening = asyncio.Event()
                stores[-1].watch(lambda key, why: None, listening.set)
                await asyncio.wait_for(listening.wait(), PATIENCE)
            for sid in ids:
                record = json.dumps({"user": {"id": f"u_{sid[-2:]}"}})
                fleet.servers[0].ask("SET", f"s:{sid}", record, "EX", "600")
            now = time.time()
            let_in: list[int | str] = []
            ended: list[Credential] = []

            async def end(number: int) -> None:
                credential = external.a_credential(sid=ids[number])
                try:
                    if number % 8 == 0:
                        name = f"u_{ids[number][-2:]}"
                        await stores[number % 2].end_all(name, now, None)
                    else:
                        await stores[number % 2].end(credential.key, now)
                except StoreUnavailable:
                    return
                ended.append(credential)
                for each in stores:
                    with contextlib.suppress(StoreUnavailable):
                        found = await each.look_up(credential, now)
                        let_in.extend(
                            [number] if found and the_session(found).active else []
                        )

            tasks = []
            for number in range(len(ids)):
                if number == 10:
                    await asyncio.to_thread(fleet.switch)
                tasks.append(asyncio.ensure_future(end(number)))
                await asyncio.sleep(PERIOD)
            await asyncio.gather(*tasks)
            await soon(lambda: fleet.all_name_another(fleet.servers[0]))
            for credential in ended:
                for each in stores:
                    found = await each.look_up(credential, now)
                    let_in.extend(
                        [credential.key] if found and the_session(found).active else []
                    )

            assert let_in == []
            assert len(ended) > 15
