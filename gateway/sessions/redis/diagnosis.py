"""Warnings about Redis: settings and rights that sessions depend on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, ResponseError

from gateway.sessions.redis.connect import make_server, open_connection
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.sentinel import LEAST_DOWN_AFTER, SentinelSupervisor
from gateway.sessions.redis.supervisor import Supervisor, query_replication
from gateway.sessions.redis.url import RedisAddress

READS_WHEN_DOWN: Final = "cluster-allow-reads-when-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWarning:
    """One finding; `broken` where sessions cannot be relied on."""

    broken: bool
    text: str
    hint: str = ""


async def server_warnings(
    supervisor: Supervisor, *, patience: float
) -> AsyncIterator[StoreWarning]:
    """Examine the server that an address or Sentinel leads to.

    Raises:
        StoreUnavailable, TimeoutError: it cannot be reached.
    """
    sentinel = supervisor if isinstance(supervisor, SentinelSupervisor) else None
    by_sentinel = sentinel is not None
    async with Patience(patience):
        connections = await supervisor.wait_usable()
        async with connections.lend() as connection:
            seen = await query_replication(connection)
            # A replica refuses it for another reason.
            (waited,) = await connection.execute_all([("WAIT", 0, 1)])
            may_wait = not isinstance(waited, NoPermissionError)
    if seen is None:
        yield StoreWarning(
            broken=by_sentinel,
            text="the user may not run INFO: a change of the server is not noticed",
            hint="grant +info",
        )
    elif seen.role != "master":
        yield StoreWarning(
            broken=True,
            text="the server is a replica: no session can begin or end there",
            hint="give the address of the master, or of its Sentinels",
        )
    if not may_wait:
        yield StoreWarning(
            broken=by_sentinel or bool(seen is not None and seen.online),
            text="the user may not run WAIT: sign-in and sign-out will be refused"
            " where there are replicas",
            hint="grant +wait",
        )
    if sentinel is not None and sentinel.down_after < LEAST_DOWN_AFTER:
        yield StoreWarning(
            broken=False,
            text=f"down-after-milliseconds is {sentinel.down_after * 1000:.0f}:"
            " when most Sentinels are lost, all requests are refused",
            hint="set it to 3000 or more",
        )


async def cluster_warnings(
    cluster: RedisCluster, address: RedisAddress, *, patience: float
) -> AsyncIterator[StoreWarning]:
    """Examine the masters of a Cluster.

    Raises:
        StoreUnavailable, TimeoutError: they cannot be reached.
    """
    _ = await cluster.initialize()
    for node in cluster.get_primaries():
        place = (node.host, int(node.port))
        name = f"{node.host}:{node.port}"
        async with Patience(patience):
            connection = await open_connection(make_server(address, patience, place))
            try:
                answers = await connection.execute_all(
                    [("CONFIG", "GET", READS_WHEN_DOWN), ("WAIT", 0, 1)]
                )
            finally:
                connection.close()
        setting, waited = answers
        if isinstance(setting, ResponseError):
            yield StoreWarning(
                broken=False,
                text=f"{READS_WHEN_DOWN} of {name} cannot be read; it must be no",
                hint="grant +config|get",
            )
        elif b"yes" in setting:
            yield StoreWarning(
                broken=True,
                text=f"{READS_WHEN_DOWN} is yes at {name}: a node that is cut off"
                " would show sessions that have ended",
                hint=f"CONFIG SET {READS_WHEN_DOWN} no",
            )
        if isinstance(waited, NoPermissionError):
            yield StoreWarning(
                broken=True,
                text="the user may not run WAIT: no sign-in or sign-out can be held",
                hint="grant +wait",
            )
            return
