"""Logs what is wrong with a front proxy, each problem once per minute."""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.authz.mode import Mode

_PERIOD: Final = 60.0


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
            detail: what is wrong; one of the few sentences of the code, so that what
                is remembered and logged does not grow with peers or clients.
            setting: what to set, and where.
            about: the address of the front proxy, or the path, of this one time.
        """
        now, key = self._ticks(), (mode, detail)
        last = self._given.get(key)
        if last is not None and now - last < _PERIOD:
            return
        self._given[key] = now
        self._warn(mode.value, detail, setting, about)
