"""A child server process in a private folder: start, wait, stop, remove."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.errors import EmbeddedUnavailable

START_SECONDS = 20.0
STOP_SECONDS = 10.0

# A Unix socket's whole path has room for 107 bytes (unix(7)); the names that
# servers put behind the folder take up to 20 of them.
_LONGEST_FOLDER = 80


def private_folder(prefix: str) -> Path:
    """Create a folder for this user only, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if len(os.fsencode(folder)) <= _LONGEST_FOLDER:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))


def dying_with_us(argv: Sequence[str], *, sent: signal.Signals) -> list[str]:
    """Wrap a command so that the kernel ends it if this process is killed, where supported."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", sent.name.removeprefix("SIG"), "--", *argv]


class ServerProcess:
    """One server and its folder. Not started twice; `stop` may be called often."""

    def __init__(
        self,
        *,
        name: str,
        argv: Sequence[str],
        folder: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        account: pwd.struct_passwd | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._folder = folder
        self._stop_signal = stop_signal
        self._log = folder / "server.log"
        try:
            with self._log.open("wb") as log:
                # A process group of its own: Ctrl-C on the terminal reaches
                # this process alone, which stops the servers in order.
                self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                    dying_with_us(argv, sent=stop_signal),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=env,
                    process_group=0,
                    user=None if account is None else account.pw_uid,
                    group=None if account is None else account.pw_gid,
                    extra_groups=None if account is None else [],
                )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise EmbeddedUnavailable(f"{name} did not start: {error}") from error

    @property
    def pid(self) -> int:
        """The process, for those who watch it."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()` holds; raise EmbeddedUnavailable if it never does."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = self._last_lines()
                self.stop()
                raise EmbeddedUnavailable(f"{self._name} did not start: {last}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last_lines(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").splitlines()
            if lines:
                return lines[-1].strip()
        return "it said nothing"
