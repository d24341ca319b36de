"""A gateway in a thread of its own: Playwright's loop has the test's."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import PATIENCE, free_port
from tests.walk.harness import (
    Answer,
    Gateway,
    RecordingUpstream,
    base_config,
    running_gateway,
)


@dataclass
class Running:
    """A gateway, the loop that it runs in, and where browsers find it."""

    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    url: str

    def do(self, work: Callable[..., Awaitable[Any]], *args: Any, **how: Any) -> Any:
        """Have something done where the gateway runs."""

        async def done() -> Any:
            return await work(*args, **how)

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(PATIENCE)


@contextmanager
def serving(
    answer: Answer,
    folder: Path,
    redis_url: str,
    change: Callable[[dict[str, Any]], None] = lambda _config: None,
) -> Iterator[Running]:
    """Run a gateway on localhost, in front of an upstream that answers so.

    `change` may alter the configuration before it is read.
    """
    ready, port = threading.Event(), free_port()
    found: list[tuple[Running, asyncio.Event]] = []

    async def serve() -> None:
        upstream = RecordingUpstream(answer=answer)
        await upstream.start()
        config = base_config(upstream.port)
        url = f"http://localhost:{port}"
        config["server"] |= {"listen": f"127.0.0.1:{port}", "public_url": url}
        change(config)
        url = config["server"]["public_url"]
        async with running_gateway(config, folder, redis_url) as gateway:
            done = asyncio.Event()
            found.append((Running(gateway, asyncio.get_running_loop(), url), done))
            ready.set()
            await done.wait()
        await upstream.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(PATIENCE)
    running, done = found[0]
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(done.set)
        thread.join(PATIENCE)
