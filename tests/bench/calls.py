"""How many Python calls, files and hops between files one warm request takes.

    python -m tests.bench.calls

A profile hook counts in the thread of the gateway; the upstream and the client run
in another one. A hop is a call from a function of one file to one of another.
"""

import asyncio
import socket
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop

from tests.servers import valkey_server
from tests.walk.harness import base_config, running_gateway

PACKAGE: Final = str(Path(__file__).parents[2] / "gateway")
WARM: Final = 200
COUNTED: Final = 50
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Hook:
    """Counts calls while it is installed."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.hops = 0
        self.c_calls = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "c_call":
            self.c_calls += 1
        if event != "call":
            return
        file = frame.f_code.co_filename
        self.calls[f"{file}:{frame.f_code.co_name}"] += 1
        if frame.f_back is not None and frame.f_back.f_code.co_filename != file:
            self.hops += 1


def upstream(listening: socket.socket) -> None:
    """Answer every request on one connection after the other."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client: socket.socket) -> None:
    with client:
        data = b""
        while more := client.recv(65536):
            data += more
            while b"\r\n\r\n" in data:
                data = data.partition(b"\r\n\r\n")[2]
                client.sendall(RESPONSE)


def request(port: int, cookie: str, times: int) -> None:
    """Send the same request again and again on one connection."""
    fields = "".join(f"X-Field-{n}: value-{n}\r\n" for n in range(17))
    raw = (
        f"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\nAccept: text/html\r\n"
        f"Cookie: {cookie}\r\n{fields}\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(times):
            client.sendall(raw)
            data = b""
            while not data.endswith(b"ok"):
                data += client.recv(65536)
            assert data.startswith(b"HTTP/1.1 200"), data[:200]


async def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=upstream, args=(listening,), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as redis:
        config = base_config(listening.getsockname()[1])
        async with running_gateway(config, Path(folder), redis.url) as gateway:
            cookie = await gateway.sign_in()
            name = cookie if "=" in cookie else f"__Host-gateway_session={cookie}"
            await asyncio.to_thread(request, gateway.port, name, WARM)
            hook = Hook()
            sys.setprofile(hook)
            await asyncio.to_thread(request, gateway.port, name, COUNTED)
            sys.setprofile(None)
    listening.close()
    report(hook)


def report(hook: Hook) -> None:
    files = {key.rpartition(":")[0] for key, n in hook.calls.items() if n >= COUNTED}
    calls = sum(hook.calls.values()) / COUNTED
    print(f"Python calls {calls:.0f}, C calls {hook.c_calls / COUNTED:.0f},", end=" ")
    print(f"files {len(files)}, hops {hook.hops / COUNTED:.0f}")
    if "-v" in sys.argv:
        for key, n in hook.calls.most_common():
            if n >= COUNTED:
                print(f"{n / COUNTED:6.1f}  {key.replace(PACKAGE, 'gateway')}")


if __name__ == "__main__":
    uvloop.run(main())
