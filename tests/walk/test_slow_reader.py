"""A client that takes nothing holds an upstream's connection only so long."""

import asyncio
from pathlib import Path

from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    RecordingUpstream,
    Seen,
    base_config,
    running_gateway,
)


async def endless(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    while True:
        writer.write(piece)
        await writer.drain()


async def test_a_client_that_takes_nothing_is_let_go(
    redis: Server, tmp_path: Path
) -> None:
    upstream = RecordingUpstream(answer=endless)
    await upstream.start()
    config = base_config(upstream.port)
    config["upstreams"]["web"]["timeouts"] = {"idle": "500ms"}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n")

        async with asyncio.timeout(PATIENCE):
            await upstream.gone.wait()

        writer.close()
        (line,) = [each for each in await gateway.logged() if "url.path" in each]
        assert line["gateway.reason"] == "client_gone"
    await upstream.stop()
