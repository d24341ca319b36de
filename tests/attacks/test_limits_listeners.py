"""Connections count from their first byte, on every listener, and end in time."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PATIENCE, Server, free_port
from tests.walk.harness import (
    ADMIN_TOKEN,
    Client,
    Gateway,
    RecordingUpstream,
    ask,
    base_config,
    connected,
    gateway_process,
    running_gateway,
    send_raw,
    until,
)

pytestmark = pytest.mark.walk

Certificate = tuple[Path, Path]
LAST_GET = b"GET / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"
GET = b"GET /static/x HTTP/1.1\r\nHost: gw.test\r\n\r\n"


@asynccontextmanager
async def over_tls(
    certificate: Certificate,
    port: int,
    folder: Path,
    redis: Server,
    *,
    connections: int = 10_000,
    handshake: str = "10s",
) -> AsyncIterator[tuple[Gateway, dict[str, Any]]]:
    """Open a gateway with TLS; gives how to connect to it, too."""
    public, private = certificate
    config = base_config(port)
    config["server"] |= {
        "public_url": "https://gw.test",
        "tls": {"certificate": str(public), "key": str(private)},
        "limits": {"connections": connections},
        "timeouts": {"request_headers": handshake},
    }
    how = {
        "ssl": ssl.create_default_context(cafile=str(public)),
        "server_hostname": "gw.test",
    }
    async with running_gateway(config, folder, redis.url) as gateway:
        yield gateway, how


@cache
def hello() -> bytes:
    """Return the first flight of a client."""
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    machine = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="gw.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        machine.do_handshake()
    return sent.read()


HALF_OPEN: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "one byte": lambda: b"\x16",
    "half of a hello": lambda: hello()[:60],
    "a hello and no more": hello,
    "endless small records": lambda: b"\x16\x03\x01\x00\x01\x01" * 3,
}


@pytest.mark.parametrize("kind", HALF_OPEN)
async def test_a_tls_handshake_counts_and_ends_in_time(
    certificate: Certificate,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    kind: str,
) -> None:
    async with (
        over_tls(
            certificate,
            upstream.port,
            tmp_path,
            redis,
            connections=8,
            handshake="500ms",
        ) as (gateway, how),
        contextlib.AsyncExitStack() as stack,
    ):
        half_open = []
        for _ in range(30):
            half_open.append(await stack.enter_async_context(connected(gateway.port)))
            with contextlib.suppress(ConnectionError):
                await half_open[-1].send(HALF_OPEN[kind]())
            assert gateway.app._process.client_server._slots <= 8
        # Those above the limit are closed at once, the others after the time-out.
        for client in half_open:
            with contextlib.suppress(ConnectionError):
                await client.silence()
        await until(lambda: gateway.app._process.client_server._slots == 0)
        async with connected(gateway.port, **how) as honest:
            await honest.send(GET)
            reply = await honest.reply()

    assert reply.status == 200
    reported = [line for line in gateway.lines() if line["log.level"] == "error"]
    assert reported == []


async def test_half_open_handshakes_of_one_address_leave_places_to_others(
    certificate: Certificate,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    async with (
        over_tls(certificate, upstream.port, tmp_path, redis, connections=40) as (
            gateway,
            how,
        ),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(60):
            await stack.enter_async_context(connected(gateway.port))
        await until(lambda: gateway.app._process.client_server._slots == 20)
        async with connected(
            gateway.port, local_addr=("127.0.0.2", 0), **how
        ) as honest:
            await honest.send(GET)
            reply = await honest.reply()

    assert reply.status == 200


async def test_plain_connections_of_one_address_leave_places_to_others(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"]["limits"] = {"connections": 40}

    async with (
        running_gateway(config, tmp_path, redis.url) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(20):
            await stack.enter_async_context(connected(gateway.port))
        await until(lambda: gateway.app._process.client_server._slots == 20)
        async with connected(gateway.port) as too_many:
            refused = await too_many.reply()
        async with connected(gateway.port, local_addr=("127.0.0.2", 0)) as honest:
            await honest.send(GET)
            reply = await honest.reply()
        await stack.aclose()
        await until(lambda: gateway.app._process.client_server._slots == 0)
        afterwards = await ask(gateway.port)

    assert (refused.status, refused.json()["reason"]) == (429, "client_limit")
    assert refused.one("Retry-After")
    assert (reply.status, afterwards.status) == (200, 200)


async def test_a_proxy_that_is_trusted_may_hold_every_connection(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"] |= {
        "limits": {"connections": 40},
        "trusted_proxies": ["127.0.0.0/8"],
    }

    async with (
        running_gateway(config, tmp_path, redis.url) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(40):
            client = await stack.enter_async_context(connected(gateway.port))
            await client.send(GET)
            assert (await client.reply()).status == 200
        assert gateway.app._process.client_server._slots == 40


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(GET, id="GET"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\nabc", id="body"),
        pytest.param(b"G", id="one byte"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    ],
)
async def test_plain_http_on_the_tls_port_gets_a_400(
    certificate: Certificate,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    raw: bytes,
) -> None:
    async with (
        over_tls(certificate, upstream.port, tmp_path, redis) as (gateway, _),
        connected(gateway.port) as client,
    ):
        await client.send(raw)
        reply = await client.reply()
        assert await client.silence() == b""
        client.writer.close()
        await until(lambda: gateway.app._process.client_server._slots == 0)

    assert (reply.status, reply.json()["reason"]) == (400, "tls_required")
    assert reply.one("Connection") == "close"
    assert upstream.seen == []
    [line] = [
        line
        for line in gateway.lines()
        if "url.path" in line or "gateway.reason" in line
    ]
    assert line["gateway.reason"] == "tls_required"


async def test_a_tls_client_on_the_plain_port_gets_a_400(gateway: Gateway) -> None:
    async with connected(gateway.port) as client:
        await client.send(hello())
        reply = await client.reply()

    assert reply.status == 400


# The admin listener


@pytest.fixture
async def admin(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[int]:
    """Open a gateway with short times; gives the port of its admin listener."""
    monkeypatch.setattr("gateway.server.admin.application._BODY_WAIT", 0.5)
    monkeypatch.setattr("gateway.server.admin.listener._CONNECTIONS", 20)
    config = base_config(upstream.port)
    port = free_port()
    config["server"] |= {
        "admin": f"127.0.0.1:{port}",
        "timeouts": {"request_headers": "500ms", "keepalive": "1s"},
    }
    async with running_gateway(config, tmp_path, redis.url):
        yield port


def admin_post(length: int) -> bytes:
    return (
        f"POST /admin/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        f"Authorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
    ).encode()


STALLED = {
    "a head": (b"GET /livez HTTP/1.1\r\nHo", 408),
    "a head after a request": (b"GET /livez HT", 408),
    "a body": (admin_post(100) + b"{", 408),
    "a chunked body": (
        admin_post(1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
        + b"5\r\nab",
        408,
    ),
    "a body without a token": (
        b"POST /admin/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
        401,
    ),
    "nothing": (b"", None),
    "nothing after a request": (b"", None),
}


@pytest.mark.parametrize("kind", STALLED)
async def test_an_admin_client_that_stalls_is_closed(admin: int, kind: str) -> None:
    raw, status = STALLED[kind]

    async with connected(admin) as client:
        if "after a request" in kind:
            await client.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.reply()).status == 200
        await client.send(raw)
        reply = None if status is None else await client.reply()
        assert await client.silence() == b""

    if reply is not None:
        assert reply.status == status
        assert reply.one("Content-Type") == "application/problem+json"


async def test_a_head_that_trickles_into_the_admin_listener_gets_no_more_time(
    admin: int,
) -> None:
    async def trickle(client: Client) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(b"a")
                await asyncio.sleep(0.02)

    async with connected(admin) as client:
        await client.send(b"GET /livez HTTP/1.1\r\nX: ")
        trickling = asyncio.create_task(trickle(client))
        reply = await client.reply()
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)

    assert reply.status == 408


async def test_the_admin_listener_has_a_limit_of_connections(admin: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        held = []
        for _ in range(20):
            held.append(await stack.enter_async_context(connected(admin)))
            await held[-1].send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await held[-1].reply()).status == 200
        async with connected(admin) as too_many:
            refused = await too_many.reply()
            assert await too_many.silence() == b""
        for client in held:
            assert await client.silence() == b""  # idle for too long
        async with connected(admin) as later:
            await later.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = await later.reply()

    assert refused.status == 503
    assert reply.status == 200


async def test_pipelined_admin_requests_keep_no_other_client_waiting(
    admin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = 0

    async def count(client: Client) -> None:
        nonlocal served
        while data := await client.reader.read(1 << 16):
            served += data.count(b"HTTP/1.1 200")

    async with connected(admin) as flood, connected(admin) as other:
        counting = asyncio.create_task(count(flood))
        sending = asyncio.create_task(
            flood.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
        )
        await until(lambda: served > 20)
        before = served
        await other.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = await other.reply()
        meanwhile = served - before
        for task in (counting, sending):
            task.cancel()
        await asyncio.gather(counting, sending, return_exceptions=True)

    assert reply.status == 200
    assert meanwhile < 100


# Descriptors


async def test_a_process_without_descriptors_reports_it_once_and_recovers(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)

    async with (
        gateway_process(config, tmp_path, redis.url, descriptors=64) as process,
        connected(process.port) as early,
    ):
        await early.send(GET)
        assert (await early.reply()).status == 200
        idle = [
            await asyncio.open_connection("127.0.0.1", process.port) for _ in range(150)
        ]
        # New connections to the upstream and to Redis are still possible.
        await early.send(
            b"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\nCookie: gateway_session="
            + b"A" * 43
            + b"\r\n\r\n"
        )
        assert (await early.reply()).status == 401
        for writer in upstream._writers:
            writer.transport.abort()
        await early.send(GET)
        assert (await early.reply()).status == 200
        for _, writer in idle:
            writer.close()
        async with asyncio.timeout(PATIENCE):
            # Until the places are free, a connection is closed without an answer.
            while b" 200 " not in await send_raw(process.port, LAST_GET):
                continue

    reported = [line for line in process.lines if line["message"].startswith("out of ")]
    assert [line["message"] for line in reported] == [
        "out of file descriptors of the process"
    ]
    assert reported[0]["limit"] == 64


async def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with gateway_process(
            base_config(upstream.port), tmp_path, redis.url
        ) as process:
            limits = Path(f"/proc/{process.process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    [line] = [line for line in limits.splitlines() if "open files" in line]
    assert line.split()[3] == line.split()[4]
    assert int(line.split()[3]) == min(hard, 1_048_576)


def test_the_kernel_gives_out_the_lowest_descriptor() -> None:
    """The reserve relies on it (POSIX, open())."""
    with socket.socket() as one:
        first = one.fileno()
    with socket.socket() as two:
        assert two.fileno() == first
