"""Collects and parses the head of a response. Pure.

The grammar is that of RFC 9112, sections 4 and 5. Of what nginx, HAProxy and Go take
beyond it, that is accepted which has one reading; `loose_head` normalizes it. The table
is in docs/upstreams.md. A head that cannot become valid is rejected before its end.
"""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from gateway.errors import InvalidUpstreamResponse
from gateway.http.memo import Memo
from gateway.http.response_fields import (
    FIELDS,
    NOT_END_TO_END,
    ResponseField,
    forwarded,
)

if TYPE_CHECKING:
    from gateway.proxy.framing import Framing

MAX_HEAD_BYTES: Final = 96 * 1024
"""A sign-in header of 64 KiB, and the rest."""
MAX_FIELDS: Final = 200
MAX_INTERIM: Final = 100
HEAD_END: Final = b"\r\n\r\n"
SWITCHING: Final = 101
_FIRST_FINAL: Final = 200

# Any version but 1.0 is read as 1.1: apps write "HTTP/2.0" by themselves. The reason is
# not forwarded, so it may hold any bytes.
_STATUS_LINE: Final = re.compile(
    rb"HTTP/([12]\.[0-9]) ++([1-9][0-9]{2})(?: [^\0\r\n]*+)?+"
).fullmatch
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n").search
_HOPELESS: Final = re.compile(rb"\0|\r(?![\n]|\Z)").search
_START: Final = b"HTTP/"


class ResponseHead:
    """The head of a response; never changed, for responses may share it.

    minor    the minor version of HTTP/1
    fields   in the order in which they were received
    noted    those of them that have a role
    roles    the roles of all fields, joined by "|"
    kept     responses share it
    framing  if it is kept, what `read_framing` returns for it, except after HEAD; None
             at first. It refers to the head, so each other head would be a cycle.
    start    the status line and `relayed` as the server sends them; None at first
    """

    __slots__ = (
        "_relayed",
        "fields",
        "framing",
        "kept",
        "minor",
        "noted",
        "roles",
        "start",
        "status",
    )

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
        self.kept = False
        self.framing: Framing | None = None
        self.start: bytes | None = None
        self._relayed: bytes | None = None

    def relayed(self) -> bytes:
        """Return the lines that end neither at the gateway nor are of its own."""
        lines = self._relayed
        if lines is None:
            kept = [each.wire for each in self.fields if not each.role & NOT_END_TO_END]
            lines = self._relayed = b"".join(kept)
        return lines

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
    return _HEADS[head]


def _read(head: bytes) -> ResponseHead:
    if not head.endswith(HEAD_END):
        raise InvalidUpstreamResponse(_NOT_HTTP)
    first, *lines = head[: -len(HEAD_END)].split(b"\r\n")
    if len(lines) > MAX_FIELDS:
        raise InvalidUpstreamResponse(f"more than {MAX_FIELDS} header fields")
    status, minor = _STATUS_LINES[first]
    known = FIELDS
    found = ResponseHead(status, minor, [known[line] for line in lines])
    found.kept = _size(head) <= _LONGEST
    return found


def loose_head(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """Parse a head whose lines may end with LF and may be folded.

    A fold becomes a space (RFC 9112, section 5.2). Returns the head and the bytes after
    it, or None if there is no empty line.

    Raises:
        InvalidUpstreamResponse: as `read_response_head`; or a field is folded that ends
            at the gateway.
    """
    end = _EMPTY_LINE(data)
    if end is None:
        return None
    first, *rest = _lines(data[: end.start() + 1])
    status, minor = _STATUS_LINES[first]
    lines: list[bytes] = []
    folded: set[int] = set()
    for line in rest:
        if not line.startswith(_FOLD):
            lines.append(line)
        elif lines:
            folded.add(len(lines) - 1)
            lines[-1] = lines[-1].rstrip(b" \t") + b" " + line.strip(b" \t")
        else:
            raise InvalidUpstreamResponse("the first header line is folded")
    if len(lines) > MAX_FIELDS:
        raise InvalidUpstreamResponse(f"more than {MAX_FIELDS} header fields")
    fields = [FIELDS[line] for line in lines]
    for number in folded:
        forwarded(fields[number])
    return ResponseHead(status, minor, fields), data[end.end() :]


_FOLD: Final = (b" ", b"\t")


def _lines(complete: bytes) -> list[bytes]:
    return complete.replace(b"\r\n", b"\n").split(b"\n")[:-1]


def _read_status_line(line: bytes) -> tuple[int, int]:
    found = _STATUS_LINE(line)
    if found is None:
        raise InvalidUpstreamResponse(_NOT_HTTP)
    return int(found[2]), 0 if found[1] == b"1.0" else 1


_STATUS_LINES: Final = Memo(_read_status_line, entries=64, longest=64)

_LONGEST: Final = 1024
# Secret, and different in each response: they would drive out all others.
_NOT_KEPT: Final = (b"\nset-cookie", b"\nx-gateway-")


def _size(head: bytes) -> int:
    folded = head.lower()
    return _LONGEST + 1 if any(name in folded for name in _NOT_KEPT) else len(head)


_HEADS: Final = Memo(_read, entries=1024, longest=_LONGEST, size=_size)
"""Heads by their bytes: those of one second and one page are often the same."""
_NOT_HTTP: Final = "the response is not HTTP/1.1 or HTTP/1.0"


class HeadBytes:
    """Collects the heads of one connection, which may arrive in several parts."""

    __slots__ = ("_checked", "_held", "_interim")

    def __init__(self) -> None:
        self._held = bytearray()
        self._checked = 0  # bytes of them, in lines that are valid
        self._interim = 0  # 1xx responses before the final one

    def final_head(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Return the next final head and the bytes after it; None while it is incomplete.

        RFC 9110, section 15.2: a client parses 1xx responses and may ignore them. The
        gateway handles Expect itself and does not relay 103.

        Raises:
            InvalidUpstreamResponse: a head is malformed or too large, or there are more
                than `MAX_INTERIM` interim responses.
        """
        if not self._held:
            end = data.find(HEAD_END) + len(HEAD_END)
            # Only heads that were read before are found.
            head = _HEADS.get(data[:end])
            if head is not None and head.status >= _FIRST_FINAL:
                self._interim = 0
                return head, data[end:]
        while data:
            found = self._next(data)
            if found is None:
                return None
            head, data = found
            if head.status >= _FIRST_FINAL or head.status == SWITCHING:
                self._interim = 0
                return head, data
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise InvalidUpstreamResponse("too many interim responses")
        return None

    def _next(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Return the next head and the bytes after it; None while it is incomplete."""
        if not self._held:
            end = data.find(HEAD_END)
            if 0 <= end <= MAX_HEAD_BYTES - len(HEAD_END):
                end += len(HEAD_END)
                try:
                    return read_response_head(data[:end]), data[end:]
                except InvalidUpstreamResponse:
                    pass  # read again below
        return self._collect(data)

    def _collect(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        held = self._held
        searched = max(0, len(held) - len(HEAD_END))
        held += data
        end = _EMPTY_LINE(held, searched)
        if (len(held) if end is None else end.end()) > MAX_HEAD_BYTES:
            raise InvalidUpstreamResponse(
                f"the head of the response exceeds {MAX_HEAD_BYTES} bytes"
            )
        if end is None:
            self._check(searched)
            return None
        self._held = bytearray()
        self._checked = 0
        return loose_head(bytes(held))

    def _check(self, new: int) -> None:
        """Reject a head that no further bytes can complete, without waiting for them.

        `new` is where the bytes begin that were not checked yet.
        """
        held, begin = self._held, self._checked
        if not _START.startswith(held[: len(_START)]):
            raise InvalidUpstreamResponse(_NOT_HTTP)
        if _HOPELESS(held, new) is not None:
            raise InvalidUpstreamResponse("the head holds a NUL, or a CR within a line")
        end = held.rfind(b"\n", max(begin, new)) + 1
        if not end:
            return
        self._checked = end
        lines = _lines(bytes(held[begin:end]))
        if begin == 0:
            _STATUS_LINES[lines.pop(0)]
        for line in lines:
            if not line.startswith(_FOLD):
                FIELDS[line]
