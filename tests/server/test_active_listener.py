"""Sockets that listen are served, and clients reach what serves them."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from gateway.server.accepting import Plain
from gateway.server.active_listener import ActiveListener, start_listener
from gateway.server.descriptors import Shortage
from gateway.server.sockets import ListeningSocket, bind


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"hello")
        transport.close()


def opened(listening: ListeningSocket) -> ActiveListener:
    shortage = Shortage(lambda *_: None)
    return start_listener(listening, Plain(Greeter), shortage=shortage)


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


async def test_a_port_is_served_until_its_door_closes() -> None:
    listener = opened(bind("127.0.0.1:0"))

    (port,) = listener.ports
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b"hello"
    writer.close()
    listener.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_unix_socket_is_served_and_has_no_port(short: Path) -> None:
    listener = opened(bind(f"unix:{short}/gw.sock"))

    reader, writer = await asyncio.open_unix_connection(f"{short}/gw.sock")
    assert await reader.read() == b"hello"
    writer.close()
    assert listener.ports == ()
    listener.close()


async def test_a_name_of_several_addresses_is_one_door() -> None:
    listening = bind("localhost:0")
    expected = len(listening.sockets)
    listener = opened(listening)

    assert len(listener.ports) == expected
    for port in listener.ports:
        with socket.create_connection(("localhost", port)):
            pass
    listener.close()
