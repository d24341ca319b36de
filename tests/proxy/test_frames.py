import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.frames import FrameTracker, close_frame


def frame(
    payload: bytes,
    *,
    opcode: int = 2,
    final: bool = True,
    mask: bool = False,
    width: int = 0,
) -> bytes:
    """One frame; `width` forces a longer length field than needed."""
    first = opcode | (0x80 if final else 0)
    size = len(payload)
    bit = 0x80 if mask else 0
    if size <= 125 and width == 0:
        head = bytes((first, bit | size))
    elif size < 65536 and width <= 2:
        head = bytes((first, bit | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8)
    return head + (b"mask" if mask else b"") + payload


FRAMES = st.builds(
    frame,
    st.one_of(st.binary(max_size=10), st.integers(100, 70_000).map(bytes)),
    opcode=st.sampled_from([0, 1, 2, 9, 10]),
    final=st.booleans(),
    mask=st.booleans(),
    width=st.sampled_from([0, 2, 8]),
)


@given(data=st.binary(), cut=st.integers(0, 50))
def test_any_bytes_are_followed(data: bytes, cut: int) -> None:
    tracker = FrameTracker()

    tracker.feed(data[:cut])
    tracker.feed(data[cut:])

    assert tracker.at_boundary in {True, False}


@given(frames=st.lists(FRAMES, min_size=1, max_size=5), data=st.data())
def test_boundaries_are_where_frames_end(
    frames: list[bytes], data: st.DataObject
) -> None:
    wire = b"".join(frames)
    ends = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    cut = data.draw(st.one_of(st.sampled_from(sorted(ends)), st.integers(0, len(wire))))
    middle = data.draw(st.integers(0, cut))
    tracker = FrameTracker()

    tracker.feed(wire[:middle])
    tracker.feed(wire[middle:cut])

    assert tracker.at_boundary is (cut in ends)
    assert not tracker.closed
    if cut not in ends:
        rest = wire[cut:]
        expected = min(end for end in ends if end > cut) - cut
        assert tracker.finish_frame(rest) == expected
        assert tracker.at_boundary


@given(frames=st.lists(FRAMES, max_size=4))
def test_byte_by_byte_is_the_same(frames: list[bytes]) -> None:
    wire = b"".join(frames)[:2000]
    single, whole = FrameTracker(), FrameTracker()

    for at in range(len(wire)):
        single.feed(wire[at : at + 1])
    whole.feed(wire)

    assert single.at_boundary is whole.at_boundary


def test_a_frame_without_an_end_has_no_boundary() -> None:
    tracker = FrameTracker()
    tracker.feed(b"\x82\x7f" + b"\xff" * 8)

    assert tracker.finish_frame(bytes(100_000)) == 100_000
    assert not tracker.at_boundary


@pytest.mark.parametrize("mask", [None, b"abcd"])
def test_a_close_frame_is_seen(mask: bytes | None) -> None:
    tracker = FrameTracker()

    tracker.feed(frame(b"x") + close_frame(1000, "", mask=mask))

    assert tracker.closed
    assert tracker.at_boundary


def test_a_close_frame_holds_code_and_reason() -> None:
    assert close_frame(1001, "over", mask=None) == b"\x88\x06\x03\xe9over"
    masked = close_frame(1001, "over", mask=b"\x01\x02\x03\x04")
    assert masked[:6] == b"\x88\x86\x01\x02\x03\x04"
    assert bytes(b ^ (1 + at % 4) for at, b in enumerate(masked[6:])) == b"\x03\xe9over"


def test_a_long_reason_is_cut_between_characters() -> None:
    close = close_frame(1008, "ä" * 100, mask=None)

    assert close[1] <= 125
    assert close[4:].decode() == "ä" * 61
