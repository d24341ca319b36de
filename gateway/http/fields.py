"""Classify header fields in one pass: what is forwarded and what the gateway reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.http.headers import (
    CONTROLS,
    MEMO_NAME_BYTES,
    MEMO_NAMES,
    Field,
    is_clean_value,
    is_reserved,
    is_token,
)
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason


@dataclass(slots=True, kw_only=True)
class Fields:
    """The fields of one request, classified.

    kept      fields that may be forwarded
    values    the fields that the gateway reads, by lower-case name; the values of a
              repeated field are joined by ", " (RFC 9110, section 5.3)
    repeated  names that occurred more than once
    cookies   the Cookie values as received
    """

    kept: list[Field]
    values: dict[str, str]
    repeated: set[str]
    cookies: list[bytes]


def sort_fields(raw_headers: Sequence[Field]) -> Fields | BadRequest:
    """Classify the fields; BadRequest for an invalid name or value."""
    kept: list[Field] = []
    values: dict[str, str] = {}
    repeated: set[str] = set()
    cookies: list[bytes] = []
    kinds = _KINDS
    for field in raw_headers:
        name, value = field
        kind = kinds.get(name) or _learn(name)
        if kind is None:
            return _bad("a header name is not a token")
        keep, noted = kind
        if keep:
            kept.append(field)
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
    if not blob.isascii() and not all(
        is_clean_value(value) for _, value in raw_headers
    ):
        return _bad("a header value is not UTF-8")
    return Fields(kept=kept, values=values, repeated=repeated, cookies=cookies)


class _Kind(NamedTuple):
    keep: bool
    noted: str | None


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
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-request-id",
        "x-requested-with",
    )
)
_KINDS: Final[dict[bytes, _Kind]] = {}


def _learn(name: bytes) -> _Kind | None:
    """Classify a new name. Only the exact name is read; every variant of it is dropped."""
    if not is_token(name):
        return None
    lower = name.lower().decode("ascii")
    kind = _Kind(keep=not is_reserved(name), noted=lower if lower in _NOTED else None)
    if len(name) <= MEMO_NAME_BYTES:
        if len(_KINDS) >= MEMO_NAMES:
            _KINDS.clear()
        _KINDS[name] = kind
    return kind


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_HEADER, detail=detail)
