"""Make the redis library resolve names with the gateway's resolver.

The library leaves it to the event loop, whose four threads all look-ups share; one
that hangs outlives its time-out there.
"""

import asyncio
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection

from gateway.net.connect import open_socket
from gateway.net.resolver import Resolver
from gateway.sessions.redis.tls import share_context

_Client = TypeVar("_Client", Redis, RedisCluster)


def resolving(client: _Client, resolver: Resolver) -> _Client:
    """Make `client` resolve every host with `resolver`; return the client.

    Also the hosts that a Sentinel or a node of a Cluster announces. A Unix socket is
    left as it is.
    """
    if isinstance(client, RedisCluster):
        options: dict[str, Any] = client.connection_kwargs
        made = _resolved(options["connection_class"], resolver)
        options["connection_class"] = made
        for node in client.startup_nodes:
            node.connection_class = made
        return client
    pool: Any = client.connection_pool
    if issubclass(pool.connection_class, Connection):
        pool.connection_class = _resolved(pool.connection_class, resolver)
    return client


def _resolved(base: type[Connection], resolver: Resolver) -> type[Connection]:
    class ResolvedConnection(base):  # type: ignore[misc,valid-type] # made at run time
        """A connection of the library over a socket that is connected already."""

        async def _connect(self) -> None:
            async with asyncio.timeout(self.socket_connect_timeout):
                self._socket = await open_socket(
                    resolver,
                    self.host,
                    int(self.port),
                    timeout=self.socket_connect_timeout or _UNLIMITED,
                )
            try:
                await super()._connect()
            except BaseException:
                self._socket.close()
                raise

        def _connection_arguments(self) -> dict[str, Any]:
            if isinstance(self, SSLConnection):
                share_context(self.ssl_context)
            arguments = dict(super()._connection_arguments())
            host = arguments.pop("host")
            del arguments["port"]
            if arguments.get("ssl") is not None:
                arguments["server_hostname"] = host
            return arguments | {"sock": self._socket}

    return ResolvedConnection


_UNLIMITED = 60.0
