"""Sockets that listen are served, and clients reach what serves them."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.doors import open_door
from gateway.server.sockets import bind


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


async def test_a_port_is_served_until_its_door_closes() -> None:
    door = await open_door(bind("127.0.0.1:0"), Greeter, context=None)

    (port,) = door.ports
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b"hello"
    writer.close()
    door.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_unix_socket_is_served_and_has_no_port(short: Path) -> None:
    door = await open_door(bind(f"unix:{short}/gw.sock"), Greeter, context=None)

    reader, writer = await asyncio.open_unix_connection(f"{short}/gw.sock")
    assert await reader.read() == b"hello"
    writer.close()
    assert door.ports == ()
    door.close()


async def test_a_name_of_several_addresses_is_one_door() -> None:
    listening = bind("localhost:0")
    expected = len(listening.sockets)
    door = await open_door(listening, Greeter, context=None)

    assert len(door.ports) == expected
    for port in door.ports:
        with socket.create_connection(("localhost", port)):
            pass
    door.close()
