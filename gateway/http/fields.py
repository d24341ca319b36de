"""Classify header fields in one pass: what is forwarded and what the gateway reads."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.http.headers import (
    CONTROLS,
    MEMO_NAME_BYTES,
    MEMO_NAMES,
    Field,
    Line,
    is_clean_value,
    is_reserved,
    is_strict,
    is_token,
    line_of,
)
from gateway.http.memo import Memo
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of one request, classified; never changed, for requests may share it.

    kept      fields that may be forwarded
    values    the fields that the gateway reads, by lower-case name; the values of a
              repeated field are joined by ", " (RFC 9110, section 5.3)
    repeated  names that occurred more than once
    cookies   the Cookie values as received
    """

    kept: tuple[Line, ...]
    values: Mapping[str, str]
    repeated: AbstractSet[str]
    cookies: tuple[bytes, ...]


class Kind(NamedTuple):
    """What becomes of the fields of a name: forwarded if `keep`, read as `noted`."""

    keep: bool
    noted: str | None


def sort_fields(raw_headers: Sequence[Field]) -> Fields | BadRequest:
    """Classify the fields; BadRequest for an invalid name or value."""
    kept: list[Line] = []
    values: dict[str, str] = {}
    repeated: set[str] = set()
    cookies: list[bytes] = []
    for name, value in raw_headers:
        kind = KINDS[name]
        if kind is None:
            return _bad("a header name is not a token")
        keep, noted = kind
        if keep:
            kept.append(line_of(name, value))
        if noted is None:
            continue
        if noted == "cookie":
            cookies.append(value)
            continue
        text = value.strip(b" \t").decode("latin-1")
        if noted in values:
            repeated.add(noted)
            text = f"{values[noted]}, {text}"
        values[noted] = text
    blob = b"".join([value for _, value in raw_headers])
    if len(blob.translate(None, CONTROLS)) != len(blob):
        return _bad("a header value has a control character")
    if not blob.isascii() and any(
        is_strict(name) and not is_clean_value(value) for name, value in raw_headers
    ):
        return _bad("a header value of the gateway or of a proxy is not UTF-8")
    return Fields(
        kept=tuple(kept), values=values, repeated=repeated, cookies=tuple(cookies)
    )


_NOTED: Final = frozenset(
    (
        "accept",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "origin",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        # What describes the request that another proxy asks about (gateway.authz).
        "x-forwarded-method",
        "x-forwarded-scheme",
        "x-forwarded-uri",
        "x-original-host",
        "x-original-method",
        "x-original-proto",
        "x-original-scheme",
        "x-original-uri",
        "x-original-url",
        "x-request-id",
        "x-requested-with",
    )
)


def _kind_of(name: bytes) -> Kind | None:
    """Classify a name. Only the exact name is read; every variant of it is dropped."""
    if not is_token(name):
        return None
    lower = name.lower().decode("ascii")
    return Kind(keep=not is_reserved(name), noted=lower if lower in _NOTED else None)


KINDS: Final = Memo(_kind_of, entries=MEMO_NAMES, longest=MEMO_NAME_BYTES)
"""The kind of each name; None if it is not a token."""


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_HEADER, detail=detail)
