"""Encodes responses to clients: status line, fields and framing. Pure.

The only module that sets a header on a response.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from gateway.http.response_fields import (
    CACHE,
    COOKIE,
    DATE,
    NOT_END_TO_END,
    RESERVED,
    ResponseField,
)
from gateway.pages.reply import Reply
from gateway.proxy.head import ResponseHead

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in HTTPStatus
}

_JUDGED: Final = COOKIE | RESERVED
"""Roles of fields that may be removed."""

CHUNKED: Final = -1
"""Unknown length, HTTP/1.1 client."""
UNTIL_CLOSE: Final = -2
"""Unknown length, HTTP/1.0 client."""
NO_BODY: Final = -3
"""A 204 or 304, or a response to HEAD without Content-Length."""
SWITCHING: Final = -4
"""A 101: the connection becomes a WebSocket (RFC 6455, section 4.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeaderFilter:
    """What is removed from every response of an upstream."""

    own_cookies: frozenset[bytes]
    """Cookie names that only the gateway may set."""


def build_response_head(
    head: ResponseHead,
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
        head: the upstream's, without the fields that its Connection names.
        rules: what else is removed.
        length: length of the body in bytes, or CHUNKED, UNTIL_CLOSE, NO_BODY or
            SWITCHING.
        keep_alive: whether the connection stays open.
        request_id: value of X-Request-Id.
        set_cookies: Set-Cookie values of the gateway.
        now: seconds since the epoch, for Date.
    """
    roles = head.roles
    if length >= 0 and not set_cookies and not roles & _JUDGED:
        # As below, for most responses.
        start = head.start
        if start is None:
            start = head.start = _status_line(head.status) + head.relayed()
        if not roles & DATE:
            start += _date_line(int(now))
        end = "" if keep_alive else "Connection: close\r\n"
        rest = f"X-Request-Id: {request_id}\r\nContent-Length: {length}\r\n{end}\r\n"
        return start + rest.encode("ascii")
    lines = [_status_line(head.status)]
    if set_cookies or roles & _JUDGED:
        fields: Iterable[ResponseField]
        fields = [field for field in head.fields if not _is_ours(field, rules)]
        if set_cookies:
            fields = _unshared(fields)
        lines += [field.wire for field in fields if not field.role & NOT_END_TO_END]
    else:
        lines.append(head.relayed())
    if not roles & DATE:
        # RFC 9110, section 6.6.1: a recipient with a clock adds a missing Date.
        lines.append(_date_line(int(now)))
    return _finish(lines, length, keep_alive, request_id, set_cookies)


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def removed_cookies(head: ResponseHead, rules: ResponseHeaderFilter) -> set[str]:
    """Return the names of the cookies that the upstream sets and that are removed."""
    return {
        _cookie_name(field).decode("ascii", "replace")
        for field in head.fields
        if field.role == COOKIE and _is_ours(field, rules)
    }


def _is_ours(field: ResponseField, rules: ResponseHeaderFilter) -> bool:
    if field.role != COOKIE:
        return field.role == RESERVED
    return _cookie_name(field) in rules.own_cookies


def _cookie_name(field: ResponseField) -> bytes:
    # A browser keeps "=a=b" as a cookie without a name, and sends "a=b"
    # (RFC 6265bis, sections 5.6 and 5.8.3).
    return field.value.lstrip(b" \t=").partition(b"=")[0].strip()


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
    fields = "".join([f"{name}: {value}\r\n" for name, value in reply.headers])
    lines.append(fields.encode("latin-1"))
    lines.append(_date_line(int(now)))
    length = NO_BODY if reply.status in {204, 304} else len(reply.body)
    head = _finish(lines, length, keep_alive, request_id, set_cookies)
    return head if head_only or length == NO_BODY else head + reply.body


def _unshared(fields: Iterable[ResponseField]) -> list[ResponseField]:
    """Return the fields with `Cache-Control: private`: a cookie of one user is added.

    Set-Cookie alone does not prevent caching (RFC 9111, section 7.3).
    """
    kept, directives = [], [b"private"]
    for field in fields:
        if field.role != CACHE:
            kept.append(field)
        elif field.folded == b"cache-control":
            given = [each.strip() for each in field.value.split(b",")]
            directives = given + directives
    private = [each for each in directives if not each.lower().startswith(_SHARED)]
    return [*kept, ResponseField(b"Cache-Control", b", ".join(filter(None, private)))]


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
    if set_cookies:
        lines += [b"Set-Cookie: %b\r\n" % each.encode("ascii") for each in set_cookies]
    lines.append(b"X-Request-Id: %b\r\n" % request_id.encode("ascii"))
    if length >= 0:
        lines.append(b"Content-Length: %d\r\n" % length)
    elif length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif length == SWITCHING:
        lines.append(b"Upgrade: websocket\r\nConnection: Upgrade\r\n")
    if not keep_alive:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
