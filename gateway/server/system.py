"""Clocks and randomness, read once per request and passed as arguments."""

import os
import time
from dataclasses import dataclass, field
from typing import Final

from gateway.server.clock import Clock

_POOL: Final = 4096


@dataclass(slots=True)
class System:
    """The clocks and the random bytes of the operating system."""

    _pool: str = field(default="", repr=False)
    _at: int = 0

    clock: Clock = field(default_factory=Clock)

    def now(self) -> float:
        """Return the current time in seconds since the epoch; see Clock."""
        return self.clock.now()

    # Not wrapped in a method: a request reads it several times.
    ticks = staticmethod(time.monotonic)
    """Return the monotonic time in seconds; for durations."""

    def hex(self, count: int) -> str:
        """Return `count` random bytes as hex.

        Read from the kernel by the page: one system call per hundred requests. For
        request and trace ids, which are not secret.
        """
        at = self._at
        end = at + count + count
        if end > len(self._pool):
            self._pool = os.urandom(_POOL).hex()
            at, end = 0, count + count
        self._at = end
        return self._pool[at:end]

    def secret(self, count: int) -> bytes:
        """Return `count` random bytes for a secret, directly from the kernel."""
        return os.urandom(count)
