"""Stored values, told apart and read strictly: hostile rows first."""

import gzip
import json
import pickle
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.sessions.formats.codecs import Codec, Unreadable, decode
from gateway.sessions.formats.pickle_reader import OPAQUE

EVERY = frozenset(Codec)
LIMIT = 65_536
DEEP = 100_000


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(b"", "neither", id="empty"),
        pytest.param(b'{"a": 1} ' * 10_000, "larger", id="large"),
        pytest.param(b'{"a": ' * 9_000, "JSON", id="json-deep-and-cut"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, "deeper", id="json-65-deep"),
        pytest.param(b'{"a":' * 999 + b"1" + b"}" * 999, "deeper", id="json-999-deep"),
        pytest.param(b'{"a": 1, "a": 2}', "two members", id="json-twice"),
        pytest.param(b'{"b": [{"a": 1, "\\u0061": 2}]}', "two members", id="json-esc"),
        pytest.param(b'{"a": NaN}', "JSON", id="json-nan"),
        pytest.param(b'{"a": -Infinity}', "JSON", id="json-infinity"),
        pytest.param(b'{"a": "\\ud800"}', "JSON", id="json-lone-surrogate"),
        pytest.param(b'{"a": "\xff"}', "JSON", id="json-bad-utf-8"),
        pytest.param(b'{"a": 1} {}', "JSON", id="json-two-values"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "neither", id="json-with-a-bom"),
        pytest.param('{"a": 1}'.encode("utf-16"), "neither", id="json-utf-16"),
        pytest.param('{"a": 1}'.encode("utf-16-le"), "JSON", id="json-utf-16-le"),
        pytest.param(b"[1]", "mapping", id="json-a-list"),
        pytest.param(b'"text"', "neither", id="json-text"),
        pytest.param(b"1795219200", "neither", id="a-number"),
        pytest.param(b"\x82\xa1a\x01\xa1a\x02", "two members", id="msgpack-twice"),
        pytest.param(b"\x81\xa1a", "msgpack", id="msgpack-cut"),
        pytest.param(b"\x81\xa1a\x01\x01", "msgpack", id="msgpack-and-more"),
        pytest.param(b"\x81\x01\x01", "msgpack", id="msgpack-a-number-as-key"),
        pytest.param(b"\x81\xa1\xff\x01", "msgpack", id="msgpack-bad-utf-8"),
        pytest.param(b"\x81\xa1a" + b"\x91" * 60_000, "msgpack", id="msgpack-deep"),
        pytest.param(
            b"\x81\xa1a" + b"\x91" * 70 + b"\x01", "deeper", id="msgpack-71-deep"
        ),
        pytest.param(b"\x81\xa1a\xdd\xff\xff\xff\xff", "msgpack", id="msgpack-2^32"),
        pytest.param(b"\x81\xa1a\xd5\xff\x00\x00", "msgpack", id="msgpack-bad-time"),
        pytest.param(b"\x80\x04]\x94.", "mapping", id="pickle-of-a-list"),
        pytest.param(b"\x80\x04\x82\x01.", "EXT1", id="pickle-extension"),
        pytest.param(b"\x78\x9cxx", "compression", id="zlib-broken"),
        pytest.param(zlib.compress(b"{}")[:-1], "compression", id="zlib-cut"),
        pytest.param(zlib.compress(b"{}") + b"x", "compression", id="zlib-and-more"),
        pytest.param(zlib.compress(b" " * 9_000_000), "larger", id="zlib-bomb"),
        pytest.param(zlib.compress(zlib.compress(b"{}")), "neither", id="zlib-in-zlib"),
        pytest.param(b"\xac\xed\x00\x05sr", "GenericJackson2Json", id="java"),
        pytest.param(b"\x04\x08{\x06", "serializer: :json", id="ruby"),
        pytest.param(b'a:1:{s:1:"a";i:1;}', "'serialization' => 'json'", id="php"),
        pytest.param(b's:9:"a:0:{}..";', "'serialization' => 'json'", id="php-twice"),
        pytest.param(b"\x28\xb5\x2f\xfd\x00", "zstd", id="zstd"),
        pytest.param(b"\x04\x22\x4d\x18", "lz4", id="lz4"),
        pytest.param(b"\xfd7zXZ\x00", "lzma", id="lzma"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        decode(raw, EVERY, LIMIT)


def test_a_pickle_needs_the_switch_which_the_error_names() -> None:
    with pytest.raises(Unreadable, match=r"allow_pickle.*SESSION_SERIALIZATION_FORMAT"):
        decode(pickle.dumps({}, 4), {Codec.JSON, Codec.MSGPACK}, LIMIT)


@pytest.mark.parametrize(
    ("raw", "codecs", "why"),
    [
        pytest.param(b"{}", {Codec.MSGPACK}, "JSON", id="json"),
        pytest.param(b"\x81\xa1a\x01", {Codec.JSON}, "msgpack", id="msgpack"),
        pytest.param(b"\x80", {Codec.PICKLE}, "msgpack", id="empty-map"),
    ],
)
def test_a_codec_that_was_not_named_is_refused(
    raw: bytes, codecs: set[Codec], why: str
) -> None:
    with pytest.raises(Unreadable, match=why):
        decode(raw, codecs, LIMIT)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda value: json.dumps(value).encode(), id="json"),
        pytest.param(lambda value: b" \n" + json.dumps(value).encode(), id="spaces"),
        pytest.param(msgpack.packb, id="msgpack"),
        pytest.param(lambda value: pickle.dumps(value, 5), id="pickle"),
        pytest.param(lambda v: zlib.compress(json.dumps(v).encode()), id="zlib"),
        pytest.param(lambda v: gzip.compress(msgpack.packb(v)), id="gzip"),
        pytest.param(lambda v: zlib.compress(pickle.dumps(v, 4), 0), id="zlib-0"),
    ],
)
def test_a_value_comes_out_as_it_went_in(write: Callable[[object], bytes]) -> None:
    value = {"_user_id": "42", "roles": ["a", "b"], "n": -3, "f": 1.5, "ok": True}

    assert decode(write(value), EVERY, LIMIT) == value


def test_msgpack_extensions_are_opaque() -> None:
    raw = msgpack.packb({"x": msgpack.ExtType(5, b"abc"), "y": 1})

    assert decode(raw, EVERY, LIMIT) == {"x": OPAQUE, "y": 1}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(zlib.compress(b" " * 50_000_000), id="zlib"),
        pytest.param(b"\x81\xa1a" + b"\xdc\x04\x00" * 20_000, id="msgpack-lists"),
        pytest.param(
            b"\x81\xa1a" + b"\xdd\x00\x00\xff\xff" * 12_000, id="msgpack-long"
        ),
        pytest.param(b"[" * 60_000, id="json-lists"),
        pytest.param(b'{"a":' * 12_000, id="json-objects"),
    ],
)
def test_nothing_takes_more_memory_than_a_few_times_the_limit(raw: bytes) -> None:
    tracemalloc.start()
    try:
        decode(raw, EVERY, LIMIT)
    except Unreadable:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 16 * 1024 * 1024


@example(raw=b"\r0")
@given(raw=st.binary(max_size=400))
def test_any_bytes_give_a_mapping_or_a_refusal(raw: bytes) -> None:
    for start in (b"", b"{", b"\x80\x04", b"\x81", b"\xdf", b"\x78\x9c"):
        with suppress(Unreadable):
            assert isinstance(decode(start + raw, EVERY, LIMIT), dict)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=st.dictionaries(st.text(), _JSON))
def test_any_json_comes_out_as_it_went_in(value: dict[str, object]) -> None:
    try:
        raw = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return

    assert decode(raw, EVERY, LIMIT) == value
