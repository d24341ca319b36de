"""The sites: a gateway with its Redis and upstreams, in the shapes that rows need."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.gateways import GatewayProcess, configuration
from tests.faults.relay import Relay
from tests.faults.trial import Plan, Site
from tests.faults.upstream import Upstream
from tests.servers import Server, free_port, redis_binary, valkey_server

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""What Redis was answered for survives its end: else the loss would be its own."""


async def plain(plan: Plan) -> Site:
    """One Redis behind a relay, two upstreams, one gateway; patient with Redis."""
    return await build(plan, timeout="3s")


async def hurried(plan: Plan) -> Site:
    """The same with a short `redis.timeout`, for rows that take Redis away."""
    return await build(plan, timeout="400ms", redis_args=DURABLE)


async def upstreams() -> tuple[Upstream, Upstream]:
    healthy, faulty = Upstream(), Upstream()
    await healthy.start()
    await faulty.start()
    return healthy, faulty


async def build(
    plan: Plan,
    *,
    timeout: str,
    redis_args: tuple[str, ...] = (),
    redis_url: str | None = None,
    config: Mapping[str, Any] | None = None,
    start: bool = True,
    count: int = 1,
    **process: Any,
) -> Site:
    """Start the parts; `config` is merged into `server` and `process` is how it runs.

    Without `redis_url` a Redis is started, and reached through a relay.
    """
    close: list[Any] = []
    parts: dict[str, Any] = {}
    if redis_url is None:
        server = open_redis(plan.folder, close, *redis_args)
        relay = Relay(server.port)
        await relay.start()
        close.append(relay.stop)
        parts = {"redis": server, "relay": relay}
        redis_url = f"redis://127.0.0.1:{relay.port}/0"
    healthy, faulty = await upstreams()
    gateways = []
    for at in range(count):
        made = configuration(
            web=healthy.port,
            redis_url=redis_url,
            workers=plan.workers,
            faulty=faulty.port,
            timeout=timeout,
        )
        made["server"] |= dict(config or {})
        gateways.append(GatewayProcess(plan.folder / f"gateway{at}", made, **process))
    site = Site(
        plan.folder,
        healthy,
        faulty,
        gateways,
        [gateway.port for gateway in gateways],
        parts,
        close,
    )
    if start:
        await launch(site)
    return site


async def launch(site: Site) -> None:
    """Start the gateways of a site; take the site down if one does not start."""
    try:
        for gateway in site.gateways:
            gateway.start()
        for gateway in site.gateways:
            await gateway.ready()
    except BaseException:
        await site.shut()
        raise


def open_redis(folder: Path, close: list[Any], *args: str) -> Server:
    """Start a Redis that ends with the site."""
    stack = contextlib.ExitStack()
    close.append(stack.close)
    # DEBUG, for the rows that need its help to be slow or to load for a while.
    return stack.enter_context(
        valkey_server(
            folder,
            *("--maxclients", "4000", *args),
            binary=redis_binary(),
            port=free_port(),
        )
    )
