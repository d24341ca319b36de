"""A TCP relay between a client and a server that a test can slow down or cut.

It needs neither root nor a firewall, so it runs wherever the tests run.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Passes bytes on to `target` as long as the row lets it."""

    target: int
    port: int = 0
    delay: float = 0.0
    """Seconds that each piece is held, in both directions."""
    accepting: bool = True
    """Whether a new connection is carried; if not, it is closed at once."""
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(
        default_factory=set
    )

    async def start(self) -> None:
        self._gate.set()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def pause(self) -> None:
        """Pass nothing on and close nothing, as a network that drops packets."""
        self._gate.clear()

    def resume(self) -> None:
        self._gate.set()

    def cut(self) -> None:
        """Reset every connection."""
        for pair in tuple(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self.accepting:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except asyncio.CancelledError:
            pass  # the loop ends, and asyncio's own callback would ask for a result
        finally:
            self._pairs.discard(pair)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while piece := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._gate.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()
