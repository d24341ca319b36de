"""The head of an upstream's answer, as bytes and as what it says. Pure.

One expression is the whole grammar (RFC 9112 sections 4 and 5): lines end with CRLF,
names are tokens, values hold no controls, nothing is folded. What does not fit is no
answer; nothing is mended.
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
    """Read a whole head: the status, the minor version of HTTP/1, the fields.

    Raises:
        InvalidUpstreamResponse: it is not one.
    """
    shape = _HEAD(head)
    if shape is None:
        raise InvalidUpstreamResponse("the answer is not HTTP/1.1 or HTTP/1.0")
    fields: list[tuple[bytes, bytes]] = _FIELDS(head, head.index(b"\r\n") + 2)
    if any(space in head for space in _SPACE_AT_END):
        fields = [(name, value.rstrip(b" \t")) for name, value in fields]
    minor, status = shape.groups()
    return int(status), int(minor), fields


class HeadBytes:
    """Collects a head that does not come at once."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Give a head and what follows it, or None while its end has not come.

        Raises:
            InvalidUpstreamResponse: it has too many bytes.
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
                f"the head of the answer is over {MAX_HEAD_BYTES} bytes"
            )
        if end < 0:
            return None
        whole = bytes(held)
        self._held = bytearray()
        return whole[:size], whole[size:]
