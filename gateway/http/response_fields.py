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
# RFC 9112, section 5: the name is a token, and no space is before the colon. The value
# holds no controls and no line folding.
_LINE: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[\t ]*+([\t -~\x80-\xff]*+)"
).fullmatch


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

    Raises:
        InvalidUpstreamResponse: it is not a field.
    """
    found = _LINE(line)
    if found is None:
        raise InvalidUpstreamResponse("a header line is not a field")
    return ResponseField(found[1], found[2].rstrip(b" \t"))


_LONGEST: Final = 512
# Secret, and different in each response: they would drive out all others.
_NOT_KEPT: Final = (b"set-cookie", _RESERVED_PREFIX)


def _size(line: bytes) -> int:
    if line[:10].lower().startswith(_NOT_KEPT):
        return _LONGEST + 1
    return len(line)


FIELDS: Final = Memo(read_field, entries=1024, longest=_LONGEST, size=_size)
"""Fields by their lines, for all upstreams: a field depends on its line alone."""
