"""Validators of durations and sizes."""

import re
from typing import Any, Final

from gateway.config.diagnostic import expected

KIB: Final = 1024


MIB: Final = 1024 * KIB


def duration(value: Any) -> float:
    """Read "250ms", "10s", "15m", "6h" or "7d" as seconds; zero is invalid."""
    found = _DURATION(value) if isinstance(value, str) else None
    if found is None or not (seconds := float(found[1]) * _SECONDS[found[2]]):
        raise expected("a duration such as 250ms, 10s, 15m, 6h or 7d")
    if seconds > _LONGEST:
        raise expected("a duration of at most 3650d")
    return round(seconds, 3)


def size(value: Any) -> int:
    """Read "32KiB", "64MiB", "10MB" or a whole number of bytes."""
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 0 <= value < _MOST_BYTES
    ):
        return value
    found = _SIZE(value) if isinstance(value, str) else None
    if found is None:
        raise expected("a size such as 32KiB, 64MiB or 10MB, or a number of bytes")
    return int(found[1]) * _BYTES[found[2]]


_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)").fullmatch


_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


_LONGEST: Final = 3650 * 86400


_SIZE = re.compile(r"([0-9]{1,9})(B|kB|KB|KiB|MB|MiB|GB|GiB)").fullmatch


_BYTES: Final = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "KiB": KIB,
    "MB": 1000**2,
    "MiB": MIB,
    "GB": 1000**3,
    "GiB": 1024**3,
}


_MOST_BYTES: Final = 2**50
