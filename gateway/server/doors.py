"""Addresses that are listened on: TCP ports, and Unix sockets for a front proxy."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.values import split_listen
from gateway.errors import CannotListen

_BACKLOG: Final = 1024
"""Connections that wait to be accepted; the kernel's own cap (somaxconn) may be less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One address that is listened on."""

    server: asyncio.Server
    place: Path | None
    """The Unix socket, which outlives its listener unless it is removed."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of it; none for a Unix socket."""
        names = [socket.getsockname() for socket in self.server.sockets]
        return tuple(name[1] for name in names if isinstance(name, tuple))

    def close(self) -> None:
        """Take no more connections."""
        self.server.close()

    def remove(self) -> None:
        """Take no more connections, and leave nothing behind."""
        self.close()
        if self.place is not None:
            self.place.unlink(missing_ok=True)


async def open_door(
    address: str,
    protocol: Callable[[], asyncio.Protocol],
    *,
    context: ssl.SSLContext | None,
    reuse_port: bool,
) -> Door:
    """Listen on `host:port` or `unix:/path`.

    Args:
        address: where, as `server.listen` says it.
        protocol: makes the protocol of a new connection.
        context: TLS, where it ends here.
        reuse_port: whether other processes listen on the same port.

    Raises:
        CannotListen: it is taken, or not ours to take.
    """
    loop = asyncio.get_running_loop()
    place = split_listen(address)
    with listening(address):
        if isinstance(place, Path):
            server = await loop.create_unix_server(
                protocol, str(place), ssl=context, backlog=_BACKLOG
            )
            # The front proxy is another user of the same group. Everybody else is
            # kept out: who comes by this socket is believed as a proxy.
            place.chmod(0o660)
            return Door(server=server, place=place)
        server = await loop.create_server(
            protocol,
            *place,
            ssl=context,
            backlog=_BACKLOG,
            reuse_address=True,
            reuse_port=reuse_port or None,
        )
        return Door(server=server, place=None)


@contextlib.contextmanager
def listening(address: str) -> Iterator[None]:
    """Tell what the kernel refuses as CannotListen."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise CannotListen(f"cannot listen on {address}: {why}") from error
