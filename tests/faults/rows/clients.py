"""Clients that leave, that are slow, and that are many."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from tests.faults.gateways import descriptors, resident
from tests.faults.load import ORDINARY
from tests.faults.oracle import TrackedSession
from tests.faults.sites import build
from tests.faults.sockets import handshake
from tests.faults.trial import Plan, Row, Site, Trial
from tests.faults.upstream import reset
from tests.faults.wire import request
from tests.servers import PATIENCE

_SLOW = 40
"""Slow clients of each of the three kinds."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def roomy(plan: Plan) -> Site:
    """A gateway that takes more connections than the row opens."""
    server = {
        "limits": {"connections": 15_000, "address_percent": 100},
        # A connection that sends nothing would be closed while the others are opened.
        "timeouts": {"request_headers": "120s"},
    }
    return await build(plan, timeout="3s", config=server)


async def aborts(trial: Trial) -> None:
    """Clients leave at every point of a request, all the time."""
    upstream = trial.site.upstream
    trial.fault()
    leaving = asyncio.ensure_future(_leave_again_and_again(trial))
    await trial.under_fault()
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    trial.mended()
    await trial.steady()
    async with asyncio.timeout(PATIENCE):
        while upstream.connections > 100:
            await asyncio.sleep(0.01)


async def _leave_again_and_again(trial: Trial) -> None:
    ways = (_half_a_head, _half_a_body, _half_a_response, _a_websocket)
    left = 0
    try:
        while True:
            session = random.choice(trial.load.live)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _leave(trial.load.port, random.choice(ways), session)
                left += 1
    finally:
        trial.notes.append(f"{left:,} clients left")


async def _leave(
    port: int,
    way: Callable[[Streams, TrackedSession], Awaitable[None]],
    session: TrackedSession,
) -> None:
    streams = await asyncio.open_connection("127.0.0.1", port)
    try:
        await way(streams, session)
    finally:
        reset(streams[1])


async def _half_a_head(streams: Streams, session: TrackedSession) -> None:
    streams[1].write(request("GET", "/home/x", cookie=session.cookie)[:-10])
    await asyncio.sleep(0.002)


async def _half_a_body(streams: Streams, session: TrackedSession) -> None:
    whole = request("POST", "/home/x", cookie=session.cookie, body=b"x" * 60_000)
    streams[1].write(whole[:-30_000])
    await asyncio.sleep(0.005)


async def _half_a_response(streams: Streams, session: TrackedSession) -> None:
    streams[1].write(request("GET", "/home/download", cookie=session.cookie))
    await streams[0].readexactly(1000)


async def _a_websocket(streams: Streams, session: TrackedSession) -> None:
    streams[1].write(handshake("/home/ws", session.cookie))
    await streams[0].readuntil(b"\r\n\r\n")


async def slow(trial: Trial) -> None:
    """One byte a second: heads, bodies, and responses that are read so."""
    trial.fault()
    clients = [
        asyncio.ensure_future(way(trial))
        for way in (_slow_head, _slow_body, _slow_reader)
        for _ in range(_SLOW)
    ]
    await trial.under_fault()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    trial.notes.append(f"{len(clients)} slow clients")
    trial.mended()
    await trial.steady()


async def _slow_head(trial: Trial) -> None:
    session = random.choice(trial.load.live)
    await _drip(trial, b"", request("GET", "/home/x", cookie=session.cookie))


async def _slow_body(trial: Trial) -> None:
    session = random.choice(trial.load.live)
    body = b"x" * 10_000
    whole = request("POST", "/home/x", cookie=session.cookie, body=body)
    await _drip(trial, whole[: -len(body)], body)


async def _drip(trial: Trial, first: bytes, rest: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", trial.load.port)
    try:
        writer.write(first)
        for byte in rest:
            writer.write(bytes((byte,)))
            await asyncio.sleep(1)
    finally:
        reset(writer)


async def _slow_reader(trial: Trial) -> None:
    session = random.choice(trial.load.live)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", trial.load.port, limit=1
    )
    try:
        writer.write(request("GET", "/home/download", cookie=session.cookie))
        while await reader.read(1):
            await asyncio.sleep(1)
    finally:
        reset(writer)


async def idle(trial: Trial) -> None:
    """Many connections that send nothing."""
    gateway = trial.gateway
    (pid,) = gateway.worker_pids()
    before, memory = descriptors(pid), resident(pid)
    trial.fault()
    held = []
    for _ in range(trial.scale.crowd):
        held.append(await asyncio.open_connection("127.0.0.1", gateway.port))
    await trial.under_fault()
    grown = (resident(pid) - memory) / len(held)
    trial.notes.append(f"{len(held):,} idle connections, {grown:.1f} KiB each")
    closed = sum(reader.at_eof() for reader, _ in held)
    trial.require(closed == 0, f"{closed} idle connections were closed")
    for _, writer in held:
        reset(writer)
    trial.mended()
    await trial.steady()
    async with asyncio.timeout(PATIENCE):
        while descriptors(pid) > before + 60:
            await asyncio.sleep(0.01)


_ALL = tuple(ORDINARY)
ROWS = (
    Row(
        name="clients-abort",
        what="clients leave in the middle of heads, bodies, responses and WebSockets",
        site=roomy,
        act=aborts,
        kinds=ORDINARY,
        healthy=_ALL,
    ),
    Row(
        name="clients-slow",
        what="clients send and read one byte a second",
        site=roomy,
        act=slow,
        kinds=ORDINARY,
        healthy=_ALL,
    ),
    Row(
        name="clients-idle",
        what="10,000 idle connections (500 in the short form)",
        site=roomy,
        act=idle,
        kinds=ORDINARY,
        healthy=_ALL,
    ),
)
