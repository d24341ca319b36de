"""CPU time per request of the upstream client alone: `python -m tests.bench.upstream_client`.

A raw uvloop server in a process of its own gives the same small answer to everything;
this process sends GETs over a number of connections at once.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

import uvloop

from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream import Upstream

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: raw\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 31\r\nConnection: keep-alive\r\n\r\n"
    b"hello world, this is upstream.\n"
)
HEAD = (
    b"GET /some/path?with=query HTTP/1.1\r\nHost: app.example\r\nAccept: */*\r\n"
    b"User-Agent: bench\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
    b"X-User-Id: 42\r\nAuthorization: Bearer " + b"x" * 300 + b"\r\n\r\n"
)


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


class _RawClient(asyncio.Protocol):
    """The floor: write, await a future, no HTTP at all."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.future.set_result(data)

    def send(self) -> asyncio.Future[bytes]:
        self.future: asyncio.Future[bytes] = self.loop.create_future()
        self.transport.write(HEAD)
        return self.future


async def _floor(port: int, count: int, concurrency: int) -> None:
    async def one() -> None:
        _, client = await asyncio.get_running_loop().create_connection(
            _RawClient, "127.0.0.1", port
        )
        for _ in range(count // concurrency):
            await client.send()
        client.transport.close()

    await asyncio.gather(*(one() for _ in range(concurrency)))


async def _upstream(port: int, count: int, concurrency: int) -> None:
    target = TargetAddress(scheme="http", host="127.0.0.1", port=port)
    upstream = Upstream(
        name="bench",
        targets=[target],
        connect_timeout=2,
        response_timeout=10,
        idle_timeout=10,
    )

    async def one() -> None:
        for _ in range(count // concurrency):
            answer = await upstream.send(HEAD, method="GET", body=None, retriable=True)
            assert answer.status == 200
            assert answer.end_to_end.fields
            assert answer.complete_body() is not None

    await asyncio.gather(*(one() for _ in range(concurrency)))
    await upstream.close()


Program: TypeAlias = Callable[[int, int, int], Coroutine[Any, Any, None]]


def _measure(
    name: str, program: Program, port: int, count: int, concurrency: int
) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    uvloop.run(program(port, count, concurrency))
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps(
            {
                "what": name,
                "connections": concurrency,
                "cpu_us_per_request": round(cpu / count * 1e6, 1),
                "user_us_per_request": round(
                    (after.ru_utime - before.ru_utime) / count * 1e6, 1
                ),
                "requests_per_second": round(count / wall),
            }
        )
    )


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        uvloop.run(_serve())
        return
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.upstream_client", "serve"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    try:
        port = int(server.stdout.readline())
        for concurrency in (1, 16, 64):
            for name, program in (
                ("raw floor", _floor),
                ("upstream client", _upstream),
            ):
                _measure(name, program, port, 64 * 800, concurrency)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
