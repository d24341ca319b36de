"""A complete body goes out with its head; any other one is left to the upload."""

import asyncio

import pytest

from gateway.proxy.body import BodyLengthError, complete_request
from gateway.proxy.health import Health
from gateway.proxy.upstream_connection import Connection
from tests.proxy.wire import Keeper, Wire

BY_LENGTH = b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n"


class Whole:
    """A body that has arrived."""

    def __init__(self, content: bytes | None, *, chunked: bool = False) -> None:
        self.content = content
        self.chunked = chunked

    def arrived(self) -> bytes | None:
        return self.content

    async def read(self) -> bytes:
        content, self.content = self.content, None
        return content or b""


@pytest.mark.parametrize(
    ("head", "body", "message"),
    [
        (BY_LENGTH, Whole(b"1234"), BY_LENGTH + b"1234"),
        (CHUNKED, Whole(b"1234", chunked=True), CHUNKED + b"4\r\n1234\r\n0\r\n\r\n"),
        (CHUNKED, Whole(b"", chunked=True), CHUNKED + b"0\r\n\r\n"),
        (BY_LENGTH, Whole(None), None),
        (BY_LENGTH, Whole(b"123"), None),
        (BY_LENGTH, Whole(b"12345"), None),
    ],
)
def test_a_message_is_complete_or_left_to_the_upload(
    head: bytes, body: Whole, message: bytes | None
) -> None:
    assert complete_request(head, body) == message


async def test_head_and_body_are_one_write_and_the_response_is_awaited() -> None:
    keeper, wire = Keeper(asyncio.get_running_loop()), Wire()
    connection = Connection(keeper, Health())
    connection.connection_made(wire)

    exchange = connection.exchange(
        BY_LENGTH, method="POST", body=Whole(b"1234"), handshake=None
    )

    assert not exchange.done()
    assert wire.writes == [BY_LENGTH + b"1234"]
    assert connection.deadline == keeper.response_timeout


@pytest.mark.parametrize("content", [b"123", b"12345"])
async def test_a_body_of_another_length_is_never_sent_as_a_complete_one(
    content: bytes,
) -> None:
    wire = Wire()
    connection = Connection(Keeper(asyncio.get_running_loop()), Health())
    connection.connection_made(wire)

    exchange = connection.exchange(
        BY_LENGTH, method="POST", body=Whole(content), handshake=None
    )

    with pytest.raises(BodyLengthError):
        await exchange
    assert not wire.open
    assert len(wire.written) < len(BY_LENGTH) + 4
