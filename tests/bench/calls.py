"""How many Python calls, C calls, files and hops between files one warm request takes.

    python -m tests.bench.calls [-v] [--write]

A profile hook counts in the thread of the gateway; the upstream and the client run
in other ones. A hop is a call from a function of one file to one of another. The
figures hardly vary, so that they are a gate where CPU time cannot be one: `--write`
makes them the ceilings of `calls.json`, which a test holds a request to. Instructions
of the interpreter depend on its version, and have no ceiling.
"""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop

from tests.servers import valkey_server
from tests.walk.harness import base_config, running_gateway

PACKAGE: Final = str(Path(__file__).parents[2] / "gateway")
CEILINGS: Final = Path(__file__).with_name("calls.json")
WARM: Final = 200
COUNTED: Final = 50
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BODY: Final = b"x" * 64
# The log is written every 5 ms: on a busy machine once for each request.
TIMED: Final = "/observe/sink.py"
# Timers of the gateway may run meanwhile, and a busy machine hands bytes over in more
# pieces: up to 6 % more calls were seen. A call in C may be as cheap as a look into a
# dict, and often replaces a dearer one in Python.
SLACK: Final = {"python_calls": 0.1, "c_calls": 0.2, "files": 0.1, "hops": 0.1}
KINDS: Final = ("GET", "public GET", "POST", "new connection", "decision")


@dataclass(frozen=True)
class Counts:
    """Of one request, on average."""

    python_calls: int
    c_calls: int
    files: int
    hops: int

    def above(self, ceiling: "Counts") -> list[str]:
        """Name each count that is above its ceiling by more than its slack."""
        ceilings = asdict(ceiling)
        return [
            f"{name}: {count}, at most {ceilings[name]}"
            for name, count in asdict(self).items()
            if count > ceilings[name] * (1 + SLACK[name])
        ]


class Hook:
    """Counts calls while it is the profile function, instructions while it traces."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.instructions: Counter[str] = Counter()
        self.hops = 0
        self.c_calls = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "c_call":
            self.c_calls += 1
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file.endswith(TIMED):
            return
        self.calls[f"{file}:{frame.f_code.co_name}"] += 1
        if frame.f_back is not None and frame.f_back.f_code.co_filename != file:
            self.hops += 1

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """Count the instructions of the interpreter in each function."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            code = frame.f_code
            self.instructions[f"{code.co_filename}:{code.co_name}"] += 1
        return self.trace

    def counts(self) -> Counts:
        files = {
            key.rpartition(":")[0] for key, n in self.calls.items() if n >= COUNTED
        }
        return Counts(
            python_calls=round(sum(self.calls.values()) / COUNTED),
            c_calls=round(self.c_calls / COUNTED),
            files=len(files),
            hops=round(self.hops / COUNTED),
        )


def upstream(listening: socket.socket) -> None:
    """Serve each connection in a thread."""
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client: socket.socket) -> None:
    """Answer each request of a connection; its body is not looked at."""
    with client:
        data = b""
        while more := client.recv(65536):
            data += more
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                if head.startswith(b"POST"):
                    while len(data) < len(BODY):
                        data += client.recv(65536)
                    data = data[len(BODY) :]
                client.sendall(RESPONSE)


def connect(to: int | str) -> socket.socket:
    """Connect to a port, or to a Unix socket, which is trusted to ask for decisions."""
    if isinstance(to, int):
        return socket.create_connection(("127.0.0.1", to))
    client = socket.socket(socket.AF_UNIX)
    client.connect(to)
    return client


def request(to: int | str, cookie: str, kind: str, times: int) -> None:
    """Send the same request again and again."""
    fields = "".join(f"X-Field-{n}: value-{n}\r\n" for n in range(17))
    method = "POST" if kind == "POST" else "GET"
    body = BODY if method == "POST" else b""
    if body:
        fields += f"Content-Length: {len(body)}\r\n"
    target, end = "/static/app.js" if kind == "public GET" else "/dashboard", b"ok"
    if kind == "decision":
        target, end = f"/authz/ext-authz{target}", b"\r\n\r\n"
        fields += "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: gw.test\r\nAccept: text/html\r\n"
        f"Cookie: {cookie}\r\n{fields}\r\n"
    )
    raw = head.encode() + body
    each = 1 if kind == "new connection" else times
    for _ in range(times // each):
        with connect(to) as client:
            for _ in range(each):
                client.sendall(raw)
                data = b""
                while not data.endswith(end):
                    data += client.recv(65536)
                assert data.startswith(b"HTTP/1.1 200"), data[:200]


async def measure() -> dict[str, Hook]:
    """Return the hook of each kind of request."""
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=upstream, args=(listening,), daemon=True).start()
    found: dict[str, Hook] = {}
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as redis:
        config = base_config(listening.getsockname()[1])
        config["server"]["authz"] = f"unix:{folder}/authz"
        async with running_gateway(config, Path(folder), redis.url) as gateway:
            cookie = await gateway.sign_in()
            name = cookie if "=" in cookie else f"__Host-gateway_session={cookie}"
            for kind in KINDS:
                to = f"{folder}/authz" if kind == "decision" else gateway.port
                await asyncio.to_thread(request, to, name, kind, WARM)
                hook = Hook()
                sys.setprofile(hook)
                await asyncio.to_thread(request, to, name, kind, COUNTED)
                sys.setprofile(None)
                sys.settrace(hook.trace)
                await asyncio.to_thread(request, to, name, kind, COUNTED)
                sys.settrace(None)
                found[kind] = hook
    listening.close()
    return found


def ceilings() -> dict[str, Counts]:
    """Return the committed counts."""
    found = json.loads(CEILINGS.read_text())
    return {kind: Counts(**counts) for kind, counts in found.items()}


def write(found: Mapping[str, Counts]) -> None:
    """Commit the counts."""
    text = json.dumps({kind: asdict(each) for kind, each in found.items()}, indent=2)
    CEILINGS.write_text(f"{text}\n")


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-v", action="store_true", help="each function of --kind")
    parser.add_argument("--kind", choices=KINDS, default="GET")
    parser.add_argument("--write", action="store_true", help="make them the ceilings")
    wanted = parser.parse_args()
    hooks = uvloop.run(measure())
    for kind, hook in hooks.items():
        each = hook.counts()
        print(f"{kind}: Python calls {each.python_calls}, C calls", end=" ")
        print(f"{each.c_calls}, files {each.files}, hops {each.hops},", end=" ")
        print(f"instructions {sum(hook.instructions.values()) // COUNTED}")
    if wanted.v:
        hook = hooks[wanted.kind]
        for key, n in hook.instructions.most_common():
            calls, name = hook.calls[key] / COUNTED, key.replace(PACKAGE, "gateway")
            print(f"{calls:6.1f} calls {n / COUNTED:6.1f} instructions  {name}")
    if wanted.write:
        write({kind: hook.counts() for kind, hook in hooks.items()})


if __name__ == "__main__":
    main()
