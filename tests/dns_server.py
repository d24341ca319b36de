"""A small authoritative DNS server for tests, over UDP and TCP on one loopback port.

It answers as its zone says, and can hang, answer late, fail, truncate over UDP, and
change its records while it runs. Names that it does not have are NXDOMAIN.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from tests.servers import free_port

A, AAAA = 1, 28
_NOERROR, _SERVFAIL, _NXDOMAIN = 0, 2, 3


class How(StrEnum):
    """What the server does with a question for a name."""

    ANSWER = "answer"
    HANG = "hang"
    SERVFAIL = "servfail"
    TRUNCATE = "truncate"
    GARBAGE = "garbage"


@dataclass
class Name:
    """The records of one name and how they are given."""

    addresses: tuple[str, ...]
    ttl: int = 60
    how: How = How.ANSWER
    only: tuple[int, ...] = (A, AAAA)
    """The types of which a question is answered at all; the others hang."""


@dataclass
class DnsServer:
    """A zone and what was asked of it; `address` is what the gateway is given."""

    port: int
    zone: dict[str, Name] = field(default_factory=dict)
    requested: list[tuple[str, int, str]] = field(default_factory=list)
    """Name, type and protocol of each question."""
    held: asyncio.Event | None = None
    """While set to an event, every answer waits for it."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, *addresses: str, **how: object) -> None:
        """Set or replace the records of a name."""
        self.zone[name] = Name(addresses, **how)  # type: ignore[arg-type]

    def count(self, name: str, kind: int = A) -> int:
        return sum(1 for each in self.requested if each[:2] == (name, kind))

    async def reply(self, query: bytes, protocol: str) -> bytes | None:
        """Answer one query, or None where it hangs."""
        number, _, _ = struct.unpack_from(">HHH", query)
        name, after = _read_name(query)
        kind = struct.unpack_from(">H", query, after)[0]
        question = query[12 : after + 4]
        self.requested.append((name, kind, protocol))
        found = self.zone.get(name)
        if self.held is not None:
            await self.held.wait()
        if found is None:
            return _message(number, _NXDOMAIN, question, [])
        match found.how:
            case How.HANG:
                return None
            case How.SERVFAIL:
                return _message(number, _SERVFAIL, question, [])
            case How.GARBAGE:
                return query[:2] + b"\xff" * 20
            case How.TRUNCATE if protocol == "udp":
                return _message(number, _NOERROR, question, [], truncated=True)
        if kind not in found.only:
            return None
        family = socket.AF_INET if kind == A else socket.AF_INET6
        records = [
            struct.pack(">HHHIH", 0xC00C, kind, 1, found.ttl, len(packed)) + packed
            for each in found.addresses
            if kind in (A, AAAA) and (":" in each) == (kind == AAAA)
            for packed in [socket.inet_pton(family, each)]
        ]
        return _message(number, _NOERROR, question, records)


def _message(
    number: int,
    code: int,
    question: bytes,
    records: list[bytes],
    *,
    truncated: bool = False,
) -> bytes:
    flags = 0x8580 | code | (0x0200 if truncated else 0)
    head = struct.pack(">HHHHHH", number, flags, 1, len(records), 0, 0)
    return head + question + b"".join(records)


def _read_name(query: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels), at + 1


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer, tasks: set[asyncio.Task[None]]) -> None:
        self.server = server
        self.tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.ensure_future(self._answer(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = await self.server.reply(data, "udp")
        if reply is not None:
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def dns_server(
    host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[DnsServer]:
    """Run a server on a free port until the context ends."""
    server = DnsServer(port or free_port())
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(server, tasks), local_addr=(host, server.port)
    )

    async def over_tcp(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                length = struct.unpack(">H", await reader.readexactly(2))[0]
                reply = await server.reply(await reader.readexactly(length), "tcp")
                if reply is not None:
                    writer.write(struct.pack(">H", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    tcp = await asyncio.start_server(over_tcp, host, server.port)
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
