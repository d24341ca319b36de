"""One DNS look-up with c-ares, without a thread; it ends when it is cancelled.

Each look-up has its own channel, so a name whose server hangs shares no socket, queue
or server state with another name. `resolv.conf`, `hosts` and `nsswitch.conf` are read
each time. The cache of c-ares is discarded with the channel.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pycares

# RFC 8305 section 3: how long the addresses of one family wait for the other's.
RESOLUTION_DELAY: Final = 0.05
# First wait for one server; doubled with each round. glibc waits five seconds,
# longer than most connect timeouts, before it queries a second server.
_TRY_TIMEOUT: Final = 0.5
_TRIES: Final = 3
_FAMILIES: Final = (socket.AF_INET6, socket.AF_INET)
_ABSENT: Final = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})


class LookupFailed(OSError):  # noqa: N818 - the field's word
    """No usable response; whether the name exists is unknown."""


class NameNotFound(LookupFailed):
    """The name does not exist, or has no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses of a name in the order to try them, and their TTL in seconds."""

    hosts: tuple[str, ...]
    ttl: float


async def look_up(name: str, *, servers: Sequence[str], timeout: float) -> Addresses:  # noqa: ASYNC109
    """Return the addresses of `name`.

    Args:
        name: a host name; search domains of `resolv.conf` apply as its `ndots` says.
        servers: `host:port` of the DNS servers; empty: those of `resolv.conf`.
        timeout: seconds after which the look-up ends, whatever servers do.

    Raises:
        NameNotFound: the servers report no such name, or no address for it.
        LookupFailed: no usable answer within `timeout`.
    """
    try:
        lookup = _Lookup(servers)
    except pycares.AresError as error:  # for example, no memory
        raise LookupFailed(str(error)) from error
    try:
        async with asyncio.timeout(timeout):
            return await lookup.run(name)
    except TimeoutError as error:
        raise LookupFailed(f"no answer within {timeout:g} s") from error
    except (pycares.AresError, ValueError) as error:  # an invalid name
        raise LookupFailed("not a host name") from error
    finally:
        lookup.close()


class _Lookup:
    """The channel of one look-up, driven by the event loop."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading: set[int] = set()
        self._writing: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._found: dict[socket.AddressFamily, list[Any] | int] = {}
        self._changed = asyncio.Event()
        self._channel = pycares.Channel(
            sock_state_cb=self._watch,
            timeout=_TRY_TIMEOUT,
            tries=_TRIES,
            servers=list(servers) or None,
        )

    async def run(self, name: str) -> Addresses:
        for family in _FAMILIES:
            self._channel.getaddrinfo(
                name,
                None,
                family=family,
                type=socket.SOCK_STREAM,
                callback=partial(self._answered, family),
            )
        self._set_timer()
        while not (done := len(self._found) == len(_FAMILIES)) and not self._nodes():
            self._changed.clear()
            await self._changed.wait()
        if not done:
            await self._wait_for_the_other()
        nodes = self._nodes()
        if not nodes:
            raise self._failure()
        return Addresses(
            hosts=tuple(dict.fromkeys(_host(node) for node in nodes)),
            ttl=float(min(node.ttl for node in nodes)),
        )

    async def _wait_for_the_other(self) -> None:
        """Wait briefly for the other family: a lost response must not delay the look-up."""
        self._changed.clear()
        try:
            async with asyncio.timeout(RESOLUTION_DELAY):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _nodes(self) -> list[Any]:
        """Return the addresses found, IPv6 first (RFC 8305 section 4)."""
        found = [self._found.get(family) for family in _FAMILIES]
        return [node for each in found if isinstance(each, list) for node in each]

    def _failure(self) -> LookupFailed:
        codes = [each for each in self._found.values() if isinstance(each, int)]
        unknown = [code for code in codes if code not in _ABSENT]
        if unknown:
            return LookupFailed(_text(unknown[0]))
        return NameNotFound("no such name, or no address of it")

    def _answered(
        self, family: socket.AddressFamily, result: Any, error: int | None
    ) -> None:
        if self._closed:  # from the thread that destroys the channel
            return
        self._found[family] = (
            error if error is not None else list(result.nodes)
        ) or pycares.errno.ARES_ENODATA
        self._changed.set()

    # The channel's sockets and its timer

    def _watch(self, fd: int, readable: bool, writable: bool) -> None:
        if self._closed:
            return
        bad = pycares.ARES_SOCKET_BAD
        if readable and fd not in self._reading:
            self._reading.add(fd)
            self._loop.add_reader(fd, self._process, fd, bad)
        elif not readable and fd in self._reading:
            self._reading.discard(fd)
            self._loop.remove_reader(fd)
        if writable and fd not in self._writing:
            self._writing.add(fd)
            self._loop.add_writer(fd, self._process, bad, fd)
        elif not writable and fd in self._writing:
            self._writing.discard(fd)
            self._loop.remove_writer(fd)

    def _process(self, read: int, write: int) -> None:
        if not self._closed:
            self._channel.process_fd(read, write)
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._closed and len(self._found) < len(_FAMILIES):
            wait: float = self._channel.timeout()  # type: ignore[no-untyped-call]
            bad = pycares.ARES_SOCKET_BAD
            self._timer = self._loop.call_later(
                max(wait, 0.001), self._process, bad, bad
            )

    def close(self) -> None:
        """Cancel the look-up and release its resources."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for fd in self._reading:
            self._loop.remove_reader(fd)
        for fd in self._writing:
            self._loop.remove_writer(fd)
        self._channel.close()


def _host(node: Any) -> str:
    address: bytes = node.addr[0]
    return address.decode("ascii")


def _text(code: int) -> str:
    return str(pycares.errno.strerror(code))
