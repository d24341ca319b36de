"""Names whose DNS moves, fails and hangs; Redis and both upstreams have names here."""

import asyncio
import contextlib
from collections.abc import Mapping

from tests.dns_server import DnsServer, How, dns_server
from tests.faults.load import FAULTY, ORDINARY
from tests.faults.oracle import Expect
from tests.faults.sites import build, launch
from tests.faults.trial import Act, Plan, Row, Site, Trial
from tests.faults.upstream import Upstream

_GHOSTS = 30
"""Requests at once to the name that never resolves."""


async def named(plan: Plan) -> Site:
    """The gateway knows all by name, from a DNS server that the row controls."""
    stack = contextlib.AsyncExitStack()
    server = await stack.enter_async_context(dns_server())
    for name in ("app", "faulty", "redis"):
        server.put(f"{name}.test", "127.0.0.1", ttl=1)
    server.put("ghost.test", how=How.HANG)
    site = await build(plan, timeout="3s", start=False)
    site.close.append(stack.aclose)
    relay, gateway = site.parts["relay"], site.gateway
    config = gateway.config
    config["dns"] = {"servers": server.address}
    config["redis"]["url"] = f"redis://redis.test:{relay.port}/0"
    for name, host in (("web", "app"), ("api", "app"), ("faulty", "faulty")):
        port = (site.faulty if name == "faulty" else site.upstream).port
        config["upstreams"][name]["url"] = f"http://{host}.test:{port}"
    config["upstreams"]["ghost"] = {"url": "http://ghost.test:80"}
    config["routes"].append(
        {
            "match": "/ghost/**",
            "rule": "protected",
            "unauthenticated": "status",
            "upstream": "ghost",
        }
    )
    gateway.write(config)
    site.parts["dns"] = server
    await launch(site)
    return site


def _dns(trial: Trial) -> DnsServer:
    server: DnsServer = trial.site.parts["dns"]
    return server


async def hangs(trial: Trial) -> None:
    """One name never resolves and is asked for a lot; Redis is connected to again."""
    load = trial.load
    session = load.live[0]
    trial.fault()
    ghosts = [
        asyncio.ensure_future(
            load.visit("ghost", "GET", "/ghost/x", Expect.SESSION, session)
        )
        for _ in range(_GHOSTS)
    ]
    for _ in range(4):
        trial.site.parts["relay"].cut()
        await trial.under_fault(0.25)
    trial.mended()
    await trial.steady(kinds="protected")
    statuses = {visit.status for visit, _ in await asyncio.gather(*ghosts)}
    trial.require(statuses <= {502, 504}, f"ghost requests got {statuses}")


async def all_hang(trial: Trial) -> None:
    """The DNS server is silent: names that are known go on, at their old addresses."""
    server = _dns(trial)
    trial.fault()
    kept = dict(server.zone)
    for name in kept:
        server.put(name, how=How.HANG)
    await trial.under_fault()
    trial.site.parts["relay"].cut()
    await trial.under_fault(0.5)
    server.zone.update(kept)
    trial.mended()
    await trial.steady()


async def moves(trial: Trial) -> None:
    """A name gets another address, and its old server stays, then dies."""
    old = trial.site.faulty
    new = Upstream(arrived=trial.oracle.arrived, port=old.port, address="127.0.0.2")
    await new.start()
    try:
        trial.fault()
        _dns(trial).put("faulty.test", "127.0.0.2", ttl=1)
        while not new.served:
            await trial.visits(10)
        await trial.under_fault(0.5)
        await old.stop()
        trial.mended()
        await trial.under_fault(0.5)
        await trial.steady()
        trial.notes.append(f"{new.served} requests at the new address")
        await old.start()
        _dns(trial).put("faulty.test", "127.0.0.1", ttl=1)
        before = old.served
        while old.served == before:
            await trial.visits(10)
        await trial.steady()
    finally:
        await new.stop()


def _row(
    name: str,
    what: str,
    act: Act,
    healthy: tuple[str, ...],
    kinds: Mapping[str, int] = ORDINARY,
) -> Row:
    return Row(
        name=name, what=what, site=named, act=act, kinds=kinds, healthy=healthy
    )  # fmt: skip


_ALL = tuple(ORDINARY)
ROWS = (
    _row("dns-hangs", "a name whose DNS hangs is asked for by 30 at once", hangs, _ALL),
    _row("dns-silent", "the DNS server answers nothing", all_hang, _ALL),
    _row(
        "dns-moves",
        "a name moves to another address, then its old server dies",
        moves,
        _ALL,
        ORDINARY | FAULTY,
    ),
)
