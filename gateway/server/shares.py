"""Parts of a pool: no client holds so much of one that others find nothing left.

A client may take another place of a pool while it holds less than a fixed multiple
of what is free. Alone it gets as far as its share; the fuller the pool is, the less
one client gets, and something is always left for a client that holds nothing. (The
rule is known from switches that share one buffer: Choudhury and Hahne, "Dynamic
queue length thresholds", 1998.)
"""

from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

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
        self._alpha = size if undivided else share / (1 - share)
        self._held: dict[str, int] = {}

    def take(self, client: str) -> bool:
        """Take a place for `client`; return False when it has its share."""
        held = self._held.get(client, 0)
        if held and held >= self._alpha * (self.size - self.total):
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


@lru_cache(maxsize=4096)
def share_key(address: str) -> str:
    """Return what a client is counted by: its IPv4 address, or its IPv6 network /64.

    A site gets at least a /64 of IPv6 (RFC 6177), so an address alone means nothing.
    """
    found = parse_address(address)
    if isinstance(found, IPv6Address):
        return f"{IPv6Address(int(found) >> _SITE_BITS << _SITE_BITS)}/64"
    return address if found is None else str(found)
