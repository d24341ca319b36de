"""A TCP relay that delays what clients send: a server some way off.

    python -m tests.bench.relay PORT TARGET_PORT SECONDS

Each connection has two threads; a sleeping thread is more exact than the timers of
an event loop, which count in whole milliseconds.
"""

import queue
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from tests.bench.processes import OTHER_CORE, running, wait_until
from tests.servers import free_port

_HERE = Path(__file__).parents[2]


@contextmanager
def delaying_relay(target: int, seconds: float, folder: Path) -> Iterator[int]:
    """Run a relay to `target`; yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.relay", str(port), str(target)]
    with running(
        "relay", [*command, str(seconds)], folder, cores=OTHER_CORE, cwd=_HERE
    ) as program:
        if not wait_until(lambda: _listens(port), program):
            raise RuntimeError(f"the relay did not start: {program.last_words()}")
        yield port


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def relay(client: socket.socket, target: int, seconds: float) -> None:
    """Join a client and the target until one of them closes."""
    server = socket.create_connection(("127.0.0.1", target))
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
    for line in (client, server):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for task in (_receive, _send_late, _send_back):
        threading.Thread(
            target=task, args=(client, server, waiting, seconds), daemon=True
        ).start()


Waiting: TypeAlias = "queue.SimpleQueue[tuple[float, bytes]]"


def _receive(
    client: socket.socket, _: socket.socket, waiting: Waiting, seconds: float
) -> None:
    with suppress(OSError):
        while data := client.recv(1 << 18):
            waiting.put((time.monotonic() + seconds, data))
    waiting.put((0, b""))


def _send_late(
    client: socket.socket, server: socket.socket, waiting: Waiting, _: float
) -> None:
    with suppress(OSError), server, client:
        while True:
            due, data = waiting.get()
            if not data:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            server.sendall(data)


def _send_back(
    client: socket.socket, server: socket.socket, _: Waiting, __: float
) -> None:
    with suppress(OSError):
        while data := server.recv(1 << 18):
            client.sendall(data)
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Accept until the process is ended."""
    port, target, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
        while True:
            client, _ = listening.accept()
            relay(client, target, seconds)


if __name__ == "__main__":
    main()
