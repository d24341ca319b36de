"""An address is listened on, or the kernel's no is told in one line."""

import asyncio
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import CannotListen
from gateway.server.doors import Door, open_door
from tests.servers import free_port


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


async def opened(address: str, *, reuse_port: bool = False) -> Door:
    return await open_door(
        address, asyncio.Protocol, context=None, reuse_port=reuse_port
    )


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(CannotListen) as caught:
            await opened(address)

    assert str(caught.value) == f"cannot listen on {address}: address already in use"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        # asyncio's own loop says it in its own words from Python 3.13 on.
        ("192.0.2.1:8080", "cannot assign requested address|could not bind"),
        ("unix:/nonexistent/gw.sock", "no such file or directory"),
    ],
)
async def test_an_address_that_is_not_ours_is_told(address: str, why: str) -> None:
    with pytest.raises(CannotListen) as caught:
        await opened(address)

    told = str(caught.value).removeprefix(f"cannot listen on {address}: ")
    assert re.match(why, told)


async def test_a_unix_socket_is_for_its_group_and_is_gone_afterwards(
    short: Path,
) -> None:
    place = short / "gw.sock"
    door = await opened(f"unix:{place}")

    assert stat.S_IMODE(place.stat().st_mode) == 0o660
    assert door.ports == ()
    door.remove()
    door.remove()
    assert not place.exists()


async def test_any_free_port_is_told() -> None:
    door = await opened("127.0.0.1:0")

    (port,) = door.ports
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    door.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_processes_may_share_a_port_and_others_may_not() -> None:
    address = f"127.0.0.1:{free_port()}"
    one = await opened(address, reuse_port=True)
    two = await opened(address, reuse_port=True)

    with pytest.raises(CannotListen):
        await opened(address)

    one.remove()
    two.remove()
