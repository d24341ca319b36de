"""Fair shares of a pool: no client can exhaust it for the others.

A client may acquire a place while it holds less than a fixed multiple of the free
places. Alone it can reach its share; the fuller the pool, the less one client can
hold, and a client that holds none can always get one. (Dynamic thresholds of
shared-memory switches: Choudhury and Hahne, "Dynamic queue length thresholds", 1998.)
"""

import asyncio
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from gateway.errors import ClientLimit
from gateway.http.forwarded import parse_address

_TOO_SMALL: Final = 16
"""A smaller pool is not divided: the requests of one page would not fit."""
_SITE_BITS: Final = 64


class Shares:
    """Counts the places of one pool by client."""

    __slots__ = ("_alpha", "held", "size", "total")

    def __init__(self, size: int, share: float) -> None:
        """Divide a pool.

        Args:
            size: places in the pool.
            share: fraction of them that one client may hold; 1 disables the limit.
        """
        self.size = size
        self.total = 0
        undivided = share >= 1 or size < _TOO_SMALL
        self._alpha = None if undivided else share / (1 - share)
        self.held: dict[str, int] = {}

    def take(self, client: str) -> bool:
        """Acquire a place for `client`; return False if it holds its share."""
        held = self.held.get(client, 0)
        if held and self.is_share(held):
            return False
        self.held[client] = held + 1
        self.total += 1
        return True

    def is_share(self, held: int) -> bool:
        """Return whether a client that holds so many places, at least one, gets no more."""
        # Requests that wait for a connection count too, so more than all places may be
        # taken: an undivided pool refuses none of them here.
        alpha = self._alpha
        return alpha is not None and held >= alpha * (self.size - self.total)

    def give_back(self, client: str) -> None:
        """Release one place of `client`."""
        self.total -= 1
        left = self.held[client] - 1
        if left:
            self.held[client] = left
        else:
            del self.held[client]


class UpstreamShares:
    """Counts the requests in flight to one upstream by address and by identity.

    A request counts from its decision until it ends. That includes waiting for a body
    or a connection, and WebSockets.
    """

    __slots__ = ("_addresses", "_identities", "_patience", "_waiting")

    def __init__(
        self, size: int, *, address: float, identity: float, patience: float
    ) -> None:
        """Divide the connections of an upstream.

        Args:
            size: number of connections.
            address: fraction of them that one client address may hold.
            identity: the same for one identity.
            patience: seconds that a request above its share may wait.
        """
        self._addresses = Shares(size, address)
        self._identities = Shares(size, identity)
        self._patience = patience
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}

    def take(self, address: str, identity: str | None) -> bool:
        """Acquire a place, or return False. What is empty is unknown, and not counted."""
        # Both at once, as Shares.take does each: it is called for every request, and what
        # is refused by one must not count in the other.
        addresses, identities = self._addresses, self._identities
        by_address = addresses.held.get(address, 0)
        by_identity = identities.held.get(identity, 0) if identity else 0
        if (by_address and addresses.is_share(by_address)) or (
            by_identity and identities.is_share(by_identity)
        ):
            return False
        if address:
            addresses.held[address] = by_address + 1
            addresses.total += 1
        if identity:
            identities.held[identity] = by_identity + 1
            identities.total += 1
        return True

    def give_back(self, address: str, identity: str | None) -> None:
        """Release a place, and wake a waiting request of the same client."""
        # As Shares.give_back does each.
        for shares, client in (
            (self._addresses, address),
            (self._identities, identity),
        ):
            if client:
                shares.total -= 1
                left = shares.held[client] - 1
                if left:
                    shares.held[client] = left
                else:
                    del shares.held[client]
        if self._waiting:
            for key in _keys(address, identity):
                for place in self._waiting.get(key, ()):
                    if not place.done():
                        place.set_result(None)
                        break

    async def wait(self, address: str, identity: str | None) -> None:
        """Wait until an earlier request of the client ends, and acquire its place.

        Raises:
            ClientLimit: none ended in time.
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
    """Return the key that a client is counted by: its IPv4 address or its IPv6 /64.

    A site has at least a /64 (RFC 6177), so a single IPv6 address identifies nothing.
    """
    found = parse_address(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> _SITE_BITS << _SITE_BITS)}/64"
    return address if found is None else str(found)
