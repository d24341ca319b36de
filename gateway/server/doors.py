"""Serve clients on listening sockets, in this process's event loop."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.server.sockets import BACKLOG, ListeningSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One address that is served."""

    servers: tuple[asyncio.Server, ...]
    ports: tuple[int, ...]
    """Its TCP ports; none for a Unix socket."""

    def close(self) -> None:
        """Accept no more connections."""
        for server in self.servers:
            server.close()


async def open_door(
    listening: ListeningSocket,
    protocol: Callable[[], asyncio.Protocol],
    *,
    context: ssl.SSLContext | None,
) -> Door:
    """Accept connections on sockets that listen; the door closes them.

    Args:
        listening: the sockets.
        protocol: makes the protocol of a new connection.
        context: TLS, where it ends here.
    """
    loop = asyncio.get_running_loop()
    ports = listening.ports
    create = loop.create_server if listening.file is None else loop.create_unix_server
    servers = [
        await create(protocol, sock=one, ssl=context, backlog=BACKLOG)
        for one in listening.sockets
    ]
    return Door(servers=tuple(servers), ports=ports)
