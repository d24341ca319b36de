"""Readers of record members; the first invalid member rejects the record."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson

from gateway.sessions.timestamps import parse_timestamp

MAX_ID_CHARS: Final = 255
# The format itself nests three deep. orjson gives up at 1024, and what it read
# must be written again, where its limit is 254.
MAX_RECORD_DEPTH: Final = 32

_T = TypeVar("_T")


class Refused(Exception):  # noqa: N818 - parse_record turns it into a value
    """A member of the record is not what the format says."""


class NotJson(Refused):
    """The bytes are not JSON at all."""


def parse_json(raw: bytes) -> Any:
    """Parse JSON (RFC 8259) that means one thing.

    Raises:
        Refused: it is not JSON, nests deeper than MAX_RECORD_DEPTH, or holds a key twice:
            parsers disagree about which of the two counts.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise NotJson("not JSON") from None
    if deeper_than(document, MAX_RECORD_DEPTH):
        raise Refused(f"nests deeper than {MAX_RECORD_DEPTH}")
    # For the keys alone: what the numbers say was read above.
    json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=_once,
        parse_int=_nothing,
        parse_float=_nothing,
    )
    return document


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        raise Refused("a key is there twice")


def _nothing(_text: str) -> None:
    return None


def read_object(value: object, where: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise Refused(f"{where}: not an object")
    return value


def read_text(value: object, where: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise Refused(f"{where}: not a string")
    return value


def read_name(value: object, where: str) -> str:
    """Return an identifier, valid as a header value, a claim and a part of a key."""
    text = read_text(value, where)
    if not 0 < len(text) <= MAX_ID_CHARS or not text.isprintable():
        raise Refused(f"{where}: empty, too long, or with control characters")
    return text


def read_label(value: object, where: str) -> str:
    """Return an identifier as `read_name`, or "": a membership without a role."""
    return "" if value == "" else read_name(value, where)


def read_bool(value: object, where: str) -> bool:
    """Return a boolean; a number is not one."""
    if not isinstance(value, bool):
        raise Refused(f"{where}: not true or false")
    return value


def read_time(value: object, where: str) -> float:
    """Return an RFC 3339 time in seconds since the epoch."""
    moment = parse_timestamp(read_text(value, where))
    if moment is None:
        raise Refused(f"{where}: not an RFC 3339 time")
    return moment


def time_or_none(value: object) -> float | None:
    """Return an RFC 3339 time in seconds since the epoch; None for anything else."""
    return parse_timestamp(value) if isinstance(value, str) else None


def optional(value: object, read: Callable[[object, str], _T], where: str) -> _T | None:
    """Return None if null or absent, otherwise the result of `read`."""
    return None if value is None else read(value, where)


def deeper_than(document: Any, limit: int) -> bool:
    """Return whether objects and lists nest more than `limit` levels deep."""
    level: list[Any] = [document] if isinstance(document, dict | list) else []
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
