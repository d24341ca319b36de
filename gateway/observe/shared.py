"""The counts of several processes in shared memory.

A supervisor creates one memfd (memfd_create(2)) before it forks. Each worker writes
its snapshot to its own place, and reads the others for a scrape. No file is opened,
created or renamed afterwards, so a full disk, a missing TMPDIR or exhausted
descriptors have no effect.

A place has two halves, written alternately, each with a checksum. A process that is
killed during a write leaves the other half intact. The file is sparse: only written
parts use memory.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

RETAINED: Final = 0
"""The place of the counters retained from exited processes; the supervisor writes it."""

_HEADER: Final = struct.Struct("<QQL")  # generation, length, CRC-32 of the payload
_HALF: Final = 64 << 20
"""Bytes of a half: a snapshot of 10,000 routes takes about 10 MiB."""


class SharedCounts:
    """Snapshots of processes by place: RETAINED, and from 1 one per process."""

    def __init__(self, places: int) -> None:
        """Reserve places 1 to `places`, and RETAINED.

        Raises:
            OSError: no memory or no free descriptor.
        """
        self._places = places
        self._fd = os.memfd_create("gateway-counts")
        try:
            os.ftruncate(self._fd, (places + 1) * 2 * _HALF)
        except OSError:
            os.close(self._fd)
            raise

    def write(self, place: int, snapshot: bytes) -> bool:
        """Replace the snapshot of a place; return False without memory for it."""
        if len(snapshot) > _HALF - _HEADER.size:
            return False
        generation = max(each[0] for each in self._headers(place)) + 1
        start = self._start(place, generation)
        header = _HEADER.pack(generation, len(snapshot), zlib.crc32(snapshot))
        try:
            if os.pwrite(self._fd, snapshot, start + _HEADER.size) < len(snapshot):
                return False
            os.pwrite(self._fd, header, start)
        except OSError:
            return False
        return True

    def read(self, place: int) -> bytes | None:
        """Return the last complete snapshot of a place; None if there is none."""
        for generation, length, checksum in sorted(self._headers(place), reverse=True):
            if not generation or not 0 < length <= _HALF:
                continue
            start = self._start(place, generation) + _HEADER.size
            try:
                snapshot = os.pread(self._fd, length, start)
            except OSError:
                return None
            if zlib.crc32(snapshot) == checksum:
                return snapshot
        return None

    def read_all(self) -> Iterator[bytes]:
        """Return the snapshots of all places that have one."""
        for place in range(self._places + 1):
            if (snapshot := self.read(place)) is not None:
                yield snapshot

    def retire(self, place: int, merged: Callable[[list[bytes]], bytes]) -> None:
        """Add the counters of the process at `place` to RETAINED, and free the place.

        `merged` returns one snapshot of several, without gauges.
        """
        ended = [one for at in (RETAINED, place) if (one := self.read(at)) is not None]
        if not ended or self.write(RETAINED, merged(ended)):
            for half in range(2):
                os.pwrite(self._fd, bytes(_HEADER.size), self._start(place, half))

    def close(self) -> None:
        """Close the descriptor of this process."""
        os.close(self._fd)

    def _headers(self, place: int) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for half in range(2):
            raw = os.pread(self._fd, _HEADER.size, self._start(place, half))
            generation, length, checksum = _HEADER.unpack(raw)
            found.append((generation, length, checksum))
        return found

    @staticmethod
    def _start(place: int, generation: int) -> int:
        return (place * 2 + generation % 2) * _HALF
