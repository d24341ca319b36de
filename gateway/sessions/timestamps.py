"""RFC 3339 times to seconds since the epoch, and back."""

import re
from datetime import UTC, datetime
from typing import Final

# RFC 3339 section 5.6, and no more: `fromisoformat` alone also takes week dates.
# "T" and "Z" may be written small (section 5.6, NOTE).
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
# 9999-12-31T23:59:59Z: what four digits of a year can say.
LATEST: Final = 253_402_300_799.0
# Seconds by which the clocks of two machines may differ. A time in a record that is
# further ahead of now is wrong: docs/session-record.md has the rule.
CLOCK_LEEWAY: Final = 60.0


def parse_timestamp(text: str) -> float | None:
    """Read an RFC 3339 time; None where it is none. Microseconds are kept."""
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    date, clock, second, fraction, offset = found.groups(default="")
    # Section 5.7 allows a leap second; POSIX time has no number for it.
    second = "59" if second == "60" else second
    zone = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(
            f"{date}T{clock}:{second}{fraction[:7]}{zone}"
        ).timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if 0 <= moment <= LATEST else None


def format_timestamp(moment: float) -> str:
    """Write a time in RFC 3339, UTC, with "Z"; years stay within four digits."""
    bounded = min(max(moment, 0.0), LATEST)
    return datetime.fromtimestamp(bounded, UTC).isoformat().replace("+00:00", "Z")
