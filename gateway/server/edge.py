"""Time and chance: read here, once a request, and handed down as arguments."""

import os
import time
from dataclasses import dataclass, field
from typing import Final

from gateway.server.clock import Clock

_POOL: Final = 4096


@dataclass(slots=True)
class Edge:
    """The clock and the random bytes of the operating system."""

    _pool: bytes = field(default=b"", repr=False)
    _at: int = 0

    clock: Clock = field(default_factory=Clock)

    def now(self) -> float:
        """Return the time that decides, in seconds since the epoch; see Clock."""
        return self.clock.now()

    # As it is, without a function around it: a request reads it several times.
    ticks = staticmethod(time.monotonic)
    """Read the clock that only goes forward; for durations."""

    def hex(self, count: int) -> str:
        """Draw `count` random bytes as hex.

        Drawn from the kernel by the page: one system call serves a hundred
        requests. Used for request and trace ids, which are not secrets.
        """
        end = self._at + count
        if end > len(self._pool):
            self._pool = os.urandom(_POOL)
            self._at, end = 0, count
        drawn = self._pool[self._at : end]
        self._at = end
        return drawn.hex()

    def secret(self, count: int) -> bytes:
        """Draw `count` random bytes for a secret, straight from the kernel."""
        return os.urandom(count)
