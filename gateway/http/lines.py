"""Read the head of an ordinary request by its lines, each looked up whole in a memo.

Nearly every line of a request was received before, byte for byte. What a line means is
a value: whether it is forwarded, as which bytes, and what the gateway reads of it. A new
line is judged by the functions that judge every other field (gateway.http.fields).

`read_plain` knows the ordinary only: HTTP/1.1 with CRLF, one head that has arrived whole,
no folding, no upgrade, no chunks. For anything else it returns None, and the strict parser
reads the same bytes. It never refuses a request.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from gateway.http.fields import KINDS, Fields
from gateway.http.headers import Line, is_clean_value, line_of
from gateway.http.memo import Generations, Memo

_HEAD_END: Final = b"\r\n\r\n"
_MOST_LINES: Final = 64
_REQUEST_LINE: Final = re.compile(
    r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
    # The characters of RFC 3986 but "#", and no authority.
    r" (/(?!/)[!$-;=@-\[\]_a-z~]*(?:\?[!$-;=?-\[\]_a-z~]*)?)"
    r" HTTP/1\.1"
).fullmatch
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*"
    rb"([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)"
).fullmatch
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch

_STRICT: Final = (b"expect", b"sec-websocket-", b"transfer-encoding", b"upgrade")
"""Beginnings of the names whose meaning is not in their line alone."""
_ONCE: Final = frozenset(
    (
        b"content-location",
        b"content-range",
        b"content-type",
        b"etag",
        b"max-forwards",
        b"server",
    )
)
"""Names that aiohttp's parser accepts once only. Those that are read here count as well."""

_LINES: Final = 8192
_LINE_BYTES: Final = 1024
"""A line of a common length takes about 0.5 KiB, so both generations 8 MiB. Long lines,
of which up to four copies are kept, end a generation earlier (GENERATION_BYTES)."""


_BLOCKS_MOST: Final = 2048
_BLOCK_BYTES: Final = 2048
"""All field lines of a head together. A client that asks for one thing after the other
sends the same ones; its lines are looked up one by one otherwise."""

_HEADS_MOST: Final = 3072
_HEADS_BYTES: Final = 24 * 1024 * 1024
"""What one generation of heads takes, as `_kept_bytes` counts it."""

_DIFFERENT: Final = (b"\nx-request-id:", b"\ntraceparent:")
"""Fields that differ in each request: a block with them would never be found again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlainHead:
    """The head of an ordinary request.

    length  bytes of the body that follows
    size    bytes of the head
    kept    the same bytes give this object again: what follows from the head alone may
            be found by it
    """

    method: str
    target: str
    fields: Fields
    length: int
    size: int
    kept: bool


HeadKey: TypeAlias = tuple[PlainHead, str, bool]
"""The bytes of a head, by the object that stands for them; the peer; whether it uses TLS."""


def read_plain(data: bytes, longest: int) -> tuple[PlainHead, bytes] | None:
    """Return the head and the body of the one request that `data` consists of.

    None: the strict parser reads it. `longest` is the size limit of the head in bytes.
    """
    if data.endswith(_HEAD_END):
        # A head that was received before, as a whole: it is not searched for its end.
        head = _HEADS.get(data)
        if head is not None and head.length == 0 and head.size <= longest:
            return head, b""
    end = data.find(_HEAD_END)
    if not 0 < end <= longest:
        return None
    end += len(_HEAD_END)
    # Most requests have no body; then nothing is copied.
    raw, body = (data, b"") if end == len(data) else (data[:end], data[end:])
    head = _HEADS.get(raw) or _HEADS.find(raw) or _read(raw)
    if head is None or head.length != len(body):
        return None
    return head, body


def _read(raw: bytes) -> PlainHead | None:
    """Read a head, and keep it if its field lines were received before."""
    start = raw.find(b"\r\n")
    line = _REQUEST_LINES[raw[:start]]
    if line is None:
        return None
    block = raw[start : -len(_HEAD_END)]
    kept = _BLOCKS.remembers(block)
    fields = _BLOCKS[block]
    if fields is None:
        return None
    length = fields.values.get("content-length", "0")
    if _LENGTH(length) is None:
        return None
    method, target = line
    head = PlainHead(
        method=method,
        target=target,
        fields=fields,
        length=int(length),
        size=len(raw),
        kept=kept,
    )
    if kept:
        _HEADS.keep(raw, head, _kept_bytes(raw))
    return head


def _kept_bytes(raw: bytes) -> int:
    """Return about how many bytes are kept with a head.

    Its lines may be kept for it alone, each as several objects and up to five times.
    """
    return 1024 + 5 * len(raw) + 192 * raw.count(b"\r\n")


_HEADS: Final[Generations[bytes, PlainHead]] = Generations(_HEADS_MOST, _HEADS_BYTES)


def _read_request_line(line: bytes) -> tuple[str, str] | None:
    """Return method and target of an ordinary request line."""
    shape = _REQUEST_LINE(line.decode("latin-1"))
    return None if shape is None else (shape[1], shape[2])


_REQUEST_LINES: Final = Memo(_read_request_line, entries=4096, longest=256)


def _sort_block(block: bytes) -> Fields | None:
    """Classify the field lines of a head, each after its line end."""
    lines = block.split(b"\r\n")[1:]
    fields = sort_lines(lines) if len(lines) <= _MOST_LINES else None
    return None if fields is None or "host" not in fields.values else fields


def sort_lines(lines: Sequence[bytes]) -> Fields | None:
    """Classify field lines as `sort_fields` does; None unless all are ordinary."""
    kept: list[Line] = []
    values: dict[str, str] = {}
    cookies: list[bytes] = []
    meanings = _MEANINGS
    for raw in lines:
        meaning = meanings[raw]
        if meaning is None:
            return None
        line, noted, text, cookie = meaning
        if line is not None:
            kept.append(line)
        if noted is None:
            continue
        if noted in values:
            return None
        values[noted] = text
        if cookie is not None:
            cookies.append(cookie)
    return Fields(
        kept=tuple(kept),
        values=values,
        repeated=frozenset(),
        cookies=tuple(cookies),
    )


class _Meaning(NamedTuple):
    """What a line means.

    line    as it is forwarded; None if it is not
    noted   the name of a field that the gateway reads, or that comes once only
    text    its value
    cookie  its value, if it is a Cookie
    """

    line: Line | None
    noted: str | None = None
    text: str = ""
    cookie: bytes | None = None


def _meaning_of(raw: bytes) -> _Meaning | None:
    """Return the meaning of an ordinary field line; None for any other line."""
    shape = _FIELD(raw)
    if shape is None:
        return None
    name, value = shape.groups()
    lower = name.lower()
    kind = KINDS[name]
    if kind is None or lower.startswith(_STRICT):
        return None
    # Of ASCII the pattern takes only what is clean.
    if not value.isascii() and not is_clean_value(value):
        return None
    noted = lower.decode("ascii") if lower in _ONCE else kind.noted
    return _Meaning(
        line_of(name, value) if kind.keep else None,
        noted,
        "" if noted is None else value.decode("latin-1"),
        value if noted == "cookie" else None,
    )


_MEANINGS: Final = Memo(_meaning_of, entries=_LINES, longest=_LINE_BYTES)


def _size_of_block(block: bytes) -> int:
    folded = block.lower()
    if any(name in folded for name in _DIFFERENT):
        return _BLOCK_BYTES + 1
    # Its values are kept, too, so fewer blocks than lines are.
    return len(block) * 5 // 4


_BLOCKS: Final = Memo(
    _sort_block, entries=_BLOCKS_MOST, longest=_BLOCK_BYTES, size=_size_of_block
)
