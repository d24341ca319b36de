"""A WebSocket outlives its session by a second at most, whatever happens to Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from tests.faults.redis_fleet import (
    HERE,
    SOURCE,
    THERE,
    own_addresses,  # noqa: F401 - a fixture for every test here
    sentinel_fleet,
    soon,
)
from tests.faults.wires import wires
from tests.servers import PATIENCE, free_port, valkey_server
from tests.sessions.opened import opened
from tests.walk.harness import (
    IMPATIENT,
    PROGRAM,
    Gateway,
    ask,
    base_config,
    running_gateway,
)

pytestmark = pytest.mark.walk

AT_MOST = 1.0


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def gateways(
    folder: Path, url: str, *sources: str
) -> AsyncIterator[list[Gateway]]:
    """Run gateways in front of one WebSocket server, each with an address of its own."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(echo, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        running = []
        for source in sources:
            SOURCE.set(source)
            place = folder / source
            place.mkdir()
            config = base_config(port) | {"redis": IMPATIENT}
            gateway = running_gateway(config, place, url)
            running.append(await stack.enter_async_context(gateway))
        yield running


def dial(gateway: Gateway, cookie: str) -> connect:
    return connect(
        f"ws://127.0.0.1:{gateway.port}/dashboard",
        additional_headers={"Cookie": cookie},
        close_timeout=PATIENCE,
    )


async def closed_after(ws: ClientConnection, since: float) -> float:
    """Seconds from `since` until the WebSocket is closed."""
    async with asyncio.timeout(PATIENCE):
        await ws.wait_closed()
    assert ws.close_reason == "session_revoked"
    return time.monotonic() - since


async def test_it_ends_within_a_second_of_a_sign_out_during_a_switch(
    tmp_path: Path,
) -> None:
    """The session ends at one gateway, the WebSocket is open at the other."""
    with sentinel_fleet() as fleet:
        async with (
            gateways(tmp_path, fleet.url, HERE, THERE) as (here, there),
            AsyncExitStack() as stack,
        ):
            cookies = [await here.sign_in() for _ in range(30)]
            open_ones = [
                await stack.enter_async_context(dial(here, each)) for each in cookies
            ]
            took: list[float] = []

            async def leave(cookie: str, ws: ClientConnection) -> None:
                reply = await ask(
                    there.port, "POST", "/.gateway/logout", PROGRAM | {"Cookie": cookie}
                )
                if reply.status in {204, 303}:
                    took.append(await closed_after(ws, time.monotonic()))

            leaving = []
            for number, pair in enumerate(zip(cookies, open_ones, strict=True)):
                if number == 4:
                    await asyncio.to_thread(fleet.switch)
                leaving.append(asyncio.ensure_future(leave(*pair)))
                await asyncio.sleep(0.08)
            await asyncio.gather(*leaving)
            await soon(lambda: fleet.all_name_another(fleet.servers[0]))

            assert len(took) > 8
            assert max(took) < AT_MOST


async def test_it_ends_within_a_second_of_the_end_of_an_outage(tmp_path: Path) -> None:
    """The session ended while its gateway could not reach Redis."""
    with wires() as between, valkey_server(tmp_path, port=free_port()) as server:
        public = ("127.0.1.8", free_port())
        between.lead(public, ("127.0.0.1", server.port))
        url = f"redis://{public[0]}:{public[1]}"
        async with gateways(tmp_path, url, HERE) as (gateway,):
            cookie = await gateway.sign_in()
            stays = await gateway.sign_in()
            async with dial(gateway, cookie) as ws, dial(gateway, stays) as other:
                between.cut(HERE, public[0])
                async with opened(server.url) as store:
                    await store.end(gateway.key_of(cookie), time.time())
                # Long enough that the subscription is given up.
                await soon(lambda: not gateway.own_store._watch._listening)
                between.join()

                assert await closed_after(ws, time.monotonic()) < AT_MOST
                await other.send("still here")
                assert await other.recv() == "still here"
