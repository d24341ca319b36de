"""The answer as the client will see it: head lines, framing, our own fields.

The only place that sets a header on an answer. Pure: bytes out of values.
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
"""The length is not known and the client speaks HTTP/1.1."""
UNTIL_CLOSE: Final = -2
"""The length is not known and the client speaks HTTP/1.0."""
NO_BODY: Final = -3
"""A 1xx, 204 or 304, or an answer to HEAD whose length nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeaderFilter:
    """What the gateway takes off every upstream's answer."""

    own_cookies: frozenset[bytes]
    """Cookie names that only the gateway sets."""


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
    """Write the head of an upstream's answer for the client.

    `headers` are the end-to-end fields; `length` is the body's length in bytes or
    one of CHUNKED, UNTIL_CLOSE, NO_BODY. The upstream's reason phrase is never
    used: it could hold anything (RFC 9112, section 4, lets us ignore it).
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
            if kind is _OURS or (kind is _COOKIE and _sets_own(value, rules)):
                continue
            dated = dated or kind is _DATE
        lines += (name, b": ", value, b"\r\n")
    if not dated:
        # RFC 9110, section 6.6.1: who has a clock appends the missing Date.
        lines.append(_date_line(int(now)))
    return _finish(lines, length, keep_alive, request_id, set_cookies)


# What a field of an upstream is to us. Upstreams choose names: what is remembered of
# them is bounded.
_PLAIN, _COOKIE, _OURS, _DATE = "plain", "cookie", "ours", "date"
_KINDS: Final[dict[bytes, str]] = {}


def _learn(name: bytes) -> str:
    lowered = name.lower()
    kind = _OURS if lowered.startswith(b"x-gateway-") else _NAMED.get(lowered, _PLAIN)
    if len(name) <= MEMO_NAME_BYTES:
        if len(_KINDS) >= MEMO_NAMES:
            _KINDS.clear()
        _KINDS[name] = kind
    return kind


_NAMED: Final = {b"set-cookie": _COOKIE, b"x-request-id": _OURS, b"date": _DATE}


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
    """Write one of our own replies, head and body, ready to be sent."""
    lines = [_STATUS_LINES[reply.status]]
    lines += (f"{name}: {value}\r\n".encode("latin-1") for name, value in reply.headers)
    lines.append(_date_line(int(now)))
    length = NO_BODY if reply.status in {204, 304} else len(reply.body)
    head = _finish(lines, length, keep_alive, request_id, set_cookies)
    return head if head_only or length == NO_BODY else head + reply.body


def _unshared(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keep an answer out of shared caches: it is to carry a cookie of one person.

    Set-Cookie alone keeps it out of none (RFC 9111, section 7.3), and who wrote
    "public" did not know of ours.
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


# RFC 9213, and what its forerunners call the same.
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
