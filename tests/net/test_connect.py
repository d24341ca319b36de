"""From a name to a socket: dead addresses, in whatever order, cost a share of the time."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.net.connect import is_address, open_socket
from gateway.net.resolver import DnsSettings, Resolver
from tests.dns_server import DnsServer, How, dns_server
from tests.servers import PATIENCE, SOON, free_port


@asynccontextmanager
async def listening(*hosts: str) -> AsyncIterator[int]:
    port = free_port()
    servers = [
        await asyncio.start_server(lambda _, writer: writer.close(), host, port)
        for host in hosts
    ]
    try:
        yield port
    finally:
        for server in servers:
            server.close()


@asynccontextmanager
async def black_hole(host: str, port: int) -> AsyncIterator[None]:
    """An address that completes no handshake: its queue of connections is full."""
    with socket.socket() as hole:
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind((host, port))
        hole.listen(0)
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((host, port))
            fillers.append(filler)
        try:
            yield
        finally:
            for filler in fillers:
                filler.close()


@asynccontextmanager
async def resolving(
    **names: Sequence[str],
) -> AsyncIterator[tuple[Resolver, DnsServer]]:
    async with dns_server() as server:
        for name, addresses in names.items():
            server.put(f"{name}.test", *addresses)
        resolver = Resolver(DnsSettings(servers=(server.address,), timeout=PATIENCE))
        yield resolver, server
        await resolver.close()


async def peer_of(
    resolver: Resolver, name: str, port: int, timeout: float = PATIENCE
) -> str:
    with await open_socket(resolver, name, port, timeout=timeout) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        peer: str = sock.getpeername()[0]
        return peer


async def test_an_address_needs_no_resolver() -> None:
    async with listening("127.0.0.1") as port, resolving() as (resolver, server):
        assert await peer_of(resolver, "127.0.0.1", port) == "127.0.0.1"
        assert server.requested == []


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_addresses_that_refuse_give_way_to_one_that_takes(count: int) -> None:
    dead = [f"127.0.0.{9 + number}" for number in range(count)]
    async with (
        listening("127.0.0.2") as port,
        resolving(app=(*dead, "127.0.0.2", "::1")) as (resolver, _),
    ):
        for _ in range(4):
            assert await peer_of(resolver, "app.test", port) == "127.0.0.2"


async def test_an_address_that_hangs_costs_a_share_of_the_time_and_once() -> None:
    async with (
        listening("127.0.0.2") as port,
        black_hole("127.0.0.9", port),
        resolving(app=("127.0.0.9", "127.0.0.2")) as (resolver, _),
    ):
        began = time.monotonic()
        peers = [await peer_of(resolver, "app.test", port) for _ in range(20)]

        assert peers == ["127.0.0.2"] * 20
        assert time.monotonic() - began < SOON


async def test_with_little_time_each_address_still_has_its_share() -> None:
    async with (
        listening("127.0.0.2") as port,
        black_hole("127.0.0.9", port),
        resolving(app=("127.0.0.9", "127.0.0.2")) as (resolver, _),
    ):
        await resolver.resolve("app.test")

        assert await peer_of(resolver, "app.test", port, timeout=0.2) == "127.0.0.2"


async def test_of_very_many_addresses_some_are_tried_and_then_others() -> None:
    many = [f"127.0.1.{number}" for number in range(1, 100)]
    async with (
        listening("127.0.1.50") as port,
        resolving(app=many) as (resolver, _),
    ):
        failures, peer = 0, None
        while peer is None:
            try:
                peer = await peer_of(resolver, "app.test", port)
            except OSError:
                failures += 1

        assert peer == "127.0.1.50"
        assert failures < 100


async def test_no_connection_within_the_time_is_a_time_out() -> None:
    port = free_port()
    async with (
        black_hole("127.0.0.9", port),
        resolving(app=("127.0.0.9",)) as (resolver, server),
    ):
        server.put("hang.test", how=How.HANG)
        for name in ("app.test", "hang.test"):
            with pytest.raises(TimeoutError):
                await open_socket(resolver, name, port, timeout=0.2)


async def test_where_all_refuse_it_is_an_os_error() -> None:
    async with resolving(app=("127.0.0.9", "::1")) as (resolver, _):
        with pytest.raises(OSError):
            await open_socket(resolver, "app.test", free_port(), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("host", "numeric"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("localhost", False),
        ("127.1", False),
        ("1.2.3.4.test", False),
        ("", False),
    ],
)
def test_what_is_an_address(host: str, numeric: bool) -> None:
    assert is_address(host) is numeric
