"""Wires between servers that can be cut: a proxy in front of each of them.

A partition needs no privileges this way. Every server has a loopback address of its
own, from which it connects to the others, so a proxy knows who is on the other end
(`bind-source-addr`); and every server announces its proxy, so all go through it. A
wire that is cut lets nothing through, in either direction, and closes nothing: what
was sent arrives when it is joined again, as over a network.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

Place = tuple[str, int]


class Wires:
    """Proxies on a loop of their own; every method may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._cut: set[frozenset[str]] = set()
        self._targets: dict[Place, Place] = {}
        self._listening: dict[Place, asyncio.Server] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def lead(self, public: Place, to: Place) -> None:
        """Lead new connections to `public` to a server; old ones stay where they are."""
        new = public not in self._targets
        self._targets[public] = to
        if new:
            self._run(self._listen(public))

    def close_port(self, public: Place) -> None:
        """Refuse connections from now on: nobody listens there any more."""
        self._run(self._stop(public))

    def cut(self, one: str, other: str) -> None:
        """Cut two addresses from each other."""
        self._cut.add(frozenset((one, other)))

    def isolate(self, inside: list[str], outside: list[str]) -> None:
        """Cut each of some addresses from each of others."""
        for one in inside:
            for other in outside:
                self.cut(one, other)

    def join(self) -> None:
        """Join everything again."""
        self._cut.clear()

    def close(self) -> None:
        self._run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, public: Place) -> None:
        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            # Cancelled only at the end, and then streams want no exception of ours.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(public, reader, writer)
            writer.transport.abort()

        self._listening[public] = await asyncio.start_server(serve, *public)

    async def _stop(self, public: Place) -> None:
        self._listening.pop(public).close()

    async def _serve(
        self, public: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = writer.get_extra_info("peername")[0]
        ends = frozenset((source, public[0]))
        await self._while_cut(ends)
        there = await asyncio.open_connection(*self._targets[public])
        try:
            pumps = [
                asyncio.ensure_future(self._pump(reader, there[1], ends)),
                asyncio.ensure_future(self._pump(there[0], writer, ends)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self._while_cut(ends)
        finally:
            there[1].transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: frozenset[str],
    ) -> None:
        while data := await reader.read(65536):
            await self._while_cut(ends)
            writer.write(data)
            await writer.drain()

    async def _while_cut(self, ends: frozenset[str]) -> None:
        while ends in self._cut and not self._closing:
            await asyncio.sleep(0.005)

    async def _finish(self) -> None:
        self._closing = True
        for server in self._listening.values():
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def wires() -> Iterator[Wires]:
    made = Wires()
    try:
        yield made
    finally:
        made.close()
