"""A request leaves nothing that only the garbage collector frees.

A cycle for each request makes the collector run, and everything else wait for it.
"""

import asyncio
import gc
import socket
import threading
from pathlib import Path

import pytest

from tests.bench.calls import request, upstream
from tests.servers import Server
from tests.walk.harness import base_config, running_gateway

FEW, MANY = 20, 220


@pytest.mark.parametrize("kind", ["GET", "POST"])
async def test_a_warm_request_leaves_the_collector_nothing(
    kind: str, tmp_path: Path, redis: Server
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=upstream, args=(listening,), daemon=True).start()
    config = base_config(listening.getsockname()[1])
    found: dict[int, int] = {}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        for times in (FEW, FEW, MANY):
            gc.collect()
            gc.disable()
            try:
                await asyncio.to_thread(request, gateway.port, cookie, kind, times)
                found[times] = gc.collect()
            finally:
                gc.enable()
    listening.close()

    # A connection may leave some.
    assert found[MANY] - found[FEW] < (MANY - FEW) / 10
