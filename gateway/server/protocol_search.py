"""Finds requests of protocols that llhttp reads as HTTP. Pure.

llhttp accepts RTSP and ICE, and reports their version as that of HTTP. So the bytes
around the bodies are searched; a body may hold a request of any protocol.
"""

import re
from collections.abc import Sequence
from typing import Final

from gateway.server.exchange import ParsedRequest

_FOREIGN: Final = re.compile(rb" (?:RTSP|ICE)/[0-9]\.[0-9]\r?\n").search
_KEPT: Final = 10
"""Bytes of the last read to keep: one less than the longest match of _FOREIGN."""
_HEAD_END: Final = re.compile(rb"\n\r?\n").search
_LENGTH: Final = re.compile(r"[0-9]{1,18}").fullmatch


class ProtocolSearch:
    """Searches the bytes of one connection, as they are received.

    found  one of them names another protocol; that stays so
    left   bytes of a body that are still to come, as far as that is known
    """

    __slots__ = ("_before", "found", "left")

    def __init__(self) -> None:
        self.found = False
        self._before = b""  # the last bytes outside of bodies
        self.left = 0

    def restart(self) -> None:
        """Begin between two requests: what came before was complete."""
        self._before, self.left = b"", 0

    def search(
        self,
        data: bytes,
        heads: Sequence[ParsedRequest],
        *,
        in_order: bool,
        in_chunks: bool,
    ) -> bool:
        """Search bytes that were parsed; return whether one of the heads may be foreign.

        Where it is not certain that bytes belong to a body, they are searched: what
        `found` says after that concerns the next heads.

        Args:
            data: the bytes.
            heads: the heads that end in them.
            in_order: all bytes before were parsed before, and the first of them outside
                of a body begins a head or goes on with it.
            in_chunks: all bytes after the heads are in a chunked body.
        """
        if self.left and data:
            skipped = min(self.left, len(data))
            self.left -= skipped
            self._before, data = b"", data[skipped:]
        if in_chunks and not heads:
            self._before = b""
            return False
        foreign = None
        if in_order and data and len(heads) == 1:
            # Empty lines before a head are ignored (RFC 9112, section 2.2).
            received = (self._before + data).lstrip(b"\r\n")
            end = _HEAD_END(received)
            if end is not None:
                self._search(received[: end.end()])
                foreign = self.found
                self._before, data = b"", received[end.end() :]
                if in_chunks:
                    return foreign
                length = _length_of(heads[0])
                self.left = max(0, length - len(data))
                data = data[length:]
        received = self._before + data
        self._search(received)
        # Behind an empty line something else begins.
        self._before = received[-_KEPT:].replace(b"\r\n", b"\n").rpartition(b"\n\n")[2]
        return self.found if foreign is None else foreign

    def _search(self, data: bytes) -> None:
        # Finding a few bytes takes a tenth of the time of the expression.
        if not self.found and (b"RTSP/" in data or b"ICE/" in data):
            self.found = _FOREIGN(data) is not None


def _length_of(head: ParsedRequest) -> int:
    """Return the length of the body that follows a head; 0 for chunks or none."""
    value = head.headers.get("Content-Length", "0")
    return int(value) if not head.chunked and _LENGTH(value) else 0
