"""Writes lines to a file descriptor once per iteration of the event loop; never blocks.

POSIX guarantees that a write of at most PIPE_BUF bytes to a pipe is atomic (IEEE Std
1003.1, write()); a nonblocking one succeeds or fails completely. So lines are written
in groups up to that size, and several processes may share one pipe.
"""

import asyncio
import os
import select
import stat
import threading
import time
from collections import deque
from typing import Final

GROUP_BYTES: Final = 4096  # PIPE_BUF of Linux; POSIX requires at least 512
EARLY_BYTES: Final = (
    16384  # written before the turn ends, while still in the CPU's cache
)
CEILING_BYTES: Final = (
    4 << 20
)  # buffered while the reader is stuck; then lines are dropped
_AGAIN_SECONDS: Final = 0.05


class Sink:
    """Buffers lines and writes them; a stuck or closed reader costs lines, not time.

    `dropped` counts the lines that could not be written.
    """

    def __init__(self, fd: int = 1) -> None:
        self.dropped = 0
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._scheduled = False
        self._full = False
        self._lock = threading.Lock()
        self._fd, self._owned, self._poll = _nonblocking(fd)

    def write(self, line: bytes) -> None:
        """Buffer one complete line, with its newline."""
        if self._bytes > CEILING_BYTES:
            self.dropped += 1
            return
        self._lines.append(line)
        self._bytes += len(line)
        if not self._scheduled:
            self._schedule()
        elif self._bytes > EARLY_BYTES and not self._full:
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
        self._bytes = 0
        self.close(0)

    def _schedule(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self.flush)
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
        """Write groups until done (True) or the reader is full (False)."""
        with self._lock:
            while self._lines:
                group = self._group()
                try:
                    if self._poll and not _wait_writable(self._fd, 0):
                        written = 0
                    else:
                        written = os.write(self._fd, group)
                except BlockingIOError:
                    written = 0
                except (OSError, ValueError):  # the reader is gone
                    self._put_back(group)
                    self._give_up()
                    return True
                if written < len(group):
                    self._put_back(group[written:])
                    self._full = True
                    return False
        return True

    def _group(self) -> bytes:
        lines = self._lines
        first = lines.popleft()
        size = len(first)
        if not lines or size + len(lines[0]) > GROUP_BYTES:
            self._bytes -= size
            return first
        group = [first]
        while lines and size + len(lines[0]) <= GROUP_BYTES:
            group.append(lines.popleft())
            size += len(group[-1])
        self._bytes -= size
        return b"".join(group)

    def _put_back(self, rest: bytes) -> None:
        """Requeue unwritten bytes by line, so that dropped lines can be counted."""
        lines = [line + b"\n" for line in rest.removesuffix(b"\n").split(b"\n")]
        self._lines.extendleft(reversed(lines))
        self._bytes += len(rest)

    def _give_up(self) -> None:
        self.dropped += len(self._lines)
        self._lines.clear()
        self._bytes = 0


def _nonblocking(fd: int) -> tuple[int, bool, bool]:
    """Return the descriptor to write to, whether to close it, and whether to poll first.

    O_NONBLOCK belongs to the open file description, which stdout shares with the shell
    and with sibling processes, so it is never set there. Linux opens a new description
    of the same pipe or terminal through /proc.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return fd, False, False
    if stat.S_ISREG(mode):
        return fd, False, False  # a file is always ready
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{fd}", flags), True, False
    except OSError:  # a socket, not Linux, or no permission
        return fd, False, True


def _wait_writable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
