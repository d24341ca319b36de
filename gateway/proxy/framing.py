"""The framing of a response: body length, persistence and end-to-end fields. Pure.

The grammar of the fields was checked before (RFC 9110 section 5); this module
implements RFC 9112 section 6.3.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from gateway.errors import InvalidUpstreamResponse

MAX_FIELDS = 200
_LONGEST_NUMBER = 18  # digits: below 2**63
_NO_OPTIONS: frozenset[bytes] = frozenset()
_NO_CONTENT = 204
_BODILESS = frozenset({_NO_CONTENT, 304})


class BodyKind(Enum):
    """How the end of a body is determined (RFC 9112 section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class Framing(NamedTuple):
    """The framing of a response, and the fields that may be forwarded."""

    kind: BodyKind
    content_length: int | None
    keep_alive: bool
    keep_alive_seconds: int | None
    end_to_end: list[tuple[bytes, bytes]]


# RFC 9110 section 7.6.1, and RFC 2616 section 13.5.1 where still in use.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_KNOWN_OPTIONS = HOP_BY_HOP | {b"close"}
_FRAMING_OR_HOP = HOP_BY_HOP | {b"content-length"}


def read_framing(
    *, method: str, status: int, minor: int, fields: Sequence[tuple[bytes, bytes]]
) -> Framing:
    """Return the framing of a response to `method` in HTTP/1.`minor`.

    Raises:
        InvalidUpstreamResponse: the end of the response is ambiguous.
    """
    if len(fields) > MAX_FIELDS:
        raise InvalidUpstreamResponse(f"more than {MAX_FIELDS} header fields")
    end_to_end: list[tuple[bytes, bytes]] = []
    ours: dict[bytes, list[bytes]] = {}  # not forwarded, but interpreted here
    for field in fields:
        name = field[0].lower()
        if name in _FRAMING_OR_HOP:
            ours.setdefault(name, []).append(field[1])
        else:
            end_to_end.append(field)
    length = _length_of(ours.get(b"content-length"))
    chunked = _is_chunked(ours.get(b"transfer-encoding"))
    if chunked and (length is not None or minor == 0):
        # RFC 9112 section 6.1: the message framing is faulty.
        raise InvalidUpstreamResponse(
            "Transfer-Encoding with Content-Length or in HTTP/1.0"
        )
    options = connection_options(ours.get(b"connection"))
    keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    if options and (named := options - _KNOWN_OPTIONS):
        end_to_end = [field for field in end_to_end if field[0].lower() not in named]
    # RFC 9112 section 6.3, rules 1, 4, 6 and 8; rule 3 was rejected above.
    if method == "HEAD" or status in _BODILESS:
        kind = BodyKind.NONE
        length = None if status == _NO_CONTENT else length  # RFC 9110 section 8.6
    elif chunked:
        kind = BodyKind.CHUNKED
    elif length is None:
        kind, keep_alive = BodyKind.UNTIL_CLOSE, False
    else:
        kind = BodyKind.LENGTH
    return Framing(
        kind, length, keep_alive, _seconds_in(ours.get(b"keep-alive")), end_to_end
    )


def connection_options(values: Sequence[bytes] | None) -> frozenset[bytes]:
    """Return the options of all Connection fields, in lower case."""
    return _options_of(b",".join(values)) if values else _NO_OPTIONS


@lru_cache(maxsize=64)  # an upstream repeats the same value
def _options_of(value: bytes) -> frozenset[bytes]:
    parts = (part.strip(b" \t") for part in value.lower().split(b","))
    return frozenset(part for part in parts if part)


def _length_of(values: list[bytes] | None) -> int | None:
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidUpstreamResponse("more than one Content-Length")
    value = values[0]
    if not _is_number(value):
        raise InvalidUpstreamResponse("invalid Content-Length")
    return int(value)


def _is_chunked(values: list[bytes] | None) -> bool:
    # The gateway sends no TE, so chunked is the only coding allowed, and only once
    # (RFC 9112 section 6.1).
    if values is None:
        return False
    if len(values) > 1 or values[0].lower() != b"chunked":
        raise InvalidUpstreamResponse("Transfer-Encoding is not chunked")
    return True


def _seconds_in(values: Sequence[bytes] | None) -> int | None:
    """Return the seconds of `timeout=5` in Keep-Alive, as Node and Apache send it."""
    for value in values or ():
        for part in value.lower().split(b","):
            name, _, number = part.strip(b" \t").partition(b"=")
            if name == b"timeout" and _is_number(number):
                return int(number)
    return None


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= _LONGEST_NUMBER
