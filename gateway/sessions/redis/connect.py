"""From an address to a client of the redis library: what it does by default, undone.

| address | client |
| --- | --- |
| server, Unix socket | Redis |
| Sentinel | Redis, which asks the Sentinels where the master is |
| Cluster | RedisCluster, each node with a share of the deadline |
"""

import ssl
from typing import Any, Final, TypeAlias, assert_never

from redis._parsers import BaseParser
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.sessions.redis.cluster import NODE_SHARE
from gateway.sessions.redis.line import Line
from gateway.sessions.redis.names import resolving
from gateway.sessions.redis.url import RedisAddress, RedisKind

# One process needs few: look-ups share. More would only queue inside Redis.
MAX_CONNECTIONS: Final = 64

Plain: TypeAlias = "Redis | RedisCluster"


def make_client(address: RedisAddress, timeout: float) -> tuple[Plain, Sentinel | None]:
    """Make a client, and what it asks for its master; nothing is opened yet.

    Raises:
        OSError, ValueError: a certificate file, say, cannot be used.
    """
    common = common_options(address, timeout)
    match address.kind:
        case RedisKind.SERVER:
            host, port = address.hosts[0]
            client = Redis(host=host, port=port, db=address.db, **common)
            return resolving(client, address.resolver), None
        case RedisKind.UNIX:
            client = Redis(unix_socket_path=address.path, db=address.db, **common)
            return client, None
        case RedisKind.SENTINEL:
            return _by_sentinel(address, timeout, common)
        case RedisKind.CLUSTER:
            # A node that hangs must not use up the deadline of the others.
            common["socket_timeout"] = timeout * NODE_SHARE
            common["retry"] = Retry(NoBackoff(), 0)
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            cluster = RedisCluster(
                startup_nodes=nodes,
                require_full_coverage=False,
                max_connections=MAX_CONNECTIONS,
                **common,
            )
            return resolving(cluster, address.resolver), None
        case _:
            assert_never(address.kind)


def common_options(address: RedisAddress, timeout: float) -> dict[str, Any]:
    """Give what every connection to this address is made with."""
    common: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": timeout,
        # The caller has the deadline; one per read would cost a task per read.
        "socket_timeout": None,
        "retry": _once(RedisConnectionError),
        # RESP2 needs no greeting, and no permission for one.
        "protocol": 2,
        "driver_info": None,
        # While these are on, the pool does not check for stale replies.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.kind is RedisKind.UNIX:
        del common["socket_connect_timeout"]
    if address.tls:
        common |= {
            "ssl": True,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
            **dict(address.options),
        }
        common.pop("sentinel_username", None)
        common.pop("sentinel_password", None)
    return common


async def open_line(client: Redis) -> Line:
    """Have the library open a connection, with TLS, password and Sentinel; take it."""
    pool: Any = client.connection_pool
    connection = pool.make_connection()
    await connection.connect()
    # Left with it, the connection would be closed as lost by its own finaliser.
    writer, connection._writer = connection._writer, None  # noqa: SLF001
    return Line(writer, BaseParser.parse_error)


def _by_sentinel(
    address: RedisAddress, timeout: float, common: dict[str, Any]
) -> tuple[Redis, Sentinel]:
    # One dead Sentinel must leave time to ask the next.
    share = timeout / (len(address.hosts) + 1)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts),
        sentinel_kwargs={
            **common,
            "username": address.option("sentinel_username"),
            "password": address.option("sentinel_password"),
            "socket_timeout": share,
            "socket_connect_timeout": share,
        },
        **common,
    )
    for each in sentinel.sentinels:
        _ = resolving(each, address.resolver)
    client: Redis = sentinel.master_for(address.service, db=address.db)
    return resolving(client, address.resolver), sentinel


def _once(*errors: type[Exception]) -> Retry:
    return Retry(NoBackoff(), 1, supported_errors=errors)  # type: ignore[arg-type]
