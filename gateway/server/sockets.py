"""The listening sockets of a configuration, bound before any connection is accepted.

All addresses are bound, or none, so a failed start does not affect a running process.

A TCP address is claimed by a socket without SO_REUSEPORT, which the kernel grants to
one process only. SO_REUSEPORT is set afterwards if workers of the same supervisor bind
sockets of their own.
"""

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from gateway.config.addresses import split_listen
from gateway.errors import CannotListen
from gateway.server.unix_socket import SocketFile, bind_unix

BACKLOG: Final = 1024
"""Length of the accept queue; the kernel limit (somaxconn) may be lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningSocket:
    """One configured address; a host name may resolve to several sockets."""

    address: str
    sockets: tuple[socket.socket, ...]
    file: SocketFile | None = None
    """The file of a Unix socket."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports; none for a Unix socket."""
        names = [one.getsockname() for one in self.sockets]
        return tuple(name[1] for name in names if isinstance(name, tuple))

    def sibling(self) -> "ListeningSocket":
        """Return sockets of the same address for another worker.

        Raises:
            CannotListen: the kernel rejects it.
        """
        with explained(self.address), contextlib.ExitStack() as undo:
            made = [
                undo.enter_context(one.dup() if self.file else _bound_again(one))
                for one in self.sockets
            ]
            undo.pop_all()
        return ListeningSocket(
            address=self.address, sockets=tuple(made), file=self.file
        )

    def close(self) -> None:
        """Close the descriptors of this process."""
        _close(self.sockets)


class Listeners:
    """The listening sockets of one process, in the order of its addresses.

    An address with port 0 may be there several times: each has a port of its own.
    """

    def __init__(self, opened: Iterable[ListeningSocket]) -> None:
        """Create the set; it owns the sockets."""
        self._opened = list(opened)
        self._waiting = list(self._opened)

    def take(self, address: str) -> ListeningSocket:
        """Return the sockets of an address; of a repeated one, the next each time.

        Raises:
            KeyError: the address is not there, or all of its sockets were taken.
        """
        for at, one in enumerate(self._waiting):
            if one.address == address:
                return self._waiting.pop(at)
        raise KeyError(address)

    def sibling(self) -> "Listeners":
        """Return sockets of the same addresses for another worker.

        Raises:
            CannotListen: the kernel rejects one.
        """
        with contextlib.ExitStack() as undo:
            made: list[ListeningSocket] = []
            for one in self._opened:
                made.append(one.sibling())
                undo.callback(made[-1].close)
            undo.pop_all()
        return Listeners(made)

    def close(self) -> None:
        """Close the descriptors of this process; other processes keep theirs."""
        for one in self._opened:
            one.close()

    def remove_files(self) -> None:
        """Remove the files of the Unix sockets that still belong to this process."""
        for one in self._opened:
            if one.file is not None:
                one.file.remove()


def bind_all(
    addresses: Iterable[str], *, share: bool = False, workers: bool = False
) -> Listeners:
    """Listen on every address, or on none.

    Args:
        addresses: `host:port` or `unix:/path`.
        share: other instances with this setting may listen on the same address.
        workers: `sibling` may add sockets.

    Raises:
        CannotListen: an address is in use, or cannot be used.
    """
    opened: list[ListeningSocket] = []
    try:
        for address in addresses:
            one = bind(address, share=share, workers=workers)
            opened.append(one)
    except BaseException:
        failed = Listeners(opened)
        failed.close()
        failed.remove_files()
        raise
    return Listeners(opened)


def bind(
    address: str, *, share: bool = False, workers: bool = False
) -> ListeningSocket:
    """Listen on one address; as `bind_all`.

    Raises:
        CannotListen: the address is in use, or cannot be used.
    """
    place = split_listen(address)
    with explained(address):
        if isinstance(place, Path):
            one, file = bind_unix(place, backlog=BACKLOG, take_over=share)
            return ListeningSocket(address=address, sockets=(one,), file=file)
        sockets = _bind_tcp(*place, share=share)
        if workers:
            for one in sockets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return ListeningSocket(address=address, sockets=sockets)


@contextlib.contextmanager
def explained(address: str) -> Iterator[None]:
    """Convert an OSError into CannotListen."""
    try:
        yield
    except OSError as error:
        why = _WORDS.get(error.errno or 0, str(error.strerror or error).lower())
        raise CannotListen(f"cannot listen on {address}: {why}") from error


def _bind_tcp(host: str, port: int, *, share: bool) -> tuple[socket.socket, ...]:
    made: list[socket.socket] = []
    with contextlib.ExitStack() as undo:
        for family, where in _resolved(host, port):
            with contextlib.suppress(_NoFamily):
                made.append(undo.enter_context(_bound(family, where, share=share)))
        if not made:
            raise OSError(None, "no address of this host can be used")
        undo.pop_all()
    return tuple(made)


_WORDS: Final = {
    errno.ENOTSOCK: "the path is taken by a file that is not a socket",
    errno.ENOENT: "no such file or directory",
}


class _NoFamily(Exception):  # noqa: N818 - control flow, not an error
    """The kernel does not support the address family, such as IPv6."""


def _resolved(host: str, port: int) -> list[tuple[int, Any]]:
    """Return family and address of each interface that a host resolves to."""
    try:
        version = ip_address(host).version
    except ValueError:
        kind = socket.SOCK_STREAM
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        return list(dict.fromkeys((family, where) for family, *_, where in found))
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]


def _bound(family: int, where: Any, *, share: bool) -> socket.socket:
    try:
        one = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoFamily from error
    try:
        # Connections of an exited process may be in TIME-WAIT.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Linux: accepted sockets inherit it.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if share:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(where)
        one.listen(BACKLOG)
        one.setblocking(False)
    except BaseException:
        one.close()
        raise
    return one


def _bound_again(other: socket.socket) -> socket.socket:
    return _bound(other.family, other.getsockname(), share=True)


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()
