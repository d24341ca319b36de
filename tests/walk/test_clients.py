"""Clients and upstreams as they are: what real ones send is taken, and means one thing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Seen,
    ask,
    base_config,
    connected,
    running_gateway,
    sign_in_header,
)

H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
)
UPGRADES = [
    pytest.param(H2C, id="h2c"),
    pytest.param(b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n", id="tls"),
    pytest.param(b"Connection: upgrade\r\nUpgrade: foo/2, bar\r\n", id="unknown"),
    pytest.param(b"Connection: upgrade\r\nUpgrade:\r\n", id="empty"),
]


@pytest.mark.parametrize("offer", UPGRADES)
async def test_an_unknown_upgrade_is_answered_in_http_1_1(
    gateway: Gateway, upstream: RecordingUpstream, offer: bytes
) -> None:
    host = b"Host: gw.test\r\n"
    async with connected(gateway.port) as client:
        for _ in range(2):  # the connection is kept
            await client.send(b"GET /g HTTP/1.1\r\n" + host + offer + b"\r\n")
            assert (await client.reply()).status == 200
        await client.send(
            b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n" + host + offer + b"\r\nhel"
        )
        await client.send(b"lo")
        assert (await client.reply()).status == 200
    async with connected(gateway.port) as client:
        await client.send(
            b"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + host + offer
        )
        await client.send(b"\r\n3\r\nabc\r\n0\r\n\r\n")
        assert (await client.reply()).status == 200

    assert [(seen.target, seen.body) for seen in upstream.complete] == [
        ("/g", b""),
        ("/g", b""),
        ("/a", b"hello"),
        ("/b", b"abc"),
    ]
    for seen in upstream.seen:
        assert not seen.all("Upgrade") + seen.all("HTTP2-Settings")
        assert not seen.all("Connection")


BEHIND = b"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n\r\n"
IGNORED = [
    pytest.param(b"GET /open HTTP/1.1\r\nHost: gw.test\r\n" + H2C + b"\r\n", id="get"),
    pytest.param(
        b"POST /open HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 2\r\n"
        + H2C
        + b"\r\nab",
        id="post",
    ),
]


@pytest.mark.parametrize("raw", IGNORED)
async def test_bytes_behind_an_ignored_upgrade_are_no_tunnel(
    gateway: Gateway, upstream: RecordingUpstream, raw: bytes
) -> None:
    """Hostile: they are judged, or the connection says that they are not."""
    async with connected(gateway.port) as client:
        await client.send(raw + BEHIND)
        first = await client.reply()
        assert (first.status, first.one("Connection")) == (200, "close")
        assert await client.silence() == b""

    assert [seen.target for seen in upstream.seen] == ["/open"]


async def test_http_1_0_without_a_host(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async with connected(gateway.port) as client:
        await client.send(b"GET /old HTTP/1.0\r\n\r\n")
        reply = await client.reply()
    async with connected(gateway.port) as client:
        await client.send(b"GET /old HTTP/1.1\r\n\r\n")
        refused = await client.reply()

    assert (reply.status, refused.status) == (200, 400)
    assert upstream.last.one("Host") == f"127.0.0.1:{upstream.port}"
    assert upstream.last.one("X-Forwarded-Host") is None


async def test_without_a_host_no_route_of_a_host_matches(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    match = {"host": "gw.test", "path": "/**"}
    config["routes"] = [{"match": match, "rule": "public", "upstream": "web"}]
    async with (
        running_gateway(config, tmp_path, redis.url) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        reply = await client.reply()

    assert reply.status == 421
    assert upstream.seen == []


async def test_bytes_that_are_not_ours_to_judge_arrive_as_they_came(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = (await gateway.sign_in()).encode()
    async with connected(gateway.port) as client:
        await client.send(
            b"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\n"
            b"Cookie: lang=fran\xe7ais; " + cookie + b"; x=\xff\r\n"
            b"Referer: http://gw.test/caf\xe9\r\n\r\n"
        )
        reply = await client.reply()

    assert reply.status == 200
    assert upstream.last.one("Cookie") == "lang=fran\xe7ais; x=\xff"
    assert upstream.last.one("Referer") == "http://gw.test/caf\xe9"


QUERIES = [
    "u=http://example.com/a",
    "u=//evil.test",
    "a=/./b&c=/../d",
    "p=C:\\dir\\file&q=\\\\host",
    "next=https%3A%2F%2Fexample.com%2F%3Fa%3Db%26c",
    "q=a+b%20c&r=%C3%A9&r=2",
    "return_to=/x&reason=y",
    "x" * 3000,
    "",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_what_our_redirect_wrote_leads_back(gateway: Gateway, query: str) -> None:
    requested = f"/dashboard?{query}"
    challenge = await ask(gateway.port, "GET", requested, BROWSER)
    location = challenge.one("Location") or ""

    cookie = {"Cookie": await gateway.sign_in()}
    back = await ask(gateway.port, "GET", location, BROWSER | cookie)

    led = urlsplit(back.one("Location") or "")
    assert (challenge.status, back.status, led.path) == (302, 302, "/dashboard")
    assert parse_qsl(led.query, keep_blank_values=True) == parse_qsl(
        query, keep_blank_values=True
    )
    arrived = await ask(gateway.port, "GET", led.geturl(), BROWSER | cookie)
    assert arrived.status == 200


async def test_a_query_that_no_page_could_be_sent_is_dropped(gateway: Gateway) -> None:
    challenge = await ask(gateway.port, "GET", "/dashboard?" + "%2F" * 4000, BROWSER)

    location = urlsplit(challenge.one("Location") or "")
    assert parse_qs(location.query)["return_to"] == ["/dashboard"]


async def test_two_session_cookies_lock_no_user_out(gateway: Gateway) -> None:
    one, two = await gateway.sign_in(), await gateway.sign_in()
    headers = BROWSER | {"Cookie": f"{one}; {two}"}

    refused = await ask(gateway.port, "GET", "/dashboard", headers)
    status = await ask(gateway.port, "GET", "/.gateway/account", headers)

    assert (refused.status, status.status) == (302, 302)
    for reply in (refused, status):
        domains = [
            each.partition("Domain=")[2].partition(";")[0]
            for each in reply.all("Set-Cookie")
        ]
        assert domains == ["", "gw.test"]
        assert all("Max-Age=0" in each for each in reply.all("Set-Cookie"))


async def test_a_cookie_that_was_never_ours_does_not_count(gateway: Gateway) -> None:
    cookie = await gateway.sign_in()
    name = cookie.partition("=")[0]
    headers = {"Cookie": f"{name}=s%3Aabc.def; {cookie}"}

    reply = await ask(gateway.port, "GET", "/dashboard", headers)

    assert reply.status == 200


async def test_a_sign_in_with_many_memberships(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    tenants = {
        f"0190c2a5-7c1e-7d3b-9d5e-{number:012d}": {"name": f"Org {number}", "role": "o"}
        for number in range(500)
    }
    header = sign_in_header({"identity": {"id": 42, "roles": None}, "tenants": tenants})

    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n"
            b"X-Gateway-Sign-In: " + header.encode() + b"\r\n\r\n"
        )

    upstream.answer = answer
    reply = await ask(gateway.port, "POST", "/auth/login", BROWSER, b"a=b")

    assert reply.status == 303
    assert reply.all("Set-Cookie")


@asynccontextmanager
async def refusing(answer: bytes) -> AsyncIterator[int]:
    """A server that answers the head of a request and closes without reading on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


EARLY = [
    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 7\r\n\r\ntoo big",
    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big",
    b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("answer", EARLY)
async def test_an_early_final_answer_is_passed_on(
    redis: Server, tmp_path: Path, answer: bytes
) -> None:
    body = b"z" * (8 << 20)
    statuses = []
    async with (
        refusing(answer) as port,
        running_gateway(base_config(port), tmp_path, redis.url) as gateway,
    ):
        for _ in range(8):
            async with asyncio.timeout(PATIENCE), connected(gateway.port) as client:
                head = (
                    b"POST /up HTTP/1.1\r\nHost: gw.test\r\nContent-Length: %d\r\n\r\n"
                )
                sending = asyncio.ensure_future(client.send(head % len(body), body))
                statuses.append((await client.reply()).status)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    assert statuses == [int(answer[9:12])] * 8
