"""Slow bodies: they end, and they leave an upstream's connections to others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import parse_config
from gateway.server.descriptors import descriptor_limit
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Client,
    Gateway,
    Line,
    RecordingUpstream,
    ask,
    base_config,
    connected,
    running_gateway,
    stage,
    until,
)

pytestmark = pytest.mark.walk


@asynccontextmanager
async def opened(
    port: int, folder: Path, redis: Server, **upstream: Any
) -> AsyncIterator[Gateway]:
    """Open a gateway with these settings of its upstream."""
    config = base_config(port)
    config["upstreams"]["web"] |= upstream
    async with running_gateway(config, folder, redis.url) as gateway:
        yield gateway


def post(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: gw.test", *lines, "", ""]).encode()


SLOW = {
    "a length": post("Content-Length: 100000") + b"a",
    "a length, nothing sent": post("Content-Length: 100000"),
    "chunks": post("Transfer-Encoding: chunked") + b"1\r\na\r\n",
    "a client that waits": post("Content-Length: 100000", "Expect: 100-continue"),
    "chunks that wait": post("Transfer-Encoding: chunked", "Expect: 100-continue"),
}


def in_use(gateway: Gateway) -> int:
    [target] = gateway.app.runtime.applications["web"].upstream.stats()
    return target.in_use


@pytest.mark.parametrize("kind", SLOW)
async def test_slow_uploads_take_at_most_half_of_an_upstream(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, kind: str
) -> None:
    async with (
        opened(upstream.port, tmp_path, redis, max_connections=8) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        slow = []
        for _ in range(40):
            slow.append(await stack.enter_async_context(connected(gateway.port)))
            await slow[-1].send(SLOW[kind])
        metrics = gateway.app._reporter.metrics
        await until(lambda: metrics.requests_in_flight == len(slow))
        # Those of a known length take a connection, if there is one, after a second.
        await until(lambda: in_use(gateway) == 5)
        replies = [await ask(gateway.port) for _ in range(10)]
        taken = in_use(gateway)

    assert [reply.status for reply in replies] == [200] * 10
    assert taken == 5


async def trickle(client: Client, piece: bytes, pause: float) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await client.send(piece)
            await asyncio.sleep(pause)


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "chunked"])
async def test_a_body_below_the_least_rate_is_a_408(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, framing: str
) -> None:
    chunked = framing == "chunked"
    head = post("Transfer-Encoding: chunked" if chunked else framing)
    slow = {"timeouts": {"request_body": "500ms"}, "body_rate": "10KiB"}

    async with (
        opened(upstream.port, tmp_path, redis, **slow) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(head)
        trickling = asyncio.create_task(
            trickle(client, b"1\r\na\r\n" if chunked else b"a", 0.02)
        )
        reply = await client.reply()
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)

    assert (reply.status, reply.json()["reason"]) == (408, "request_timeout")
    assert reply.one("Connection") == "close"
    assert upstream.complete == []


async def test_a_body_of_any_rate_passes_where_none_is_asked_for(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    loose = {"timeouts": {"request_body": "400ms"}, "body_rate": 0}

    async with (
        opened(upstream.port, tmp_path, redis, **loose) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(post("Content-Length: 20"))
        for _ in range(20):
            await client.send(b"a")
            await asyncio.sleep(0.04)  # twice as long in all as a pause may be
        reply = await client.reply()

    assert reply.status == 200
    assert upstream.last.body == b"a" * 20


async def test_an_upstream_that_reads_slowly_costs_the_client_no_time(
    redis: Server, tmp_path: Path
) -> None:
    body = b"x" * (8 << 20)  # more than the sockets between hold

    async def dawdle(line: Line) -> None:
        seen = await line.head()
        await asyncio.sleep(1)  # longer than a client may take
        async for _ in line.pieces(seen):
            continue
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    slow = {"timeouts": {"request_body": "500ms"}, "body_rate": "8MiB"}
    async with (
        stage(dawdle) as playing,
        opened(playing.port, tmp_path, redis, **slow) as gateway,
    ):
        reply = await ask(gateway.port, "POST", "/", {}, body)

    assert reply.status == 200


async def test_a_body_that_begins_slowly_takes_no_connection_of_a_crowded_upstream(
    redis: Server, tmp_path: Path
) -> None:
    """It goes on once its first part is here, or the upstream has room again."""
    release = asyncio.Event()
    posts = 0

    async def upstream(line: Line) -> None:
        nonlocal posts
        while True:
            seen = await line.head()
            posts += seen.method == "POST"
            async for _ in line.pieces(seen):
                continue
            if seen.method == "GET":
                await release.wait()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with (
        stage(upstream) as playing,
        opened(playing.port, tmp_path, redis, max_connections=4) as gateway,
        connected(gateway.port) as first,
        connected(gateway.port) as second,
    ):
        waiting = [asyncio.create_task(ask(gateway.port)) for _ in range(3)]
        await until(lambda: in_use(gateway) == 3)
        await first.send(post("Content-Length: 20000"), b"a" * 100)
        await second.send(post("Content-Length: 20000"), b"a" * 16_384)
        await until(lambda: posts == 1)  # the second
        await second.send(b"a" * (20_000 - 16_384))
        early = (await second.reply()).status
        assert posts == 1
        release.set()
        replies = await asyncio.gather(*waiting)
        await first.send(b"a" * 19_900)
        late = (await first.reply()).status

    assert (early, late, posts) == (200, 200, 2)
    assert [reply.status for reply in replies] == [200] * 3


async def test_an_upstream_has_no_more_connections_than_configured(
    redis: Server, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def upstream(line: Line) -> None:
        await line.request()
        await release.wait()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with (
        stage(upstream) as playing,
        opened(
            playing.port,
            tmp_path,
            redis,
            max_connections=2,
            timeouts={"connect": "300ms"},
        ) as gateway,
    ):
        held = [asyncio.create_task(ask(gateway.port)) for _ in range(2)]
        await until(lambda: in_use(gateway) == 2)
        refused = await ask(gateway.port)
        release.set()
        async with asyncio.timeout(PATIENCE):
            served = await asyncio.gather(*held)

    assert (refused.status, refused.json()["reason"]) == (503, "upstream_busy")
    assert refused.one("Retry-After") == "2"
    assert [reply.status for reply in served] == [200, 200]
    assert len(playing.lines) == 2


MINIMAL = """
version: 1
server: {{limits: {{connections: 77}}}}
upstreams: {{web: {{url: "http://127.0.0.1:1"{extra}}}}}
routes: [{{match: /**, rule: public, upstream: web}}]
"""


@pytest.mark.parametrize(
    ("extra", "most"), [("", 77), (", max_connections: 20000", 20_000)]
)
async def test_every_client_connection_may_have_one_of_the_upstream(
    extra: str, most: int
) -> None:
    from gateway.build.runtime import build_runtime
    from tests.server.parts import RING

    loaded = parse_config(
        MINIMAL.format(extra=extra).encode(), path=Path("g.yaml"), env={}
    )
    serving = build_runtime(loaded, ring=RING, ticks=lambda: 0.0)

    pool = serving.applications["web"].upstream._pool
    assert pool._places._most == most
    # After a burst they are kept, so that the next one does not connect again.
    assert pool._max_idle == min(most, 1024, descriptor_limit() // 4)
