"""Connects to a host and port: tries every address within one timeout (RFC 8305)."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import aiohappyeyeballs

from gateway.net.resolver import Resolver

# RFC 8305 section 5: the head start of one address over the next.
_HEAD_START: Final = 0.25
# A name may have hundreds of addresses; the next connection begins with others.
_MOST_TRIED: Final = 8


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address, which needs no look-up."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def open_socket(
    resolver: Resolver,
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - the share of each address follows from it
) -> socket.socket:
    """Return a connected, non-blocking socket to one of the addresses of `host`.

    An address that does not answer delays the next one by a part of `timeout`; the
    race of RFC 8305.

    Raises:
        OSError: no address takes the connection; LookupFailed: there is none.
        TimeoutError: neither a look-up nor a connection within `timeout` seconds.
    """
    async with asyncio.timeout(timeout):
        hosts = (host,) if is_address(host) else await resolver.resolve(host)
        hosts = hosts[:_MOST_TRIED]
        try:
            sock = await _race(
                hosts, port, min(_HEAD_START, timeout / (len(hosts) + 1))
            )
        except (OSError, asyncio.CancelledError):  # the latter at the end of `timeout`
            resolver.expire(host)
            raise
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        winner = sock.getpeername()[0]
    except OSError:
        sock.close()
        raise
    if winner in hosts:
        resolver.avoid(host, hosts[: hosts.index(winner)])
    return sock


async def _race(hosts: Sequence[str], port: int, head_start: float) -> socket.socket:
    try:
        return await aiohappyeyeballs.start_connection(
            [_info(host, port) for host in hosts],
            happy_eyeballs_delay=head_start,
            interleave=0,  # the resolver has done it, and has put the bad ones last
        )
    except RuntimeError as error:  # uvloop raises it for some failures of a socket
        raise OSError(str(error)) from error


def _info(
    host: str, port: int
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)
