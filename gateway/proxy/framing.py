"""The framing of a response: body length, persistence and end-to-end fields. Pure.

The grammar of the fields was checked before (RFC 9110 section 5); this module
implements RFC 9112 section 6.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from gateway.errors import InvalidUpstreamResponse
from gateway.http.response_fields import (
    CODING,
    KEEP_ALIVE,
    LENGTH,
    OPTIONS,
    ResponseField,
)
from gateway.proxy.head import ResponseHead

_LONGEST_NUMBER = 18  # digits: below 2**63
_NO_OPTIONS: frozenset[bytes] = frozenset()
_LIFETIME = frozenset({b"close", b"keep-alive"})  # options that name no field
FIRST_FINAL, FIRST_ERROR, FIRST_SERVER_ERROR = 200, 400, 500
_NO_CONTENT = 204
_BODILESS = frozenset({_NO_CONTENT, 304})


class BodyKind(Enum):
    """How the end of a body is determined (RFC 9112 section 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


# Looking up an enum member is slow (CPython 3.11), and this is the hot path.
NO_BODY, BY_LENGTH, BY_CHUNKS, UNTIL_CLOSE = BodyKind


@dataclass(frozen=True, slots=True)
class Framing:
    """The framing of a response.

    body_bytes  the length of the body, 0 if there is none; None: unknown before its end
    end_to_end  the head without the fields that Connection names
    ordinary    the server has not failed, the length is known, and the connection stays
                open for as long as the client wants
    """

    kind: BodyKind
    content_length: int | None
    keep_alive: bool
    keep_alive_seconds: int | None
    end_to_end: ResponseHead
    body_bytes: int | None
    ordinary: bool


def read_framing(method: str, head: ResponseHead) -> Framing:
    """Return the framing of a response to `method`.

    Raises:
        InvalidUpstreamResponse: the end of the response is ambiguous.
    """
    if method == "HEAD":
        return _read_framing(head, head_only=True)
    found = head.framing
    if found is None:
        found = _read_framing(head, head_only=False)
        if head.kept:
            head.framing = found
    return found


def _read_framing(head: ResponseHead, *, head_only: bool) -> Framing:
    length, chunked, options, seconds = _framing_fields(head.noted)
    status, minor = head.status, head.minor
    if chunked and minor == 0:
        # RFC 9112 section 6.1: the message framing is faulty.
        raise InvalidUpstreamResponse("Transfer-Encoding in HTTP/1.0")
    keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    if chunked and length is not None:
        # RFC 9112 section 6.3, rule 3: chunks decide, and the length is removed. The
        # connection is not used again: the upstream may count by the length.
        length, keep_alive = None, False
    if not options <= _LIFETIME:
        head = head.without(options)
    # RFC 9112 section 6.3, rules 1, 4, 6 and 8.
    if head_only or status in _BODILESS:
        kind = NO_BODY
        if status == _NO_CONTENT:
            # RFC 9110 section 8.6, and RFC 9112 section 6.1: it has neither field. A
            # server that sends one may send content, which would be read as the next
            # response.
            keep_alive = keep_alive and not chunked and not length
            length = None
    elif chunked:
        kind = BY_CHUNKS
    elif length is None:
        kind, keep_alive = UNTIL_CLOSE, False
    else:
        kind = BY_LENGTH
    body_bytes = 0 if kind is NO_BODY else length
    ordinary = (
        FIRST_FINAL <= status < FIRST_SERVER_ERROR
        and body_bytes is not None
        and keep_alive
        and seconds is None
    )
    return Framing(kind, length, keep_alive, seconds, head, body_bytes, ordinary)


def _framing_fields(
    fields: Sequence[ResponseField],
) -> tuple[int | None, bool, frozenset[bytes], int | None]:
    """Return the length, whether chunks follow, the options and the idle timeout."""
    length: int | None = None
    chunked = False
    options, seconds = _NO_OPTIONS, None
    for field in fields:
        role = field.role
        if role == LENGTH:
            found = _number_in(field.value)
            if found is None:
                raise InvalidUpstreamResponse("invalid Content-Length")
            if length is not None and found != length:
                raise InvalidUpstreamResponse("two different Content-Length")
            length = found
        elif role == OPTIONS:
            named = connection_options(field.value)
            options = options | named if options else named
        elif role == CODING:
            # The gateway sends no TE, so chunked is the only coding allowed, and only
            # once (RFC 9112 section 6.1).
            if chunked or field.value.lower() != b"chunked":
                raise InvalidUpstreamResponse("Transfer-Encoding is not chunked")
            chunked = True
        elif role == KEEP_ALIVE and seconds is None:
            seconds = _seconds_in(field.value)
    return length, chunked, options, seconds


@lru_cache(maxsize=64)  # an upstream repeats the same value
def connection_options(value: bytes) -> frozenset[bytes]:
    """Return the options of a Connection field, in lower case."""
    parts = (part.strip(b" \t") for part in value.lower().split(b","))
    return frozenset(part for part in parts if part)


def _seconds_in(value: bytes) -> int | None:
    """Return the seconds of `timeout=5` in Keep-Alive, as Node and Apache send it."""
    for part in value.lower().split(b","):
        name, _, number = part.strip(b" \t").partition(b"=")
        if name == b"timeout" and (seconds := _number_in(number)) is not None:
            return seconds
    return None


def _number_in(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) <= _LONGEST_NUMBER else None
