"""The Host field in canonical form (RFC 9110, section 7.2)."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from gateway.http.memo import Memo

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A host and, if given, a port.

    `host` is lower case, without port and root dot; an IPv6 address keeps its
    brackets. `text` is `host[:port]`.
    """

    host: str
    port: int | None
    text: str


NO_AUTHORITY: Final = Authority(host="", port=None, text="")
"""Of a request of HTTP/1.0 without Host; only routes for any host match it."""


def parse_authority(raw: str) -> Authority | None:
    """Parse `uri-host [":" port]`; return None if it is not valid.

    Userinfo, lists, slashes, escapes, empty names and ports beyond 65535 are invalid.
    The root dot is removed: "a.b." is "a.b".
    """
    return AUTHORITIES[raw]


# A name of 254 characters with its port.
_LONGEST: Final = 260


def _parse(raw: str) -> Authority | None:
    if len(raw) > _LONGEST:
        return None
    # U+212A lower-cases to an ASCII "k".
    found = _AUTHORITY(raw.lower()) if raw.isascii() else None
    if found is None:
        return None
    name, literal, digits = found.groups()
    port = int(digits) if digits is not None else None
    if port is not None and not 0 < port <= MAX_PORT:
        return None
    if literal is not None:
        try:
            host = f"[{IPv6Address(literal)}]"
        except AddressValueError:
            return None
    else:
        host = name.removesuffix(".")
    text = host if port is None else f"{host}:{port}"
    return Authority(host=host, port=port, text=text)


_LABEL: Final = r"[a-z0-9_-]{1,63}"
_AUTHORITY: Final = re.compile(
    rf"(?=[^:]{{1,254}}(?::|$)|\[)(?:({_LABEL}(?:\.{_LABEL})*\.?)|\[([0-9a-f:.]{{2,45}})\])"
    r"(?::([0-9]{1,5}))?",
    re.ASCII,
).fullmatch

AUTHORITIES: Final = Memo(_parse, entries=1024, longest=_LONGEST)
"""What `parse_authority` returns, by the text."""
