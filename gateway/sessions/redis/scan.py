"""Scans the keys of a Cluster, one master after the other."""

from typing import Any

from redis.asyncio.cluster import RedisCluster

from gateway.sessions.redis.servers import RedisServers


async def scan_cluster(
    servers: RedisServers, pattern: str, cursor: str, count: int
) -> tuple[str, list[str]]:
    """Look at some `count` keys of one master; see `RedisClient.scan_step`."""
    cluster, _ = servers.open_cluster()
    nodes = await servers.within(lambda: _masters(cluster))
    number, _, inside = cursor.rpartition("-")
    index = int(number or 0)
    if index >= len(nodes):
        return "0", []
    command = ("SCAN", inside, "MATCH", pattern, "COUNT", count)
    after, keys = await servers.within(lambda: nodes[index].execute_command(*command))
    if int(after):
        return f"{index}-{int(after)}", [key_text(key) for key in keys]
    follower = f"{index + 1}-0" if index + 1 < len(nodes) else "0"
    return follower, [key_text(key) for key in keys]


def key_text(key: bytes) -> str:
    """Return the name of a key, which may be any bytes."""
    return key.decode("utf-8", "surrogateescape")


async def _masters(cluster: RedisCluster) -> list[Any]:
    _ = await cluster.initialize()
    return sorted(cluster.get_primaries(), key=lambda node: node.name)
