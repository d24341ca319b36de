"""Logs what is wrong with a front proxy, each problem once per minute."""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.authz.families import Mode

_PERIOD: Final = 60.0
_MOST: Final = 256
"""Problems remembered: peers choose their addresses."""


class Warn(Protocol):
    """Writes one warning."""

    def __call__(self, mode: str, detail: str, setting: str, about: str) -> None:
        """Log that a front proxy is not configured as it has to be."""
        ...


class Advice:
    """What to change in the front proxy, for its operator."""

    def __init__(self, warn: Warn, ticks: Callable[[], float]) -> None:
        self._warn = warn
        self._ticks = ticks
        self._given: dict[tuple[Mode, str], float] = {}

    def give(self, mode: Mode, detail: str, setting: str, about: str) -> None:
        """Log a problem unless it was logged within a minute.

        Args:
            mode: the endpoint.
            detail: what is wrong.
            setting: what to set, and where.
            about: the address of the front proxy, or the path.
        """
        now, key = self._ticks(), (mode, detail)
        last = self._given.get(key)
        if last is not None and now - last < _PERIOD:
            return
        if len(self._given) >= _MOST:
            self._given.clear()
        self._given[key] = now
        self._warn(mode.value, detail, setting, about)
