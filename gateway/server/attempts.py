"""Failed attempts by client address: token buckets in bounded memory; no I/O.

Each address has `count` attempts per `window`; used ones are replenished evenly. State
is per process and survives a reload. Times are seconds of a monotonic clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from gateway.http.forwarded import Address

MOST_ADDRESSES: Final = 10_000
"""Addresses kept per kind; the least recently used are dropped first."""
MOST_SECRETS: Final = 20_000
"""Failed credentials kept, so that a repetition is not counted again."""
MOST_LINES: Final = 60
"""Log lines per kind and window, whatever the number of addresses."""
_IPV6_PREFIX: Final = 64


class Kind(StrEnum):
    """The kind of attempt; also the label of the metric."""

    SESSION = "session"
    SIGN_IN = "sign_in"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """`count` failed attempts per address in `window` seconds."""

    count: int
    window: float


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    refused: int = 0
    logged_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReached:
    """Content of a log line: the limited address, and its refusals since the last line.

    `unlogged` counts the addresses without a line in the previous window.
    """

    kind: Kind
    source: str
    refused: int
    allowance: Allowance
    unlogged: int


def source_of(address: Address | None) -> str | None:
    """Return the key that attempts are counted by: an IPv4 address or an IPv6 /64.

    A single IPv6 client may use any address of its /64 (RFC 6177, RFC 8981). None if
    the address is unknown.
    """
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _IPV6_PREFIX), strict=False))
    return None if address is None else str(address)


class Attempts:
    """The failed attempts of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._buckets: dict[str, _Bucket] = {}
        self._secrets: dict[int, float] = {}
        self._lines_from = 0.0
        self._lines = 0
        self._unlogged = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, source: str, allowance: Allowance, now: float) -> float:
        """Return the seconds until another attempt is allowed; 0.0 if it is allowed now."""
        bucket = self._buckets.get(source)
        if bucket is None:
            return 0.0
        _refill(bucket, allowance, now)
        if bucket.left >= 1.0:
            return 0.0
        return (1.0 - bucket.left) * allowance.window / allowance.count

    def charge(self, source: str, allowance: Allowance, now: float) -> None:
        """Count one failed attempt.

        Concurrent attempts may exceed the allowance. The debt is bounded: it is
        replenished within one more window.
        """
        bucket = self._buckets.pop(source, None)
        if bucket is None:
            bucket = _Bucket(float(allowance.count), now)
        _refill(bucket, allowance, now)
        bucket.left = max(bucket.left - 1.0, -float(allowance.count))
        self._drop_old(allowance, now)
        self._buckets[source] = bucket  # at the end: the dictionary is ordered by use

    def give_back(self, source: str, allowance: Allowance) -> None:
        """Undo one charge: the attempt did not fail."""
        bucket = self._buckets.get(source)
        if bucket is not None:
            bucket.left = min(bucket.left + 1.0, float(allowance.count))

    def is_repeated(self, secret: int, allowance: Allowance, now: float) -> bool:
        """Return whether this credential failed before within the window.

        A repetition is not a guess: a browser sends its cookie with every request.
        """
        seen = self._secrets.get(secret)
        return seen is not None and now - seen < allowance.window

    def remember(self, secret: int, now: float) -> None:
        """Record a credential that failed."""
        self._secrets.pop(secret, None)
        if len(self._secrets) >= MOST_SECRETS:
            del self._secrets[next(iter(self._secrets))]
        self._secrets[secret] = now

    def refuse(
        self, source: str, allowance: Allowance, now: float
    ) -> LimitReached | None:
        """Count a refusal; return what to log, once per address and window."""
        bucket = self._buckets.get(source)
        if bucket is None:
            return None
        bucket.refused += 1
        if bucket.logged_at is not None and now - bucket.logged_at < allowance.window:
            return None
        if now - self._lines_from >= allowance.window:
            self._lines_from, self._lines = now, 0
        bucket.logged_at = now
        if self._lines >= MOST_LINES:
            self._unlogged += 1
            return None
        self._lines += 1
        reached = LimitReached(
            kind=self.kind,
            source=source,
            refused=bucket.refused,
            allowance=allowance,
            unlogged=self._unlogged,
        )
        bucket.refused = self._unlogged = 0
        return reached

    def _drop_old(self, allowance: Allowance, now: float) -> None:
        # Two per new entry, so that expired entries never accumulate.
        for _ in range(2):
            first = next(iter(self._buckets), None)
            if first is None:
                return
            old = now - self._buckets[first].at >= 2 * allowance.window
            if old or len(self._buckets) >= MOST_ADDRESSES:
                del self._buckets[first]


def _refill(bucket: _Bucket, allowance: Allowance, now: float) -> None:
    gained = max(0.0, now - bucket.at) * allowance.count / allowance.window
    bucket.left = min(bucket.left + gained, float(allowance.count))
    bucket.at = now
