"""File descriptors: their limit, the reserve, and reports of exhaustion."""

import errno
import resource
import time
from collections.abc import Callable
from typing import Final

from gateway.errors import SHORT_OF

_ENOUGH: Final = 1_048_576
"""Upper bound of the limit: some programs still iterate over all of them."""
_LEAST_RESERVE: Final = 16
_MOST_RESERVE: Final = 1024
_ONE_LINE_A: Final = 60.0
"""Seconds between two log lines about one shortage."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of this process to its hard limit; return the new limit.

    The soft limit is 1,024 on most systems because of select(2), which is not used.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _ENOUGH if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def descriptors_for_clients() -> int:
    """Return the exclusive upper bound of descriptors for client connections.

    The kernel allocates the lowest free one, so the rest is reserved for Redis,
    upstreams and files.
    """
    limit = descriptor_limit()
    return limit - max(_LEAST_RESERVE, min(limit // 8, _MOST_RESERVE))


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


class Shortage:
    """Reports an exhausted resource: at once, then once a minute."""

    def __init__(
        self,
        report: Callable[[str, int], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the callback: the resource, and the number of failures since the last report."""
        self._report = report
        self._clock = clock
        self._missed = 0
        self._next = 0.0

    def note(self, number: int) -> None:
        """Count one failure; `number` is its errno."""
        self._missed += 1
        now = self._clock()
        if now >= self._next:
            self._next = now + _ONE_LINE_A
            missed, self._missed = self._missed, 0
            self._report(SHORT_OF.get(number, errno.errorcode.get(number, "")), missed)
