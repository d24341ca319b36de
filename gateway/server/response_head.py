"""Encodes responses to clients: status line, fields and framing. Pure.

The only module that sets a header on a response.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gateway.http.headers import MEMO_NAME_BYTES, MEMO_NAMES
from gateway.pages.reply import Reply

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in HTTPStatus
}

CHUNKED: Final = -1
"""Unknown length, HTTP/1.1 client."""
UNTIL_CLOSE: Final = -2
"""Unknown length, HTTP/1.0 client."""
NO_BODY: Final = -3
"""A 1xx, 204 or 304, or a response to HEAD without Content-Length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeaderFilter:
    """What is removed from every response of an upstream."""

    own_cookies: frozenset[bytes]
    """Cookie names that only the gateway may set."""


def build_response_head(
    *,
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    rules: ResponseHeaderFilter,
    length: int,
    keep_alive: bool,
    request_id: str,
    set_cookies: Sequence[str],
    now: float,
) -> bytes:
    """Return the head of a relayed response, encoded.

    The upstream's reason phrase is not relayed (RFC 9112, section 4, allows that).

    Args:
        status: status code of the upstream.
        headers: its end-to-end fields.
        rules: what is removed from them.
        length: length of the body in bytes, or CHUNKED, UNTIL_CLOSE or NO_BODY.
        keep_alive: whether the connection stays open.
        request_id: value of X-Request-Id.
        set_cookies: Set-Cookie values of the gateway.
        now: seconds since the epoch, for Date.
    """
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    dated = False
    if set_cookies:
        headers = _unshared(headers)
    kinds = _KINDS
    for name, value in headers:
        kind = kinds.get(name)
        if kind is None:
            kind = _learn(name)
        if kind is not _PLAIN:
            if kind is _RESERVED or (kind is _COOKIE and _sets_own(value, rules)):
                continue
            dated = dated or kind is _DATE
        lines += (name, b": ", value, b"\r\n")
    if not dated:
        # RFC 9110, section 6.6.1: a recipient with a clock adds a missing Date.
        lines.append(_date_line(int(now)))
    return _finish(lines, length, keep_alive, request_id, set_cookies)


# Kinds of response fields. Upstreams choose names, so the memo is bounded.
_PLAIN, _COOKIE, _RESERVED, _DATE = "plain", "cookie", "reserved", "date"
_KINDS: Final[dict[bytes, str]] = {}


def _learn(name: bytes) -> str:
    lowered = name.lower()
    kind = (
        _RESERVED if lowered.startswith(b"x-gateway-") else _NAMED.get(lowered, _PLAIN)
    )
    if len(name) <= MEMO_NAME_BYTES:
        if len(_KINDS) >= MEMO_NAMES:
            _KINDS.clear()
        _KINDS[name] = kind
    return kind


_NAMED: Final = {b"set-cookie": _COOKIE, b"x-request-id": _RESERVED, b"date": _DATE}


def _sets_own(value: bytes, rules: ResponseHeaderFilter) -> bool:
    # A browser keeps "=a=b" as a cookie without a name, and sends "a=b"
    # (RFC 6265bis, sections 5.6 and 5.8.3).
    return value.lstrip(b" \t=").partition(b"=")[0].strip() in rules.own_cookies


def encode_local_response(
    reply: Reply,
    *,
    head_only: bool,
    keep_alive: bool,
    request_id: str,
    set_cookies: Sequence[str],
    now: float,
) -> bytes:
    """Return a response of the gateway, head and body, encoded."""
    lines = [_STATUS_LINES[reply.status]]
    lines += (f"{name}: {value}\r\n".encode("latin-1") for name, value in reply.headers)
    lines.append(_date_line(int(now)))
    length = NO_BODY if reply.status in {204, 304} else len(reply.body)
    head = _finish(lines, length, keep_alive, request_id, set_cookies)
    return head if head_only or length == NO_BODY else head + reply.body


def _unshared(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields with `Cache-Control: private`: a cookie of one user is added.

    Set-Cookie alone does not prevent caching (RFC 9111, section 7.3).
    """
    kept, directives = [], [b"private"]
    for field in headers:
        name = field[0].lower()
        if name == b"cache-control":
            directives = [each.strip() for each in field[1].split(b",")] + directives
        elif name not in _FOR_SHARED_CACHES:
            kept.append(field)
    private = [each for each in directives if not each.lower().startswith(_SHARED)]
    return [*kept, (b"Cache-Control", b", ".join(filter(None, private)))]


# RFC 9213 and its predecessors.
_FOR_SHARED_CACHES: Final = frozenset((b"cdn-cache-control", b"surrogate-control"))
_SHARED: Final = (b"public", b"s-maxage")


@lru_cache(maxsize=2)
def _date_line(second: int) -> bytes:
    return b"Date: %s\r\n" % formatdate(second, usegmt=True).encode("ascii")


def _finish(
    lines: list[bytes],
    length: int,
    keep_alive: bool,
    request_id: str,
    set_cookies: Sequence[str],
) -> bytes:
    lines.extend(b"Set-Cookie: %s\r\n" % each.encode("ascii") for each in set_cookies)
    lines.append(b"X-Request-Id: %s\r\n" % request_id.encode("ascii"))
    if length >= 0:
        lines.append(b"Content-Length: %d\r\n" % length)
    elif length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
