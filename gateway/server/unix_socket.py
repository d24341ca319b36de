"""Binds a Unix socket without replacing that of a running process.

The file of a socket remains when its process is killed, so a start may replace it. It
first connects: only a socket that refuses connections is stale. The new socket is
bound under a temporary name, gets its mode, listens, and is renamed, so the path never
has another mode or a socket that does not accept. A lock on the folder serializes
concurrent starts.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODE: Final = 0o660
"""Owner and group: a front proxy is another user of the same group. No access for
others, since a client of this socket is trusted as a proxy."""
_LONGEST: Final = 107
"""Maximum length of sun_path in bytes (unix(7)), without the NUL."""
_LOCK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """The file of a socket, identified by device and inode."""

    path: Path
    identity: tuple[int, int]

    def remove(self) -> None:
        """Remove the file, unless another process has replaced it."""
        with contextlib.suppress(OSError), _locked(self.path.parent):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self.identity:
                self.path.unlink()


def bind_unix(
    path: Path, *, backlog: int, take_over: bool
) -> tuple[socket.socket, SocketFile]:
    """Listen on a Unix socket with mode 0660, whatever the umask.

    Args:
        path: the path; a stale socket there is replaced.
        backlog: length of the accept queue.
        take_over: replace the socket of a running process, too. That process keeps
            the connections it has.

    Raises:
        OSError: EADDRINUSE if a process accepts connections there, ENOTSOCK if the
            path is a file of another kind, or what the kernel refuses.
    """
    folder = path.parent
    with _locked(folder) as descriptor:
        _check_free(path, take_over=take_over)
        name = f".{secrets.token_hex(4)}"
        temporary = folder / name
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The temporary name may be longer than the configured one.
            fits = len(os.fsencode(temporary)) <= _LONGEST
            one.bind(str(temporary) if fits else f"/proc/self/fd/{descriptor}/{name}")
            temporary.chmod(MODE)
            one.listen(backlog)
            one.setblocking(False)
            found = temporary.lstat()
            temporary.rename(path)
        except BaseException:
            one.close()
            temporary.unlink(missing_ok=True)
            raise
    identity = (found.st_dev, found.st_ino)
    return one, SocketFile(path=path, identity=identity)


def _check_free(path: Path, *, take_over: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    if not take_over and _answers(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _answers(path: Path) -> bool:
    """Return whether a process listens there, even if it is too busy to accept.

    Raises:
        OSError: it cannot be determined.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # its accept queue is full
        return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold a lock on a folder, without a lock file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except OSError:
                break  # a file system without locks
            else:
                break
        yield descriptor
    finally:
        os.close(descriptor)
