"""Where one WebSocket frame ends and the next begins (RFC 6455 section 5.2).

A tunnel passes bytes on as they are. It follows the lengths of the frames only, so
that a Close of our own never lands inside a frame of somebody else.
"""

_FINAL_CLOSE = 0x88
_OPCODE = 0x0F
_CLOSE = 0x8
_MASK = 0x80
_SHORT = 125
_TWO_BYTES = 126
_LONGEST_SMALL = 6 + _SHORT
_MAX_REASON = 123
_AT_ONCE = 4096
"""The work of one call of `feed`: about 3 ms, however small the frames are."""
_SMALL_COST = 3
"""2**3 bytes of small frames, which are at most four, count as one unit of work."""


class FrameTracker:
    """Follows one direction of a WebSocket; costs nothing per byte of payload."""

    __slots__ = ("_header", "_left", "_need", "closed")

    def __init__(self) -> None:
        self.closed = False  # a Close frame has begun; nothing may follow it
        self._header = b""
        self._need = 2  # bytes of header that must be known to know the next need
        self._left = 0  # bytes of payload still to come

    @property
    def at_boundary(self) -> bool:
        """Tell whether the next byte begins a frame."""
        return self._left == 0 and not self._header

    def feed(self, data: bytes) -> int:
        """Follow `data`; return how far.

        That is all of it, unless it holds thousands of frames: the rest is for a
        later turn of the event loop, so that other connections have theirs.
        """
        size = len(data)
        if size < self._left:
            self._left -= size
            return size
        position = 0
        budget = _AT_ONCE
        while position < size and budget > 0:
            if self.at_boundary:
                begin = position
                position = self._skip_small(data, position)
                budget -= (position - begin) >> _SMALL_COST
            if position < size:
                position = self._advance(data, position)
                budget -= 1
        return position

    def finish_frame(self, data: bytes) -> int:
        """Follow `data` to the end of the frame it is in; return how far that is."""
        position = 0
        while position < len(data) and not self.at_boundary:
            position = self._advance(data, position)
        return position

    def _skip_small(self, data: bytes, position: int) -> int:
        """Take whole frames with a short length: many small ones come together."""
        end = min(len(data) - _LONGEST_SMALL, position + (_AT_ONCE << _SMALL_COST))
        while position <= end:
            second = data[position + 1]
            length = second & ~_MASK
            if length > _SHORT:
                break
            if data[position] & _OPCODE == _CLOSE:
                self.closed = True
            position += length + (6 if second & _MASK else 2)
        return position

    def _advance(self, data: bytes, position: int) -> int:
        """Take a piece of a header, or of a payload, and return where it ends."""
        if self._left:
            taken = min(self._left, len(data) - position)
            self._left -= taken
            return position + taken
        end = position + self._need - len(self._header)
        header = self._header + data[position:end]
        if len(header) < self._need:
            self._header = header
            return len(data)
        need = _header_size(header[1])
        if len(header) < need:
            self._header, self._need = header, need
            return end
        if header[0] & _OPCODE == _CLOSE:
            self.closed = True
        self._header, self._need = b"", 2
        self._left = _payload_size(header)
        return end


def close_frame(code: int, reason: str, *, mask: bytes | None) -> bytes:
    """Make a Close frame; `mask` (four bytes) for one sent as a client."""
    text = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
    payload = code.to_bytes(2) + text
    if mask is None:
        return bytes((_FINAL_CLOSE, len(payload))) + payload
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((_FINAL_CLOSE, _MASK | len(payload))) + mask + masked


def _header_size(second: int) -> int:
    length = second & ~_MASK
    extended = 0 if length <= _SHORT else 2 if length == _TWO_BYTES else 8
    return 2 + extended + (4 if second & _MASK else 0)


def _payload_size(header: bytes) -> int:
    length = header[1] & ~_MASK
    if length <= _SHORT:
        return length
    return int.from_bytes(header[2:4] if length == _TWO_BYTES else header[2:10])
