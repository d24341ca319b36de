"""Decode stored bytes: the format is detected by the first bytes, parsed strictly.

What a value is follows from its first bytes, never from trying one reader after
the other: a lenient msgpack reader takes any pickle for an empty map, and a
library that falls back to pickle runs what it finds. Nothing is raised but
Unreadable, and nothing grows beyond the limit that the profile sets.
"""

import json
import zlib
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import orjson

from gateway.sessions.formats.pickle_reader import OPAQUE, BadPickle, read_pickle
from gateway.sessions.members import deeper_than

# Sessions nest a handful deep; the readers below give up at about a thousand.
MAX_DEPTH: Final = 64
# msgpack's reader makes room for a list when it reads its length. A thousand lists
# in one another, each said to be this long, take some 8 MiB for a moment.
MAX_MEMBERS: Final = 1024


class Codec(StrEnum):
    """How a value is written."""

    JSON = "json"
    MSGPACK = "msgpack"
    PICKLE = "pickle"


class Unreadable(ValueError):  # noqa: N818 - the engine turns it into a value
    """The value cannot be read. The message states why, and never quotes it."""


def decode(raw: bytes, codecs: Collection[Codec], limit: int) -> dict[str, Any]:
    """Read a stored value of at most `limit` bytes, compressed or not.

    Raises:
        Unreadable: it is too large, written in another way than those allowed,
            broken, ambiguous, or not a mapping.
    """
    _check_size(raw, limit)
    if raw[:1] == b"\x78" or raw[:2] == b"\x1f\x8b":
        raw = _inflated(raw, limit)
    codec = _codec_of(raw)
    if codec not in codecs:
        raise Unreadable(_NOT_ALLOWED[codec])
    try:
        document = _READERS[codec](raw)
    except Unreadable:
        raise
    except (ValueError, RecursionError):  # two readers of JSON disagree, or no C
        raise Unreadable(f"not strict {codec}") from None
    if not isinstance(document, dict):
        raise Unreadable("not a mapping")
    return document


def _check_size(raw: bytes, limit: int) -> None:
    if len(raw) > limit:
        raise Unreadable(f"larger than {limit} bytes")


def _inflated(raw: bytes, limit: int) -> bytes:
    # 260 KB of zlib have been seen to hold 256 MiB: ask for no more than is wanted.
    reader = zlib.decompressobj(wbits=15 + 32)  # zlib or gzip, by the header
    try:
        inflated = reader.decompress(raw, limit + 1)
    except zlib.error:
        raise Unreadable("broken compression") from None
    _check_size(inflated, limit)
    if not reader.eof or reader.unused_data:
        raise Unreadable("broken compression")
    return inflated


def _codec_of(raw: bytes) -> Codec:
    first = raw[0] if raw else 0
    if first in b"{[ \t\r\n":
        return Codec.JSON
    # A pickle of protocol 2 and later starts with 0x80; 0x80 alone is msgpack's empty map.
    if first == 0x80 and len(raw) > 1:
        return Codec.PICKLE
    if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
        return Codec.MSGPACK
    for start, what in _FOREIGN:
        if raw.startswith(start):
            raise Unreadable(what)
    raise Unreadable("neither JSON, msgpack nor a pickle")


def _read_json(raw: bytes) -> Any:
    # orjson is the strict one: UTF-8, no NaN, no lone surrogate, bounded depth. It
    # keeps the last of two members of a name, others the first: hence the second
    # look.
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Unreadable("not strict JSON") from None
    if deeper_than(document, MAX_DEPTH):
        raise Unreadable(f"nested deeper than {MAX_DEPTH}")
    json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_int=_unread,
        parse_float=_unread,
    )
    return document


def _read_msgpack(raw: bytes) -> Any:
    try:
        document = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_unique,
            ext_hook=_opaque,
            max_array_len=MAX_MEMBERS,
            max_map_len=MAX_MEMBERS,
        )
    except Unreadable:
        raise
    except (ValueError, OverflowError, msgpack.UnpackException):
        raise Unreadable("not strict msgpack") from None
    if deeper_than(document, MAX_DEPTH):
        raise Unreadable(f"nested deeper than {MAX_DEPTH}")
    return document


def _read_pickle(raw: bytes) -> Any:
    try:
        return read_pickle(raw)
    except BadPickle as error:
        raise Unreadable(str(error)) from error


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("two members of one name")
    return made


def _unread(_: str) -> None:
    return None


def _opaque(_code: int, _data: bytes) -> object:
    return OPAQUE


_READERS: Final[dict[Codec, Callable[[bytes], Any]]] = {
    Codec.JSON: _read_json,
    Codec.MSGPACK: _read_msgpack,
    Codec.PICKLE: _read_pickle,
}
_NOT_ALLOWED: Final = {
    Codec.JSON: "JSON, which this format is not set to",
    Codec.MSGPACK: "msgpack, which this format is not set to",
    Codec.PICKLE: "a Python pickle: set sessions.allow_pickle, or make the "
    'application write JSON (SESSION_SERIALIZATION_FORMAT = "json" in Flask-Session, '
    'OPTIONS["SERIALIZER"] = "django_redis.serializers.json.JSONSerializer" in '
    "django-redis)",
}
# Formats of other languages. Only their own runtimes can read them safely.
_FOREIGN: Final = (
    (
        b"\xac\xed\x00\x05",
        "Java serialisation: give Spring Session a bean "
        "springSessionDefaultRedisSerializer that is a "
        "GenericJackson2JsonRedisSerializer",
    ),
    (
        b"\x04\x08",
        "Ruby Marshal: set serializer: :json in the options of the session store",
    ),
    *(
        (
            start,
            "PHP serialisation: set 'serialization' => 'json' in config/session.php",
        )
        for start in (b"a:", b"s:", b"O:", b"i:", b"b:", b"C:", b"d:", b"N;")
    ),
    (b"\x28\xb5\x2f\xfd", "zstd: set the cache's compressor to zlib, or to none"),
    (b"\x04\x22\x4d\x18", "lz4: set the cache's compressor to zlib, or to none"),
    (b"\xfd7zXZ", "lzma: set the cache's compressor to zlib, or to none"),
)
