"""Create clients of the redis library, without its retries and defaults.

| address | client |
| --- | --- |
| server, Unix socket | Redis |
| Sentinel | Redis, one for each Sentinel and one for the master that they name |
| Cluster | RedisCluster, each node with a share of the deadline |
"""

import ssl
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.sessions.redis.cluster import NODE_SHARE
from gateway.sessions.redis.library_internals import PARSE_ERROR, take_writer
from gateway.sessions.redis.names import resolving
from gateway.sessions.redis.patience import Patience
from gateway.sessions.redis.redis_connection import RedisConnection
from gateway.sessions.redis.url import RedisAddress, RedisKind

# Seconds in which a port must answer; that it refuses is an answer.
KNOCK: Final = 0.1
# The caller's deadline comes first, and counts only time in which the loop ran.
PATIENT_CONNECT: Final = 4

# One process needs few: look-ups share. More would only queue inside Redis.
MAX_CONNECTIONS: Final = 64


def make_cluster(address: RedisAddress, timeout: float) -> RedisCluster:
    """Make a client of the whole Cluster; nothing is opened yet.

    Raises:
        OSError, ValueError: a certificate file, say, cannot be used.
    """
    common = common_options(address, timeout)
    # A node that hangs must not use up the deadline of the others.
    common["socket_timeout"] = timeout * NODE_SHARE
    common["socket_connect_timeout"] = timeout
    common["retry"] = Retry(NoBackoff(), 0)
    cluster = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        require_full_coverage=False,
        max_connections=MAX_CONNECTIONS,
        **common,
    )
    return resolving(cluster, address.resolver)


def make_server(
    address: RedisAddress, timeout: float, place: tuple[str, int] | None = None
) -> Redis:
    """Make a client of one server; nothing is opened yet.

    Args:
        address: what was configured, with its passwords and certificates.
        timeout: seconds that connecting may take.
        place: host and port; None for the address itself.

    Raises:
        OSError, ValueError: a certificate file, say, cannot be used.
    """
    common = common_options(address, timeout)
    if address.kind is RedisKind.UNIX:
        return Redis(unix_socket_path=address.path, db=address.db, **common)
    host, port = place or address.hosts[0]
    client = Redis(host=host, port=port, db=address.db, **common)
    return resolving(client, address.resolver)


def make_sentinel(
    address: RedisAddress, timeout: float, place: tuple[str, int]
) -> Redis:
    """Make a client of one Sentinel, with its own user; nothing is opened yet."""
    common = common_options(address, timeout) | {
        "username": address.option("sentinel_username"),
        "password": address.option("sentinel_password"),
    }
    return resolving(Redis(host=place[0], port=place[1], **common), address.resolver)


def common_options(address: RedisAddress, timeout: float) -> dict[str, Any]:
    """Return the connection arguments for this address."""
    common: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": timeout * PATIENT_CONNECT,
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


async def open_connection(client: Redis) -> RedisConnection:
    """Open a connection with the library, including TLS and AUTH, and wrap it."""
    pool: Any = client.connection_pool
    connection = pool.make_connection()
    try:
        await connection.connect()
    except BaseException:
        # The library leaves it open where the caller's time ran out.
        if (opened := take_writer(connection)) is not None:
            opened.transport.abort()
        raise
    writer = take_writer(connection)
    assert writer is not None  # noqa: S101 - it is connected
    return RedisConnection(writer, PARSE_ERROR)


async def refuses(client: Redis) -> bool:
    """Return whether the connection is refused; a timeout proves nothing."""
    try:
        async with Patience(KNOCK):
            connection = await open_connection(client)
    except Exception as error:  # noqa: BLE001 - the library wraps what connecting raised
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ConnectionRefusedError):
            cause = cause.__cause__ or cause.__context__
        return cause is not None
    connection.close()
    return False


def _once(*errors: type[Exception]) -> Retry:
    return Retry(NoBackoff(), 1, supported_errors=errors)  # type: ignore[arg-type]
