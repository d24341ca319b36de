"""Writes lines to a file descriptor every few milliseconds; never blocks.

Lines are kept as text; those of GATHER_SECONDS are encoded and written together.

| standard output | how it is written |
| --- | --- |
| a regular file | everything in one write |
| a pipe or a terminal | blocks of whole lines, at most PIPE_BUF bytes |
| a socket | the same, and polled before each write |

POSIX guarantees that a write of at most PIPE_BUF bytes to a pipe is atomic (IEEE Std
1003.1, write()); a nonblocking one succeeds or fails completely. So several processes
may share one pipe.
"""

import asyncio
import os
import select
import stat
import threading
import time
from typing import Final

GROUP_BYTES: Final = 4096  # PIPE_BUF of Linux; POSIX requires at least 512
GATHER_SECONDS: Final = 0.005
EARLY_CHARACTERS: Final = (
    65536  # written before that time, while still in the CPU's cache
)
CEILING: Final = (
    4 << 20
)  # buffered characters while the reader is stuck; then lines are dropped
_AGAIN_SECONDS: Final = 0.05


class Sink:
    """Buffers lines and writes them; a stuck or closed reader costs lines, not time.

    `dropped` counts the lines that could not be written.
    """

    def __init__(self, fd: int = 1) -> None:
        self.dropped = 0
        self._lines: list[str] = []
        self._size = 0  # of what is buffered, encoded or not
        self._rest = b""  # encoded, and not written yet
        self._inside = False  # the last write ended inside of a line
        self._scheduled = False
        self._full = False
        self._lock = threading.Lock()
        self._fd, self._owned, self._poll, self._group = _nonblocking(fd)

    def write(self, line: str) -> None:
        """Buffer one complete line, with its newline."""
        if self._size > CEILING:
            self.dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if not self._scheduled:
            self._schedule()
        elif self._size > EARLY_CHARACTERS and not self._full:
            self._drain()

    def flush(self) -> None:
        """Write as much as possible without blocking; keep the rest."""
        self._scheduled = self._full = False
        if not self._drain():
            self._schedule_later()

    def close(self, timeout: float = 1.0) -> None:
        """Write everything, waiting up to `timeout` seconds for a slow reader.

        Later lines are dropped and counted.
        """
        end = time.monotonic() + timeout
        while not self._drain() and (left := end - time.monotonic()) > 0:
            _wait_writable(self._fd, min(left, 0.05))
        self._give_up()
        fd, self._fd = self._fd, -1  # the number may be reused
        if self._owned:
            self._owned = False
            os.close(fd)

    def discard(self) -> None:
        """Close without writing: in a forked child, the lines are the parent's."""
        self._lines.clear()
        self._rest = b""
        self.close(0)

    def _schedule(self) -> None:
        try:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        except RuntimeError:  # no running loop: a command, or before and after serving
            self._drain()
        else:
            self._scheduled = True

    def _schedule_later(self) -> None:
        try:
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self.flush)
        except RuntimeError:
            pass
        else:
            self._scheduled = True

    def _drain(self) -> bool:
        """Write until done (True) or the reader is full (False)."""
        with self._lock:
            while self._rest or self._lines:
                if not self._rest:
                    self._encode()
                try:
                    self._write_rest()
                except (OSError, ValueError):  # the reader is gone, the disk is full
                    self._give_up()
                    return True
                if self._rest:
                    self._full = True
                    return False
            self._size = 0
        return True

    def _encode(self) -> None:
        """Encode what is buffered; another thread may append meanwhile."""
        count = len(self._lines)
        text = "".join(self._lines[:count])
        del self._lines[:count]
        self._rest = text.encode("utf-8", "replace")
        self._size += len(self._rest) - len(text)
        if self._inside:
            # A line was given up after a part of it: the next one must not continue it.
            self._rest = b"\n" + self._rest

    def _write_rest(self) -> None:
        """Write blocks of the encoded bytes until done, or the reader is full.

        Raises:
            OSError: the reader is gone, or there is no room.
            ValueError: the descriptor is closed.
        """
        rest, at = self._rest, 0
        try:
            while at < len(rest):
                end = self._end_of_block(rest, at)
                if self._poll and not _wait_writable(self._fd, 0):
                    break
                at += os.write(self._fd, rest[at:end])
                if at < end:
                    break
        except BlockingIOError:
            pass
        finally:
            if at:
                self._inside = rest[at - 1] != _NEWLINE
                self._rest = rest[at:]
                self._size -= at

    def _end_of_block(self, rest: bytes, at: int) -> int:
        if not self._group or len(rest) - at <= GROUP_BYTES:
            return len(rest)
        end = rest.rfind(b"\n", at, at + GROUP_BYTES)
        if end < 0:  # one line is longer
            end = rest.index(b"\n", at)
        return end + 1

    def _give_up(self) -> None:
        ends = self._rest.count(b"\n") - self._rest.startswith(b"\n")
        self.dropped += len(self._lines) + ends
        self._lines.clear()
        self._rest = b""
        self._size = 0


_NEWLINE: Final = ord("\n")


def _nonblocking(fd: int) -> tuple[int, bool, bool, bool]:
    """Return how to write: descriptor, whether to close it, to poll, to write blocks.

    O_NONBLOCK belongs to the open file description, which stdout shares with the shell
    and with sibling processes, so it is never set there. Linux opens a new description
    of the same pipe or terminal through /proc.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return fd, False, False, False
    if stat.S_ISREG(mode):
        return fd, False, False, False  # a file is always ready
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{fd}", flags), True, False, True
    except OSError:  # a socket, not Linux, or no permission
        return fd, False, True, True


def _wait_writable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
