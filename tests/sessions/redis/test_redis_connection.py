"""One connection, many questions: what a server may do to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis._parsers import BaseParser

from gateway.sessions.redis.client import _all_on
from gateway.sessions.redis.redis_connection import RedisConnection

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RefusedError(Exception):
    """An error of Redis."""


@asynccontextmanager
async def line_to(
    script: Script, refusal: Callable[[str], Exception] = RefusedError
) -> AsyncIterator[RedisConnection]:
    """Open a line to a server that does as the script says, then waits."""
    over = asyncio.Event()
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        served.append(task)
        await script(reader, writer)
        await over.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = RedisConnection(writer, refusal)
    del writer  # the line is all that keeps the connection
    try:
        yield connection
    finally:
        connection.close()
        over.set()
        server.close()
        await asyncio.gather(*served)


def saying(*pieces: bytes) -> Script:
    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\nkey\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


async def hanging_up(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"\r\nkey\r\n")
    writer.close()


async def within(answer: Awaitable[Any]) -> Any:
    async with asyncio.timeout(30):
        return await answer


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), id="another protocol"
        ),
        pytest.param(hanging_up, id="hangs up"),
        pytest.param(saying(b"$one\r\na\r\n"), id="a length that is none"),
    ],
)
async def test_what_is_no_answer_ends_the_line_for_all(script: Script) -> None:
    async with line_to(script) as connection:
        answers = [connection.execute("GET", "key") for _ in range(3)]

        for answer in answers:
            with pytest.raises(ConnectionError):
                await within(answer)

        assert connection.closed
        with pytest.raises(ConnectionError):
            await within(connection.execute("GET", "key"))


async def test_an_unexpected_reply_closes_the_connection() -> None:
    async with line_to(saying(b"$1\r\na\r\n$1\r\nb\r\n")) as connection:
        assert await within(connection.execute("GET", "key")) == b"a"

        # The second came with the first, or comes before this one's.
        with pytest.raises(ConnectionError):
            await within(connection.execute("GET", "key"))
            await within(connection.execute("GET", "key"))


async def test_each_question_gets_its_own_answer() -> None:
    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"three\r\n")
        for piece in (b"$1\r", b"\na\r\n-ERR no", b"\r\n*2\r\n$1\r\n", b"c\r\n$-1\r\n"):
            writer.write(piece)
            await writer.drain()

    async with line_to(script) as connection:
        one, two, three = (
            connection.execute("GET", name) for name in ("one", "two", "three")
        )

        assert await within(one) == b"a"
        with pytest.raises(RefusedError, match="ERR no"):
            await within(two)
        assert await within(three) == [b"c", None]
        assert not connection.closed


async def test_who_stops_waiting_takes_no_other_requests_answer() -> None:
    async with line_to(saying(b"$1\r\na\r\n$1\r\nb\r\n")) as connection:
        left, stays = connection.execute("GET", "x"), connection.execute("GET", "key")
        left.cancel()

        assert await within(stays) == b"b"


async def test_closing_fails_what_waits() -> None:
    async with line_to(saying()) as connection:
        answer = connection.execute("GET", "key")
        connection.close()

        with pytest.raises(ConnectionError):
            await within(answer)


# --- several questions in one write

THREE = [("GET", "one"), ("GETRANGE", "two", 0, 16), ("PTTL", "key")]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(hanging_up, id="hangs up"),
        pytest.param(saying(b"$1\r\na\r\n", b"HTTP/1.1"), id="another protocol"),
    ],
)
async def test_several_questions_have_all_their_answers_or_none(
    script: Script,
) -> None:
    async with line_to(script) as connection:
        with pytest.raises(ConnectionError):
            await within(connection.execute_all(THREE))

        assert connection.closed
        with pytest.raises(ConnectionError):
            await within(connection.execute_all(THREE))


async def test_a_refusal_is_the_answer_to_its_own_question() -> None:
    pieces = (b"$1\r\na\r\n-ERR", b" no\r\n", b":-2\r\n$1\r\nb\r\n")
    async with line_to(saying(*pieces)) as connection:
        several, alone = connection.execute_all(THREE), connection.execute("GET", "key")

        one, refusal, ttl = await within(several)

        assert (one, ttl) == (b"a", -2)
        assert isinstance(refusal, RefusedError)
        assert await within(alone) == b"b"
        assert not connection.closed


async def test_who_stops_waiting_for_several_takes_no_other_requests_answers() -> None:
    pieces = (b":1\r\n:2\r\n", b":3\r\n$1\r\nb\r\n")
    async with line_to(saying(*pieces)) as connection:
        left, stays = connection.execute_all(THREE), connection.execute("GET", "key")
        left.cancel()

        assert await within(stays) == b"b"


async def test_closing_fails_what_waits_for_several() -> None:
    async with line_to(saying()) as connection:
        answers = connection.execute_all(THREE)
        connection.close()

        with pytest.raises(ConnectionError):
            await within(answers)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"-WRONGTYPE Operation against a key", True),
        (b"-NOPERM No permissions to access a key", True),
        (b"-LOADING Redis is loading the dataset in memory", False),
        (b"-MASTERDOWN Link with MASTER is down", False),
        (b"-ERR something", False),
    ],
)
async def test_a_line_on_which_no_healthy_redis_answers_is_given_up(
    given: bytes, kept: bool
) -> None:
    script = saying(given + b"\r\n:1\r\n:2\r\n")
    async with line_to(script, BaseParser.parse_error) as connection:
        refusal, *others = await within(_all_on(connection, THREE))

        assert isinstance(refusal, Exception)
        assert others == [1, 2]
        assert connection.closed is not kept
