"""Collects and parses the head of a response. Pure.

The grammar is that of RFC 9112, sections 4 and 5: lines end with CRLF, names are
tokens, values hold no controls and no line folding. Anything else is rejected; nothing
is repaired.
"""

import re
from collections.abc import Collection
from typing import Final

from gateway.errors import InvalidUpstreamResponse
from gateway.http.memo import Memo
from gateway.http.response_fields import FIELDS, ResponseField

MAX_HEAD_BYTES: Final = 96 * 1024
"""A sign-in header of 64 KiB, and the rest."""
MAX_FIELDS: Final = 200
MAX_INTERIM: Final = 20
HEAD_END: Final = b"\r\n\r\n"
SWITCHING: Final = 101
_FIRST_FINAL: Final = 200

_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*+)?+"
).fullmatch


class ResponseHead:
    """The head of a response.

    minor   the minor version of HTTP/1
    fields  in the order in which they were received
    noted   those of them that have a role
    roles   the roles of all fields, joined by "|"
    """

    __slots__ = ("fields", "minor", "noted", "roles", "status")

    def __init__(self, status: int, minor: int, fields: list[ResponseField]) -> None:
        self.status = status
        self.minor = minor
        self.fields = fields
        self.noted = noted = list[ResponseField]()
        roles = 0
        for field in fields:
            if field.role:
                noted.append(field)
                roles |= field.role
        self.roles = roles

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """Return the names and values."""
        return [(field.name, field.value) for field in self.fields]

    def without(self, names: Collection[bytes]) -> "ResponseHead":
        """Return the head without the fields of these names, given in lower case."""
        fields = [field for field in self.fields if field.folded not in names]
        return ResponseHead(self.status, self.minor, fields)


def read_response_head(head: bytes) -> ResponseHead:
    """Parse a head, which includes the empty line at its end.

    Raises:
        InvalidUpstreamResponse: the head is malformed, or has too many fields.
    """
    if not head.endswith(HEAD_END):
        raise InvalidUpstreamResponse(_NOT_HTTP)
    first, *lines = head[: -len(HEAD_END)].split(b"\r\n")
    if len(lines) > MAX_FIELDS:
        raise InvalidUpstreamResponse(f"more than {MAX_FIELDS} header fields")
    status, minor = _STATUS_LINES[first]
    known = FIELDS
    return ResponseHead(status, minor, [known[line] for line in lines])


def _read_status_line(line: bytes) -> tuple[int, int]:
    found = _STATUS_LINE(line)
    if found is None:
        raise InvalidUpstreamResponse(_NOT_HTTP)
    return int(found[2]), int(found[1])


_STATUS_LINES: Final = Memo(_read_status_line, entries=64, longest=64)
_NOT_HTTP: Final = "the response is not HTTP/1.1 or HTTP/1.0"


class HeadBytes:
    """Collects the heads of one connection, which may arrive in several parts."""

    __slots__ = ("_held", "_interim")

    def __init__(self) -> None:
        self._held = bytearray()
        self._interim = 0  # 1xx responses before the final one

    def final_head(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Return the next final head and the bytes after it; None while it is incomplete.

        RFC 9110, section 15.2: a client parses 1xx responses and may ignore them. The
        gateway handles Expect itself and does not relay 103.

        Raises:
            InvalidUpstreamResponse: a head is malformed or too large, or there are more
                than `MAX_INTERIM` interim responses.
        """
        while data:
            found = self.take(data)
            if found is None:
                return None
            head, data = read_response_head(found[0]), found[1]
            if head.status >= _FIRST_FINAL or head.status == SWITCHING:
                self._interim = 0
                return head, data
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise InvalidUpstreamResponse("too many interim responses")
        return None

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return a head and the bytes after it; None while it is incomplete.

        Raises:
            InvalidUpstreamResponse: the head exceeds `MAX_HEAD_BYTES`.
        """
        held = self._held
        if not held:
            end = data.find(HEAD_END)
            if 0 <= end <= MAX_HEAD_BYTES - len(HEAD_END):
                end += len(HEAD_END)
                return data[:end], data[end:]
        searched = max(0, len(held) - len(HEAD_END))
        held += data
        end = held.find(HEAD_END, searched)
        size = len(held) if end < 0 else end + len(HEAD_END)
        if size > MAX_HEAD_BYTES:
            raise InvalidUpstreamResponse(
                f"the head of the response exceeds {MAX_HEAD_BYTES} bytes"
            )
        if end < 0:
            return None
        whole = bytes(held)
        self._held = bytearray()
        return whole[:size], whole[size:]
