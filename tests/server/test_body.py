"""The body of a request: taken as it is wanted, no more, and not for ever."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.streams import StreamReader
from aiohttp.web import RequestPayloadError

from gateway.server.body import BodyStalled, BodyTooLarge, ClientBody
from tests.server.parts import Listening, payload

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def body(
    *pieces: bytes,
    whole: bool = True,
    limit: int = 0,
    idle: float = 30.0,
    expects_continue: bool = False,
) -> tuple[ClientBody, Listening]:
    client = Listening()
    made = ClientBody(
        payload(*pieces, whole=whole),
        chunked=True,
        limit=limit,
        idle=idle,
        send=client.send,
        expects_continue=expects_continue,
    )
    return made, client


async def taken(source: ClientBody) -> bytes:
    pieces = []
    while piece := await source.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        pytest.param(b"12345", 4, id="one byte more"),
        pytest.param(b"x" * 100_000, 1, id="much more"),
    ],
)
async def test_of_a_body_that_is_too_large_nothing_more_is_given(
    sent: bytes, limit: int
) -> None:
    source, _ = body(sent, limit=limit)

    for _ in range(3):  # it does not become smaller
        with pytest.raises(BodyTooLarge):
            await source.read()


async def test_pieces_are_counted_together() -> None:
    source, _ = body(b"1234", whole=False, limit=6)
    assert await source.read() == b"1234"

    payload = source._payload
    assert isinstance(payload, StreamReader)
    payload.feed_data(b"567")

    with pytest.raises(BodyTooLarge):
        await source.read()


@pytest.mark.parametrize(
    "limit", [pytest.param(5, id="to the byte"), pytest.param(0, id="no limit")]
)
async def test_a_body_within_the_limit_comes_whole(limit: int) -> None:
    source, _ = body(b"123", b"45", limit=limit)

    assert await taken(source) == b"12345"
    assert await source.read() == b""


async def test_a_client_that_sends_no_more_is_given_up() -> None:
    source, _ = body(b"a", whole=False, idle=0.01)
    assert await source.read() == b"a"

    with pytest.raises(BodyStalled):
        await source.read()


async def test_the_end_may_take_as_long_as_a_piece() -> None:
    source, _ = body(whole=True, idle=0.01)

    assert await source.read() == b""


@pytest.mark.parametrize(
    ("waits", "written"),
    [pytest.param(True, [CONTINUE], id="waits"), pytest.param(False, [], id="sends")],
)
async def test_a_client_that_waits_gets_one_100(
    waits: bool, written: list[bytes]
) -> None:
    source, client = body(b"ab", expects_continue=waits)
    assert client.pieces == []  # not before somebody wants the body

    assert await taken(source) == b"ab"

    assert client.pieces == written


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(lambda: RequestPayloadError("bad chunk"), id="broken framing"),
        pytest.param(ConnectionResetError, id="client gone"),
    ],
)
async def test_what_breaks_the_body_is_not_taken_for_its_end(
    error: Callable[[], Exception],
) -> None:
    source, _ = body(whole=False)
    source._payload.set_exception(error())

    with pytest.raises(type(error())):
        await source.read()


@pytest.mark.parametrize(
    ("pieces", "options", "found"),
    [
        pytest.param((b"12", b"34"), {}, b"1234", id="whole"),
        pytest.param((), {}, b"", id="empty"),
        pytest.param((b"1234",), {"limit": 4}, b"1234", id="at the limit"),
        pytest.param((b"1234",), {"limit": 3}, None, id="above the limit"),
        pytest.param((b"1234",), {"whole": False}, None, id="not whole"),
        pytest.param((b"1",), {"expects_continue": True}, None, id="100-continue"),
    ],
)
async def test_a_body_that_has_arrived_is_taken_at_once(
    pieces: tuple[bytes, ...], options: dict[str, Any], found: bytes | None
) -> None:
    source, _ = body(*pieces, **options)

    assert source.arrived() == found


async def test_the_part_that_was_waited_for_belongs_to_what_has_arrived() -> None:
    reader = payload(b"12", whole=False)
    source = ClientBody(
        reader,
        chunked=False,
        limit=0,
        idle=30.0,
        send=Listening().send,
        expects_continue=False,
    )
    waiting = asyncio.ensure_future(source.wait_for_first_part(lambda: True))
    await asyncio.sleep(0)
    reader.feed_data(b"34")
    reader.feed_eof()
    await waiting

    assert source.arrived() == b"1234"


async def test_a_broken_body_has_not_arrived() -> None:
    reader = payload(b"12", whole=False)
    reader.set_exception(RequestPayloadError("broken"))
    source, _ = body()
    source._payload = reader

    assert source.arrived() is None
