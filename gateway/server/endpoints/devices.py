"""Describes devices and times for the account page; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

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


def on_day(moment: float) -> str:
    """Return the day of a time in epoch seconds, UTC, such as "5 Mar 2026"."""
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y")


def distinguished(devices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the devices, those of the same `name` and `address` numbered by sign-in.

    They also get the time of the sign-in, `signed_in` in epoch seconds, as text in
    `since`: two of them may have signed in "3 minutes ago".
    """
    alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for device in devices:
        alike.setdefault((device["name"], device["address"]), []).append(device)
    changed: dict[int, dict[str, Any]] = {}
    for group in alike.values():
        if len(group) == 1:
            continue
        by_time = sorted(group, key=lambda device: float(device["signed_in"]))
        for number, device in enumerate(by_time, 1):
            since = _at(device["signed_in"]) if device["signed_in"] else ""
            name = f"{device['name']} ({number})"
            changed[id(device)] = {**device, "name": name, "since": since}
    return [changed.get(id(device), device) for device in devices]


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M:%S UTC")


def _first(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in names if mark in text), "")
