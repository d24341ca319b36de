"""Finds a field of a check that contradicts the request that its front proxy describes.

Such a field comes from the client, or from a front proxy that rewrites the request after
it was described. The app may read it, and would then serve another request than the one
that was decided about, so the request is refused.

X-Forwarded-Port is not compared: behind a port mapping it differs from that of the Host.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, assert_never

from gateway.http.forwarded import parse_forwarded
from gateway.http.host import DEFAULT_PORTS, parse_authority

FORWARDED: Final = "forwarded"


class Part(StrEnum):
    """A part of a description that another field may repeat."""

    HOST = "host"
    SCHEME = "scheme"
    TARGET = "target"


def find_contradiction(
    values: Mapping[str, str],
    repeats: Mapping[str, Part],
    *,
    host: str,
    scheme: str,
    target: str,
) -> str | None:
    """Return the name of the first field that says something else; None if none does.

    Args:
        values: of the fields of the check, by lower-case name; joined by ", " if a
            field is repeated.
        repeats: the fields that repeat a part of the description, and which one; an
            empty field is ignored.
        host: of the description, with its port.
        scheme: http, https, ws or wss.
        target: path and query.
    """
    for name, part in repeats.items():
        text = values.get(name)
        if text and not _agrees(part, text, host, scheme, target):
            return name
    forwarded = values.get(FORWARDED)
    if forwarded and not _forwarded_agrees(forwarded, host, scheme):
        return FORWARDED
    return None


def _forwarded_agrees(text: str, host: str, scheme: str) -> bool:
    """Return whether no element of Forwarded (RFC 7239) names another host or scheme."""
    elements = parse_forwarded(text)
    # A field that cannot be parsed may be read as anything.
    return elements is not None and all(
        _agrees(part, element[name], host, scheme, "")
        for element in elements
        for name, part in (("host", Part.HOST), ("proto", Part.SCHEME))
        if name in element
    )


def _agrees(part: Part, text: str, host: str, scheme: str, target: str) -> bool:
    match part:
        case Part.HOST:
            return _same_host(text, host, scheme)
        case Part.SCHEME:
            return _plain(text) == _plain(scheme)
        case Part.TARGET:
            return text == target
        case _ as never:
            assert_never(never)


def _same_host(text: str, host: str, scheme: str) -> bool:
    one, other = parse_authority(text), parse_authority(host)
    if one is None or other is None:
        return False
    default = DEFAULT_PORTS.get(_plain(scheme))
    return (one.host, one.port or default) == (other.host, other.port or default)


def _plain(scheme: str) -> str:
    lower = scheme.lower()
    return {"ws": "http", "wss": "https"}.get(lower, lower)
