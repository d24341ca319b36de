"""Reports each session that cannot be read once."""

from collections.abc import Callable
from typing import Final

REPORTED_KEYS: Final = 1_000


class CorruptReports:
    """Calls `on_corrupt(key, why)` once for each key, of the last thousand."""

    def __init__(self, on_corrupt: Callable[[str, str], None] | None) -> None:
        self._on_corrupt = on_corrupt
        self._reported: dict[str, None] = {}

    def report(self, key: str, why: str) -> None:
        """Report a key, unless it was reported already."""
        if self._on_corrupt is None or key in self._reported:
            return
        self._reported[key] = None
        if len(self._reported) > REPORTED_KEYS:
            del self._reported[next(iter(self._reported))]
        self._on_corrupt(key, why)
