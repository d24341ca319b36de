"""Parts of a pool: no client holds so much of one that others find nothing left.

A client may take another place of a pool while it holds less than a fixed multiple
of what is free. Alone it gets as far as its share; the fuller the pool is, the less
one client gets, and something is always left for a client that holds nothing. (The
rule is known from switches that share one buffer: Choudhury and Hahne, "Dynamic
queue length thresholds", 1998.)
"""

import asyncio
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from gateway.errors import ClientLimit
from gateway.http.forwarded import parse_address

_TOO_SMALL: Final = 16
"""A pool of fewer places is not divided: a page and its parts would not fit."""
_SITE_BITS: Final = 64


class Shares:
    """Counts what each client holds of one pool."""

    __slots__ = ("_alpha", "_held", "size", "total")

    def __init__(self, size: int, share: float) -> None:
        """Divide a pool.

        Args:
            size: places in the pool.
            share: part of them that one client may hold, up to 1, which is all.
        """
        self.size = size
        self.total = 0
        undivided = share >= 1 or size < _TOO_SMALL
        self._alpha = None if undivided else share / (1 - share)
        self._held: dict[str, int] = {}

    def take(self, client: str) -> bool:
        """Take a place for `client`; return False when it has its share."""
        held = self._held.get(client, 0)
        alpha = self._alpha
        # Requests that wait for a connection count too, so more than all places may be
        # taken: an undivided pool refuses none of them here.
        if held and alpha is not None and held >= alpha * (self.size - self.total):
            return False
        self._held[client] = held + 1
        self.total += 1
        return True

    def give_back(self, client: str) -> None:
        """Free one place of `client`."""
        self.total -= 1
        left = self._held[client] - 1
        if left:
            self._held[client] = left
        else:
            del self._held[client]

    def held_by(self, client: str) -> int:
        """Return how many places `client` holds."""
        return self._held.get(client, 0)


class UpstreamShares:
    """Counts what each address and each identity has under way at one upstream.

    A request counts from the moment it may pass until it ends, so bodies that are
    waited for, requests that wait for a connection and WebSockets are included.
    """

    __slots__ = ("_addresses", "_identities", "_patience", "_waiting")

    def __init__(
        self, size: int, *, address: float, identity: float, patience: float
    ) -> None:
        """Divide the connections of an upstream.

        Args:
            size: how many there are.
            address: part of them that one client address may hold.
            identity: the same for one identity.
            patience: seconds that a request above a share waits for its turn.
        """
        self._addresses = Shares(size, address)
        self._identities = Shares(size, identity)
        self._patience = patience
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}

    def take(self, address: str, identity: str | None) -> bool:
        """Take a place, or return False. "" is an address that is not known."""
        if address and not self._addresses.take(address):
            return False
        if identity is not None and not self._identities.take(identity):
            if address:
                self._addresses.give_back(address)
            return False
        return True

    def give_back(self, address: str, identity: str | None) -> None:
        """Free a place, for a request of the same client that waits."""
        if address:
            self._addresses.give_back(address)
        if identity is not None:
            self._identities.give_back(identity)
        if self._waiting:
            for key in _keys(address, identity):
                for place in self._waiting.get(key, ()):
                    if not place.done():
                        place.set_result(None)
                        break

    async def wait(self, address: str, identity: str | None) -> None:
        """Wait until an earlier request of the client ends, and take its place.

        Raises:
            ClientLimit: none did in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    await self._turn(_keys(address, identity))
                    if self.take(address, identity):
                        return
        except TimeoutError as error:
            raise ClientLimit("the client holds its share of the upstream") from error

    async def _turn(self, keys: tuple[str, ...]) -> None:
        place = asyncio.get_running_loop().create_future()
        for key in keys:
            self._waiting.setdefault(key, {})[place] = None
        try:
            await place
        finally:
            for key in keys:
                queue = self._waiting[key]
                del queue[place]
                if not queue:
                    del self._waiting[key]


def _keys(address: str, identity: str | None) -> tuple[str, ...]:
    return (address,) if identity is None else (address, f"identity {identity}")


@lru_cache(maxsize=4096)
def share_key(address: str) -> str:
    """Return what a client is counted by: its IPv4 address, or its IPv6 network /64.

    A site gets at least a /64 of IPv6 (RFC 6177), so an address alone means nothing.
    """
    found = parse_address(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> _SITE_BITS << _SITE_BITS)}/64"
    return address if found is None else str(found)
