"""Pickles are read and never run: hostile rows first."""

import collections
import datetime as dt
import decimal
import pickle
import tracemalloc
import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sessions.formats.pickle_reader import OPAQUE, BadPickle, read_pickle

RAN: list[str] = []


class Boom:
    """Runs when it is read by the standard reader."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (RAN.append, ("ran",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_would_be_called_is_not(protocol: int) -> None:
    raw = pickle.dumps({"_user_id": "42", "boom": Boom()}, protocol)

    read = read_pickle(raw)

    assert read == {"_user_id": "42", "boom": OPAQUE}
    assert RAN == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x80\x04", id="no-stop"),
        pytest.param(b"\x80\x04.", id="nothing-left"),
        pytest.param(b"\x80\x04NN.", id="two-values"),
        pytest.param(b"\x80\x04(.", id="a-mark-left"),
        pytest.param(b"\x80\x04N.N", id="something-behind"),
        pytest.param(b"\x80\x04}(K\x01u.", id="key-without-value"),
        pytest.param(b"\x80\x04}((K\x01K\x02tK\x03u.", id="a-tuple-as-key"),
        pytest.param(b"\x80\x04}(\x88K\x01u.", id="true-as-key"),
        pytest.param(b"\x80\x04K\x01K\x02a.", id="append-to-a-number"),
        pytest.param(b"\x80\x04K\x01K\x02K\x03s.", id="key-of-a-number"),
        pytest.param(b"\x80\x04](K\x01.", id="list-and-mark"),
        pytest.param(b"\x80\x04t.", id="tuple-without-mark"),
        pytest.param(b"\x80\x04Nt.", id="tuple-without-mark-2"),
        pytest.param(b"\x80\x04\x86.", id="tuple-of-nothing"),
        pytest.param(b"\x80\x04(\x85.", id="tuple-of-a-mark"),
        pytest.param(b"\x80\x04(\x94.", id="memo-of-a-mark"),
        pytest.param(b"\x80\x04h\x05.", id="unknown-memo"),
        pytest.param(b"\x80\x04\x82\x01.", id="extension"),
        pytest.param(b"\x80\x04Px\n.", id="persistent-id"),
        pytest.param(b"\x80\x04NQ.", id="binary-persistent-id"),
        pytest.param(b"\x80\x04(cos\nsystem\no.", id="obj"),
        pytest.param(b"\x80\x04(ios\nsystem\n.", id="inst"),
        pytest.param(b"\x80\x04N2.", id="dup"),
        pytest.param(b"\x80\x04I1" + b"0" * 9000 + b"\n.", id="endless-number"),
        pytest.param(b"\x80\x05\x97.", id="out-of-band"),
        pytest.param(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", id="huge-text"),
        pytest.param(b"\x80\x04\x8b\xff\xff\xff\x7f.", id="huge-number"),
    ],
)
def test_what_is_no_plain_value_is_refused(raw: bytes) -> None:
    with pytest.raises(BadPickle):
        read_pickle(raw)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_out_as_they_went_in(protocol: int) -> None:
    value = {
        "none": None,
        "flags": [True, False],
        "numbers": [0, -1, 255, 65535, 1 << 40, -(1 << 70), 1.5],
        "text": ["", "Ünïcode", "x" * 300],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "nested": {"a": {"b": [{"c": "d"}]}},
        7: "seven",
    }

    assert read_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_are_one_opaque_mark(protocol: int) -> None:
    value = {
        "when": dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC),
        "price": decimal.Decimal("9.99"),
        "uuid": uuid.UUID(int=7),
        "ordered": collections.OrderedDict([("a", (1, 2))]),
        "default": collections.defaultdict(list, {"a": [1]}),
        "bytes": bytearray(b"x"),
        "kept": "yes",
    }

    read = read_pickle(pickle.dumps(value, protocol))

    assert isinstance(read, dict)
    assert read.pop("kept") == "yes"
    assert set(read.values()) == {OPAQUE}
    assert repr(OPAQUE) == "OPAQUE"


def test_mappings_and_lists_may_be_made_from_a_mark() -> None:
    assert read_pickle(b"\x80\x02(U\x01a(K\x01K\x02ld.") == {"a": [1, 2]}


def test_a_set_is_the_list_of_its_members() -> None:
    read = read_pickle(pickle.dumps({"s": {"a"}, "f": frozenset("b")}, 4))

    assert read == {"s": ["a"], "f": ["b"]}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x80\x02Nr\xff\xff\xff\x3f.", id="memo-index-2^30"),
        pytest.param(
            b"\x80\x04]\x94" + b"]\x94(h\x00h\x00h\x00e" * 100 + b".", id="shared"
        ),
        pytest.param(b"\x80\x04" + b"]" * 60_000 + b".", id="many-lists"),
        pytest.param(b"\x80\x04N" + b"\x85" * 60_000 + b".", id="deep-tuples"),
    ],
)
def test_memory_is_bounded_by_what_is_read(raw: bytes) -> None:
    tracemalloc.start()
    try:
        read_pickle(raw)
    except BadPickle:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 200_000 + 200 * len(raw)


@given(raw=st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_refusal(raw: bytes) -> None:
    for start in (b"", b"\x80\x04", b"\x80\x04}("):
        with suppress(BadPickle):
            read_pickle(start + raw)


@given(
    opcodes=st.lists(
        st.sampled_from(list(b"()]}.NKU\x85\x86\x87\x88\x94aehsutR\x93b0")), max_size=60
    )
)
def test_any_order_of_known_opcodes_gives_a_value_or_a_refusal(
    opcodes: list[int],
) -> None:
    with suppress(BadPickle):
        read_pickle(b"\x80\x04" + bytes(opcodes) + b".")
