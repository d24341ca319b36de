"""Describes devices and times for the account page; pure."""

from typing import Final

# The first match wins: most browsers also include the names of others.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("okhttp/", "Android app"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
_MOBILE: Final = frozenset({"iPhone", "iPad", "Android"})
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def device_name(user_agent: str) -> str:
    """Return browser and system in words, such as "Firefox on Windows"."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def is_mobile(user_agent: str) -> bool:
    """Return whether the User-Agent names a phone or tablet."""
    return _first(_SYSTEMS, user_agent) in _MOBILE


def ago(seconds: float) -> str:
    """Return a time in words: "just now", "3 minutes ago", "yesterday"."""
    for size, unit in _UNITS:
        count = int(seconds // size)
        if count > 0:
            if unit == "day" and count == 1:
                return "yesterday"
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _first(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in names if mark in text), "")
