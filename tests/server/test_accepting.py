"""Connections are accepted, also after the machine has run out of something."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.server.accepting import Acceptor, Plain
from gateway.server.descriptors import Shortage
from tests.servers import PATIENCE


class Running(socket.socket):
    """A listening socket whose accept(2) fails for a while."""

    failures: Iterator[int] = iter(())

    def accept(self) -> tuple[socket.socket, object]:
        for number in self.failures:
            raise OSError(number, os.strerror(number))
        return super().accept()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"hi")
        transport.close()


def listening(*failures: int) -> Running:
    one = Running()
    one.bind(("127.0.0.1", 0))
    one.listen()
    one.setblocking(False)
    one.failures = iter(failures)
    return one


async def greeted(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE):
        stated = await reader.read()
    writer.close()
    return stated


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
)
async def test_who_comes_during_a_shortage_waits_and_is_served(number: int) -> None:
    lines: list[tuple[str, int]] = []
    one = listening(number, number, number)
    port = one.getsockname()[1]
    acceptor = Acceptor(
        [one],
        serve=Plain(Greeter),
        shortage=Shortage(lambda what, missed: lines.append((what, missed))),
    )

    stated = [await greeted(port) for _ in range(3)]
    acceptor.close()

    assert stated == [b"hi"] * 3
    assert len(lines) == 1


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPERM, errno.EPROTO])
async def test_an_error_of_one_connection_is_no_shortage(number: int) -> None:
    lines: list[tuple[str, int]] = []
    one = listening(number)
    port = one.getsockname()[1]
    acceptor = Acceptor(
        [one],
        serve=Plain(Greeter),
        shortage=Shortage(lambda what, missed: lines.append((what, missed))),
    )

    stated = await greeted(port)
    acceptor.close()

    assert stated == b"hi"
    assert lines == []


async def test_no_connection_is_accepted_after_the_end() -> None:
    one = listening(errno.EMFILE)
    port = one.getsockname()[1]
    acceptor = Acceptor([one], serve=Plain(Greeter), shortage=Shortage(lambda *_: None))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0)
    acceptor.close()
    acceptor.close()
    writer.close()

    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("failures", [(), (errno.ECONNABORTED, errno.EPROTO)])
async def test_who_waits_in_the_backlog_at_the_end_is_served(
    failures: tuple[int, ...],
) -> None:
    one = listening(*failures)
    address = one.getsockname()
    acceptor = Acceptor([one], serve=Plain(Greeter), shortage=Shortage(lambda *_: None))
    # No turn of the loop between their connections and the end.
    waiting = [socket.create_connection(address, PATIENCE) for _ in range(100)]

    acceptor.close()
    await acceptor.wait_started(PATIENCE)

    stated = [await asyncio.to_thread(each.recv, 2) for each in waiting]
    for each in waiting:
        each.close()
    assert stated == [b"hi"] * 100


async def test_whose_connection_is_being_attached_at_an_abort_is_disconnected() -> None:
    one = listening()
    address = one.getsockname()
    acceptor = Acceptor([one], serve=Plain(Greeter), shortage=Shortage(lambda *_: None))
    waiting = [socket.create_connection(address, PATIENCE) for _ in range(10)]

    acceptor.close()
    acceptor.abort()
    await acceptor.wait_started(PATIENCE)

    for each in waiting:
        with each, contextlib.suppress(ConnectionResetError):
            while await asyncio.to_thread(each.recv, 2):
                continue
