"""Collects and parses the head of a response. Pure.

One expression is the whole grammar (RFC 9112 sections 4 and 5): lines end with CRLF,
names are tokens, values hold no controls and no line folding. Anything else is
rejected; nothing is repaired.
"""

import re
from typing import Final

from gateway.errors import InvalidUpstreamResponse

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_END: Final = b"\r\n\r\n"

_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*+)?+\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+\r\n"
).fullmatch
_FIELDS: Final = re.compile(rb"([^:\r\n]++):[\t ]*+([^\r]*+)\r\n").findall
_SPACE_AT_END: Final = (b" \r\n", b"\t\r\n")


def read_response_head(head: bytes) -> tuple[int, int, list[tuple[bytes, bytes]]]:
    """Return the status, the minor version of HTTP/1 and the fields of a head.

    Raises:
        InvalidUpstreamResponse: the head is malformed.
    """
    shape = _HEAD(head)
    if shape is None:
        raise InvalidUpstreamResponse("the response is not HTTP/1.1 or HTTP/1.0")
    fields: list[tuple[bytes, bytes]] = _FIELDS(head, head.index(b"\r\n") + 2)
    if any(space in head for space in _SPACE_AT_END):
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    minor, status = shape.groups()
    return int(status), int(minor), fields


class HeadBytes:
    """Collects a head that arrives in several parts."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

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
