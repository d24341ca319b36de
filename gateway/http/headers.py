"""Header names and values: which names are reserved, and which values are valid.

Names are compared in normal form, because applications normalize them: CGI and WSGI
map "-" and "_" to one character, PHP adds ".", and some map every character that is
not a letter or a digit.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.http.header_families import is_forwarding_name, is_identity_name
from gateway.http.memo import Memo

Field = tuple[bytes, bytes]


class Line(NamedTuple):
    """A field that may be forwarded; `wire` is its line as it is sent, with CRLF."""

    name: bytes
    value: bytes
    wire: bytes


def line_of(name: bytes, value: bytes) -> Line:
    """Return the line of a field."""
    return Line(name, value, b"%b: %b\r\n" % (name, value))


# RFC 9110, section 7.6.1, with what HTTP/2 upgrades and old proxies added.
HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

# The gateway reads these and writes them itself.
OURS: Final = frozenset((b"content-length", b"cookie", b"expect", b"host"))


def normalize_name(name: bytes) -> bytes:
    """Return the normal form of a header name: lower case, one separator."""
    return name.translate(_NORMAL_FORM)


def is_reserved(name: bytes) -> bool:
    """Return whether this header, in any spelling, is never forwarded from a client."""
    normalized = normalize_name(name)
    return (
        normalized in HOP_BY_HOP or normalized in OURS or is_forwarding_name(normalized)
    )


def is_strict(name: bytes) -> bool:
    """Return whether values of this header must be UTF-8 where they are not ASCII.

    Names that speak of identity, forwarding or framing, in any spelling, and requests
    for a tenant or a page by the gateway. Everything else is opaque (RFC 9110, section
    5.5): cookies of other sites and old Referer fields hold any bytes.
    """
    normalized = normalize_name(name)
    return normalized not in _OPAQUE and (
        is_reserved(name) or is_identity_name(normalized)
    )


def is_token(text: bytes) -> bool:
    """Return whether this is a token (RFC 9110, section 5.6.2), as header names are."""
    return _TOKEN(text) is not None


def is_clean_value(value: bytes) -> bool:
    """Return whether a value of a strict field is valid.

    HTAB is the only control allowed (RFC 9110, section 5.5). Bytes beyond ASCII must
    be UTF-8, so that no decoder behind the gateway drops or replaces one.
    """
    if len(value.translate(None, CONTROLS)) != len(value):
        return False
    return value.isascii() or _is_utf8(value)


def encode_value(value: str) -> bytes:
    """Return a text as a field value; percent-decoding restores it.

    Controls, "%", leading and trailing spaces and the UTF-8 bytes of non-ASCII
    characters are percent-encoded (RFC 3986, section 2.1), so no value can end a line.
    """
    if value.isascii() and value.isprintable() and "%" not in value:
        plain = value.encode()
        if plain == plain.strip(b" "):
            return plain
    octets = value.encode("utf-8", "replace")
    first = len(octets) - len(octets.lstrip(b" "))
    last = len(octets.rstrip(b" "))
    return b"".join(
        b"%%%02X" % octet
        if octet in _ENCODED or not first <= index < last
        else octet.to_bytes(1, "big")
        for index, octet in enumerate(octets)
    )


class HeaderFilter:
    """Removes identity headers, and the names and prefixes of a configuration.

    Every spelling of a name is removed. Results are memoized by name, so an ordinary
    request costs one dictionary look-up per field.
    """

    __slots__ = ("_names", "_prefixes", "_removed")

    def __init__(
        self, names: Iterable[bytes | str], prefixes: Iterable[bytes | str] = ()
    ) -> None:
        self._names = frozenset(map(_normalized, names))
        self._prefixes = tuple(map(_normalized, prefixes))
        self._removed = Memo(
            self._is_removed, entries=MEMO_NAMES, longest=MEMO_NAME_BYTES
        )

    def strip(self, lines: Iterable[Line]) -> list[bytes]:
        """Return the lines that are not removed, as they are sent, in their order."""
        removed = self._removed
        return [wire for name, _, wire in lines if not removed[name]]

    def adding(self, name: str) -> "HeaderFilter":
        """Return a filter that removes one more name."""
        return HeaderFilter((*self._names, name), self._prefixes)

    def _is_removed(self, name: bytes) -> bool:
        normalized = normalize_name(name)
        return (
            normalized in self._names
            or normalized.startswith(self._prefixes)
            or is_identity_name(normalized)
        )


# Read by the gateway for one of their parts only, which is compared byte for byte.
_OPAQUE: Final = frozenset((b"cookie",))

# Clients choose names, so memos are bounded in number and size.
MEMO_NAMES: Final = 2048
MEMO_NAME_BYTES: Final = 64

CONTROLS: Final = bytes(octet for octet in (*range(0x20), 0x7F) if octet != 0x09)
_NORMAL_FORM: Final = bytes(
    ord(chr(octet).lower()) if chr(octet).isascii() and chr(octet).isalnum() else 0x2D
    for octet in range(256)
)
_ENCODED: Final = frozenset((*range(0x20), 0x25, *range(0x7F, 0x100)))
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def _normalized(name: bytes | str) -> bytes:
    return normalize_name(name.encode() if isinstance(name, str) else name)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
