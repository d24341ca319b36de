"""Finds the boundaries of WebSocket frames (RFC 6455 section 5.2).

A tunnel forwards bytes unchanged. It tracks only the lengths of frames, so that the
gateway's own Close frame never lands inside another frame.
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
"""The work of one call of `feed`: about 3 ms, whatever the size of the frames."""
_SMALL_COST = 3
"""2**3 bytes of small frames, four at most, count as one unit of work."""


class FrameTracker:
    """Tracks one direction of a WebSocket, at no cost per byte of payload."""

    __slots__ = ("_header", "_left", "_need", "closed")

    def __init__(self) -> None:
        self.closed = False  # a Close frame has begun; nothing may follow it
        self._header = b""
        self._need = 2  # header bytes required before the next step
        self._left = 0  # bytes of payload still to come

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte begins a frame."""
        return self._left == 0 and not self._header

    def feed(self, data: bytes) -> int:
        """Track `data`; return how many bytes were processed.

        All of them, unless there are thousands of frames: the caller passes the rest
        in a later iteration of the event loop, so that other connections can run.
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
        """Track `data` to the end of the current frame; return that position."""
        position = 0
        while position < len(data) and not self.at_boundary:
            position = self._advance(data, position)
        return position

    def _skip_small(self, data: bytes, position: int) -> int:
        """Skip complete short frames, which often arrive together; return the position."""
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
        """Process a part of a header or payload; return the position after it."""
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
    """Return a Close frame; a client must pass a `mask` of four bytes."""
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
