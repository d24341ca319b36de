"""A stall of this process is not an outage of Redis."""

import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop

from gateway.sessions.redis.patience import Patience
from tests.servers import PATIENCE, SOON

SECONDS = 0.2


async def test_it_ends_what_takes_too_long() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with Patience(SECONDS):
            await asyncio.sleep(PATIENCE)

    assert SECONDS * 0.9 <= time.monotonic() - began < SOON


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def work() -> None:
        async with Patience(PATIENCE):
            await asyncio.sleep(PATIENCE)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_of_two_is_distinguished_from_the_outer() -> None:
    async with Patience(PATIENCE):
        with pytest.raises(TimeoutError):
            async with Patience(SECONDS):
                await asyncio.sleep(PATIENCE)


async def answered_after_a_stall() -> bytes:
    """A response arrives while this process gets no CPU for far longer than it may."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"+PONG\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with Patience(SECONDS):
            writer.write(b"PING\r\n")
            asyncio.get_running_loop().call_soon(time.sleep, 5 * SECONDS)
            answer = await reader.readline()
        writer.close()
        return answer


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_an_answer_that_came_during_a_stall_is_read(run: Callable[..., object]) -> None:
    assert run(answered_after_a_stall()) == b"+PONG\r\n"
