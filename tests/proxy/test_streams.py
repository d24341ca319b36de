"""Bodies that are much larger than the memory they may take."""

import asyncio
import gc
import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.proxy.support import GET, OK, Peer, Streamed, client_of, get, scripted, whole

MIB = 1024 * 1024
SIZE = 64 * MIB
BLOCK = bytes(range(256)) * 256  # 64 KiB
STREAM = b"POST /x HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n"
UPLOAD = b"POST /x HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % SIZE


Memory: TypeAlias = Callable[[], tuple[int, int]]


@pytest.fixture
def memory() -> Iterator[Memory]:
    tracemalloc.start(1)
    yield tracemalloc.get_traced_memory
    tracemalloc.stop()


async def send_blocks(peer: Peer, size: int) -> None:
    for _ in range(size // len(BLOCK)):
        peer.write(BLOCK)
        await peer.writer.drain()


async def test_a_large_download_takes_little_memory(
    memory: Memory,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        await send_blocks(peer, SIZE)
        await peer.answer(OK)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await get(client)
        total = 0
        while data := await response.read():
            total += len(data)

        assert total == SIZE
        assert memory()[1] < 8 * MIB
        assert (await get(client)).complete_body() == b"ok"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_reader_that_stops_stops_the_writer(
    framing: str, memory: Memory
) -> None:
    size = 32 * MIB
    written = 0
    heads = {
        "length": b"Content-Length: %d\r\n" % size,
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.answer(b"HTTP/1.1 200 OK\r\n%b\r\n" % heads[framing])
        for _ in range(size // len(BLOCK)):
            chunk = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)
            peer.write(chunk if framing == "chunked" else BLOCK)
            await peer.writer.drain()
            written += len(BLOCK)
        if framing == "chunked":
            peer.write(b"0\r\n\r\n")

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await get(client)
        before = -1
        while before != written:  # until the writer makes no progress any more
            before = written
            await asyncio.sleep(0.05)

        assert written < 16 * MIB  # what the kernel's buffers take, and some
        assert memory()[1] < 8 * MIB
        digest = hashlib.sha256(await whole(response)).digest()
        assert digest == hashlib.sha256(BLOCK * (size // len(BLOCK))).digest()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_takes_little_memory(
    chunked: bool, memory: Memory
) -> None:
    class Blocks(Streamed):
        def __init__(self) -> None:
            self.chunked = chunked
            self.left = SIZE

        async def read(self) -> bytes:
            if not self.left:
                return b""
            self.left -= len(BLOCK)
            return BLOCK

    async def script(peer: Peer) -> None:
        await peer.head()
        received = 0
        tail = b""
        overhead = (len(BLOCK) + 9) * (SIZE // len(BLOCK)) + 5
        while received < (overhead if chunked else SIZE):
            data = await peer.reader.read(65536)
            received += len(data)
            tail = (tail + data)[-5:]
        assert not chunked or tail == b"0\r\n\r\n"
        peer.write(OK)
        await peer.answer(OK)
        await peer.rest()

    async with scripted(script) as upstream, client_of(upstream) as client:
        response = await client.send(
            STREAM if chunked else UPLOAD, method="POST", body=Blocks(), retriable=False
        )

        assert response.complete_body() == b"ok"
        assert memory()[1] < 8 * MIB
        await get(client)
        assert upstream.received[0].endswith(GET)


async def test_chunks_of_one_byte_do_not_fill_the_memory(
    memory: Memory,
) -> None:
    count = 500_000

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(count // 5000):
            peer.write(b"1\r\nx\r\n" * 5000)
            await peer.writer.drain()
        peer.write(b"0\r\n\r\n")

    async with scripted(script) as upstream, client_of(upstream) as client:
        assert len(await whole(await get(client))) == count
        assert memory()[1] < 16 * MIB


@pytest.mark.parametrize(
    "answer",
    [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
)
async def test_a_request_leaves_the_collector_nothing(answer: bytes) -> None:
    """A reference cycle for each request makes pauses, and the memory larger."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(answer)

    async with scripted(script) as upstream, client_of(upstream) as client:
        await whole(await get(client))
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                assert await whole(await get(client)) == b"ok"
            left = gc.collect()
        finally:
            gc.enable()

    assert left < 20
