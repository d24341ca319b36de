"""Sentinel and Cluster: masters that die, freeze and are exchanged, under load."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.faults.load import ORDINARY
from tests.faults.redis_fleet import (
    ClusterFleet,
    Node,
    SentinelFleet,
    cluster_fleet,
    sentinel_fleet,
    until,
)
from tests.faults.sites import build
from tests.faults.trial import Act, Plan, Row, Site, Trial

_HASH_SLOT_KEYS = 100


async def sentinels(plan: Plan) -> Site:
    """A master, two replicas, three Sentinels, and two gateways."""
    return await _site(plan, sentinel_fleet)


async def cluster(plan: Plan) -> Site:
    """Three masters with one replica each, and two gateways."""
    return await _site(plan, cluster_fleet)


async def _site(plan: Plan, fleet: Callable[[], Any]) -> Site:
    stack = contextlib.ExitStack()
    # On the thread of the loop: its wires serve on a thread of their own.
    running = await asyncio.to_thread(stack.enter_context, fleet())
    try:
        site = await build(plan, timeout="400ms", redis_url=running.url, count=2)
    except BaseException:
        await asyncio.to_thread(stack.close)
        raise
    site.parts["fleet"] = running
    site.close.append(lambda: asyncio.to_thread(stack.close))
    return site


def _fleet(trial: Trial) -> SentinelFleet:
    fleet: SentinelFleet = trial.site.parts["fleet"]
    return fleet


def _cluster(trial: Trial) -> ClusterFleet:
    fleet: ClusterFleet = trial.site.parts["fleet"]
    return fleet


async def _soon(holds: Callable[[], object]) -> None:
    await asyncio.to_thread(until, holds)


async def _master(fleet: SentinelFleet) -> Node:
    """The server that the Sentinels name."""
    named = await asyncio.to_thread(fleet.named)
    return next(node for node in fleet.servers if node.place == named)


async def _whole(fleet: SentinelFleet) -> None:
    """Wait until one master has two replicas again, and the Sentinels agree."""

    def holds() -> bool:
        names = {fleet.named(each) for each in fleet.sentinels}
        if len(names) != 1:
            return False
        place = names.pop()
        master = next(node for node in fleet.servers if node.place == place)
        info = master.info()
        return info["role"] == "master" and all(
            "state=online" in info.get(f"slave{n}", "") for n in (0, 1)
        )

    await _soon(holds)


async def sentinel_kill(trial: Trial) -> None:
    fleet = _fleet(trial)
    old = await _master(fleet)
    trial.fault()
    await asyncio.to_thread(old.kill)
    await _soon(lambda: fleet.all_name_another(old))
    trial.mended()
    await trial.steady()
    old.start()
    await trial.under_fault(0.5)
    await _whole(fleet)


async def sentinel_freeze(trial: Trial) -> None:
    """It stops, another is made master, and it goes on as if nothing had been."""
    fleet = _fleet(trial)
    old = await _master(fleet)
    trial.fault()
    old.freeze()
    try:
        await _soon(lambda: fleet.all_name_another(old))
        await trial.steady()
    finally:
        old.thaw()
    trial.mended()
    await trial.under_fault()
    await trial.steady()
    await _whole(fleet)


async def sentinel_switch(trial: Trial) -> None:
    """SENTINEL FAILOVER: the old master takes writes for eleven seconds more."""
    fleet = _fleet(trial)
    old = await _master(fleet)
    trial.fault()
    await asyncio.to_thread(fleet.switch)
    await _soon(lambda: fleet.all_name_another(old))
    trial.mended()
    await trial.under_fault(3)
    await trial.steady()
    await _whole(fleet)
    await trial.visits(60)


async def sentinels_lost(trial: Trial) -> None:
    """Two of three Sentinels are killed, then the third; the servers are well."""
    fleet = _fleet(trial)
    trial.fault()
    for node in fleet.sentinels[:2]:
        await asyncio.to_thread(node.kill)
    await trial.under_fault()
    await asyncio.to_thread(fleet.sentinels[2].kill)
    await trial.under_fault()
    for node in fleet.sentinels:
        node.start()
    trial.mended()
    await trial.steady()
    await _whole(fleet)


async def slot_move(trial: Trial) -> None:
    """Slots that hold sessions move to another master, key by key."""
    fleet = _cluster(trial)
    source, target = fleet.masters[:2]
    moved = 0
    trial.fault()
    for _ in range(10):
        slot = await asyncio.to_thread(_a_slot, source)
        moved += await asyncio.to_thread(_move, fleet, slot, source, target)
        await trial.under_fault(0.1)
    trial.notes.append(f"10 slots with {moved} keys moved")
    trial.mended()
    await trial.steady()


def _a_slot(node: Node) -> int:
    """A slot of the node that holds a session."""
    while True:
        key = node.ask("RANDOMKEY")
        assert isinstance(key, bytes)
        if key.startswith(b"gateway:session:"):
            return int(node.ask("CLUSTER", "KEYSLOT", key))


def _move(fleet: ClusterFleet, slot: int, source: Node, target: Node) -> int:
    """Move a slot as redis-cli --cluster reshard does; return how many keys it had."""
    into, out = _id(target), _id(source)
    target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", out)
    source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", into)
    moved = 0
    while keys := source.ask(
        "CLUSTER", "GETKEYSINSLOT", str(slot), str(_HASH_SLOT_KEYS)
    ):
        where = (target.ip, str(target.port))
        source.ask("MIGRATE", *where, "", "0", "5000", "KEYS", *keys)
        moved += len(keys)
    for node in (target, source, *fleet.masters[2:]):
        node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", into)
    return moved


def _id(node: Node) -> str:
    found = node.ask("CLUSTER", "MYID")
    assert isinstance(found, bytes)
    return found.decode()


async def node_loss(trial: Trial) -> None:
    """A master is killed; its replica takes over, and it comes back as a replica."""
    fleet = _cluster(trial)
    at = next(n for n, node in enumerate(fleet.masters) if _is_master(node))
    lost, heir = fleet.masters[at], fleet.replicas[at]
    trial.fault()
    await asyncio.to_thread(lost.kill)
    await _soon(lambda: _is_master(heir))
    trial.mended()
    await trial.steady()
    lost.start()
    await trial.under_fault(0.5)
    await _soon(lambda: "state=online" in heir.info().get("slave0", ""))


async def planned(trial: Trial) -> None:
    """CLUSTER FAILOVER: a replica takes over from a master that is well."""
    fleet = _cluster(trial)
    at = next(n for n, node in enumerate(fleet.replicas) if not _is_master(node))
    trial.fault()
    for node in (fleet.replicas[at], fleet.masters[at]):
        await asyncio.to_thread(_take_over, node)
        await trial.under_fault(0.5)
        await _soon(partial(_has_replica, node))
    trial.mended()
    await trial.steady()


def _has_replica(node: Node) -> bool:
    return "state=online" in node.info().get("slave0", "")


def _take_over(node: Node) -> None:
    """Order a planned failover until it happens; one that takes long is given up."""
    while not _is_master(node):
        node.ask("CLUSTER", "FAILOVER")
        with contextlib.suppress(TimeoutError):
            until(lambda: _is_master(node), 6)


def _is_master(node: Node) -> bool:
    return node.info().get("role") == "master"


def _row(
    name: str, what: str, site: Callable[[Plan], Awaitable[Site]], act: Act
) -> Row:
    return Row(
        name=name,
        what=what,
        site=site,
        act=act,
        kinds=ORDINARY,
        needs=("redis-server",),
    )


ROWS = (
    _row(
        "sentinels-lost", "two Sentinels are lost, then all", sentinels, sentinels_lost
    ),
    _row("sentinel-switch", "a planned SENTINEL FAILOVER", sentinels, sentinel_switch),
    _row("sentinel-kill", "the master is killed", sentinels, sentinel_kill),
    _row("sentinel-freeze", "the master stops and goes on", sentinels, sentinel_freeze),
    _row("cluster-slots", "slots move to another master", cluster, slot_move),
    _row("cluster-planned", "a planned CLUSTER FAILOVER", cluster, planned),
    _row("cluster-node-loss", "a master of the Cluster is killed", cluster, node_loss),
)
