"""What the admin listener answers to what no handler ever saw, or one failed at."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from gateway.server.admin.listener import AdminRunner
from tests.servers import PATIENCE
from tests.walk.harness import parse

MARK = "m4rk3d"


class Broken(Exception):  # noqa: N818 - what a handler does
    pass


async def breaking(_request: web.Request) -> web.Response:
    raise Broken(MARK)


async def breaking_late(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"begun")
    raise Broken(MARK)


@asynccontextmanager
async def listening(crashes: list[BaseException | None]) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/breaking", breaking)
    application.router.add_get("/late", breaking_late)
    runner = AdminRunner(application, report=crashes.append)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def sent(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return answer


UNPARSABLE = {
    "a method": f"{MARK} / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version": f"GET /{MARK} HTTP/9.9\r\nHost: x\r\n\r\n",
    "a field": f"GET / HTTP/1.1\r\nHost: x\r\n{MARK}\r\n\r\n",
    "a NUL": f"GET / HTTP/1.1\r\nHost: x\r\nX: {MARK}\0\r\n\r\n",
    "a page": f"GET / HTTP/1.1\r\nAccept: text/html\r\n<b>{MARK}</b>\r\n\r\n",
    "two framings": f"POST /{MARK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    "Transfer-Encoding: chunked\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00" + MARK + "\r\n\r\n",
    "a long target": f"GET /{MARK}{'a' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long field": f"GET / HTTP/1.1\r\nHost: x\r\nX: {MARK}{'a' * 20_000}\r\n\r\n",
}


@pytest.mark.parametrize("name", UNPARSABLE)
async def test_what_cannot_be_read_is_answered_in_our_words(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    crashes: list[BaseException | None] = []

    async with listening(crashes) as port:
        raw = await sent(port, UNPARSABLE[name].encode("latin-1"))

    reply = parse(raw)
    assert reply.status == 400
    assert reply.one("Content-Type") == "application/problem+json"
    assert orjson.loads(reply.body) == {
        "status": 400,
        "title": "Bad Request",
        "reason": "bad_request",
        "detail": "The request could not be read.",
    }
    assert MARK not in raw.decode("latin-1")
    assert not re.search("aiohttp|python", raw.decode("latin-1"), re.IGNORECASE)
    assert crashes == []
    assert capfd.readouterr().err == ""


async def test_a_handler_that_fails_is_reported_and_its_error_is_not_sent(
    capfd: pytest.CaptureFixture[str],
) -> None:
    crashes: list[BaseException | None] = []
    ask = b"GET /breaking HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"

    async with listening(crashes) as port:
        raw = await sent(port, ask)

    reply = parse(raw)
    assert reply.status == 500
    assert orjson.loads(reply.body)["reason"] == "internal"
    assert MARK not in raw.decode()
    assert [type(crash) for crash in crashes] == [Broken]
    assert capfd.readouterr().err == ""


async def test_a_handler_that_fails_in_the_middle_never_looks_whole() -> None:
    crashes: list[BaseException | None] = []

    async with listening(crashes) as port:
        raw = await sent(port, b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")

    assert raw.endswith(b"begun\r\n")
    assert Broken in [type(crash) for crash in crashes]
