"""The fields of a response, and what each of them means to a proxy. Pure.

A field is read once for each different line (RFC 9112, section 5): the lines of
responses repeat, so their fields are remembered by the bytes of the line.
"""

import re
from typing import Final

from gateway.errors import InvalidUpstreamResponse
from gateway.http.memo import Memo

# Roles. A field has one; a head has those of its fields, joined by "|".
PLAIN: Final = 0
"""Forwarded without a look at its value."""
LENGTH: Final = 1
CODING: Final = 2
OPTIONS: Final = 4
KEEP_ALIVE: Final = 8
HOP: Final = 16
"""Hop-by-hop, and not interpreted."""
RESERVED: Final = 32
"""Only the gateway sets it; an upstream's is not forwarded."""
COOKIE: Final = 64
DATE: Final = 128
CACHE: Final = 256
"""Says whether shared caches may store the response."""

NOT_END_TO_END: Final = LENGTH | CODING | OPTIONS | KEEP_ALIVE | HOP
"""Ends here: framing and hop-by-hop fields."""

_ROLES: Final = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": OPTIONS,
    b"keep-alive": KEEP_ALIVE,
    # RFC 9110, section 7.6.1, and RFC 2616, section 13.5.1, where still in use.
    b"proxy-authenticate": HOP,
    b"proxy-authentication-info": HOP,
    b"proxy-authorization": HOP,
    b"proxy-connection": HOP,
    b"te": HOP,
    b"trailer": HOP,
    b"upgrade": HOP,
    b"x-request-id": RESERVED,
    b"set-cookie": COOKIE,
    b"date": DATE,
    b"cache-control": CACHE,
    # RFC 9213 and its predecessors.
    b"cdn-cache-control": CACHE,
    b"surrogate-control": CACHE,
}
_RESERVED_PREFIX: Final = b"x-gateway-"
_TOKEN: Final = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++)"
# RFC 9112, section 5: the name is a token, and no space is before the colon. The value
# holds no controls and no line folding.
_LINE: Final = re.compile(_TOKEN + rb":[\t ]*+([\t -~\x80-\xff]*+)").fullmatch
# What nginx, HAProxy or Go take beyond that: docs/upstreams.md has the table.
_LOOSE_LINE: Final = re.compile(_TOKEN + rb"[\t ]*+:([^\0\r\n]*+)").fullmatch
_SPACED: Final = bytes.maketrans(
    bytes([*range(32), 127]), b" " * 33
)  # controls of a value become spaces


class ResponseField:
    """One field of a response. Its value may be a secret, so it has no repr.

    name    as received
    folded  the name in lower case
    value   without spaces around it
    role    one of the constants above
    wire    its line as it is sent, with CRLF
    """

    __slots__ = ("folded", "name", "role", "value", "wire")

    def __init__(self, name: bytes, value: bytes) -> None:
        self.name = name
        self.folded = folded = name.lower()
        self.value = value
        self.role = (
            RESERVED
            if folded.startswith(_RESERVED_PREFIX)
            else _ROLES.get(folded, PLAIN)
        )
        self.wire = b"%b: %b\r\n" % (name, value)


def read_field(line: bytes) -> ResponseField:
    """Return the field in a line without its line end.

    A field that is forwarded may have spaces before its colon, which are removed (RFC
    9112, section 5.1), and controls, which become spaces. A cookie with controls is not
    forwarded: browsers ignore it (RFC 6265bis, section 5.6).

    Raises:
        InvalidUpstreamResponse: it is not a field, or not well-formed and one that
            ends at the gateway.
    """
    found = _LINE(line)
    if found is not None:
        return ResponseField(found[1], found[2].rstrip(b" \t"))
    loose = _LOOSE_LINE(line)
    if loose is None:
        raise InvalidUpstreamResponse("a header line is not a field")
    value = loose[2].translate(_SPACED)
    field = forwarded(ResponseField(loose[1], value.strip(b" ")))
    if field.role == COOKIE and value != loose[2].replace(b"\t", b" "):
        field.role = RESERVED
    return field


def forwarded(field: ResponseField) -> ResponseField:
    """Return a field that was not well-formed as received.

    Raises:
        InvalidUpstreamResponse: it ends at the gateway, as framing does. Other readers
            could understand it differently.
    """
    if field.role & (NOT_END_TO_END | RESERVED):
        shown = field.folded.decode("ascii")
        raise InvalidUpstreamResponse(f"the field {shown} is malformed")
    return field


_LONGEST: Final = 512
# Secret, and different in each response: they would drive out all others.
_NOT_KEPT: Final = (b"set-cookie", _RESERVED_PREFIX)


def _size(line: bytes) -> int:
    if line[:10].lower().startswith(_NOT_KEPT):
        return _LONGEST + 1
    return len(line)


FIELDS: Final = Memo(read_field, entries=1024, longest=_LONGEST, size=_size)
"""Fields by their lines, for all upstreams: a field depends on its line alone."""
