"""Advisories of classes N and U: framing, tunnels, limits, pages and logs."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.rig import (
    Rig,
    advisory_config,
    advisory_rig,
    recording,
    refused,
    rig,
)
from tests.servers import PATIENCE, Server
from tests.walk.harness import BROWSER, Seen, answer_ok, ask, connected

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

POST = b"POST /open HTTP/1.1\r\nHost: gw.test\r\n"
GET = b"GET /open HTTP/1.1\r\nHost: gw.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SHAKE = (
    b"GET /open HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
EVIL = b"GET /dashboard/evil HTTP/1.1\r\nHost: gw.test\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    async with advisory_rig(redis, tmp_path_factory.mktemp("wire")) as running:
        yield running
    assert not [seen for seen in running.past if "evil" in seen.target]


REFUSED = {
    "N1": [
        GET + b"X-A: a\rb\r\n\r\n",
        GET + b"X-A: a\nX-B: c\r\n\r\n",
        GET + b"X-A: a\0b\r\n\r\n",
        GET + b"X-A: a\r\n b\r\n\r\n",
    ],
    "N2": [
        POST + b"Content-Length: +4\r\n\r\nabcd",
        POST + b"Content-Length: 0_4\r\n\r\nabcd",
        POST + b"Content-Length: 4 4\r\n\r\nabcd",
        POST + b"Content-Length: 0x4\r\n\r\nabcd",
        POST + b"Content-Length : 4\r\n\r\nabcd",
        GET + b" X-A: b\r\n\r\n",
        CHUNKED + b"0x4\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"+4\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"4_0\r\nabcd\r\n0\r\n\r\n",
    ],
    "N4": [
        GET + b"X-A: b\r\r\n\r\n",
        GET + b"X-A: b\r\n\r\r\n",
        b"GET /open HTTP/1.1\r\r\nHost: gw.test\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    "N5": [
        CHUNKED + b"4;a\nb\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"4;a\rb\r\nabcd\r\n0\r\n\r\n",
    ],
    "N8": [
        b"GET /open HTTP/1.1\nHost: gw.test\n\n",
        b"GET /open HTTP/1.1\r\nHost: gw.test\n\r\n",
        GET + b"X-A: b\n\r\n",
        CHUNKED + b"4\nabcd\n0\n\n",
    ],
    "N18": [
        b"POST /open HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /open HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    ],
    "N22": [GET + b": x\r\n\r\n", GET + b":\r\n\r\n", GET + b"X-A: b\r\n: c\r\n\r\n"],
    "N24": [CHUNKED + b"4\nabcd\r\n0\r\n\r\n", CHUNKED + b"4\r\nabcd\r\n0\n\r\n"],
    "N25": [GET + b"X-Role : admin\r\n\r\n", GET + b"X-Role\t: admin\r\n\r\n"],
    "N34": [
        b"GET /open HTTP/2.0\r\nHost: gw.test\r\n\r\n",
        b"GET /open HTTP/3.0\r\nHost: gw.test\r\n\r\n",
        b"GET /open HTTP/0.9\r\nHost: gw.test\r\n\r\n",
        b"GET /open HTTP/1.2\r\nHost: gw.test\r\n\r\n",
        b"GET /open\r\nHost: gw.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
}


@pytest.mark.parametrize("advisory", REFUSED)
async def test_these_bytes_are_refused_with_all_behind_them(
    the_rig: Rig, advisory: str
) -> None:
    for raw in REFUSED[advisory]:
        the_rig.forget()

        replies = await the_rig.raw(raw)

        assert len(replies) == 1, raw
        assert refused(replies[0]) or replies[0].status == 505, raw
        assert not [seen for seen in the_rig.upstream.seen if seen.complete], raw


TRAILERS = {
    "N6": [
        CHUNKED + b"4\r\nabcd\r\n0\r\nX-Auth-User-Id: root\r\n\r\n",
        CHUNKED + b"4\r\nabcd\r\n0\r\nContent-Length: 9\r\nHost: evil\r\n\r\n",
        POST
        + b"Trailer: X-User\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-User: root\r\n\r\n",
    ]
}


@pytest.mark.parametrize("advisory", TRAILERS)
async def test_trailers_reach_no_upstream_and_no_next_request(
    the_rig: Rig, advisory: str
) -> None:
    for raw in TRAILERS[advisory]:
        the_rig.forget()

        await the_rig.raw(raw)
        await the_rig.get("/open/next")

        wire = b"".join(map(bytes, the_rig.upstream.wire)).lower()
        assert b"root" not in wire
        assert b"x-user" not in wire
        assert b"host: evil" not in wire
        assert b"content-length: 9" not in wire
        assert the_rig.targets[-1] == "/open/next"


def writing(raw: bytes) -> Any:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


@pytest.mark.parametrize("octet", [b"\0", b"\x01", b"\x0b", b"\x7f", b"\r", b"\n x\n"])
async def test_n9_a_control_character_in_a_response_header_reaches_no_client(
    the_rig: Rig, octet: bytes
) -> None:
    the_rig.forget()
    the_rig.upstream.answer = writing(
        b"HTTP/1.1 200 OK\r\nX-A: a" + octet + b"b\r\nContent-Length: 2\r\n\r\nok"
    )

    reply = await the_rig.get("/open")
    the_rig.forget()
    after = await the_rig.get("/open")

    if octet in {b"\x01", b"\x0b", b"\x7f"}:
        assert (reply.status, reply.one("X-A")) == (200, "a b")
    else:
        assert reply.status == 502
        assert "x-a" not in str(reply.headers).lower()
    assert after.status == 200


@pytest.mark.parametrize(
    "phrase", [b"All <is> well", b"O\x7fK", b"", b"OK X-A: b", b"\xff"]
)
async def test_n10_no_reason_phrase_is_copied(the_rig: Rig, phrase: bytes) -> None:
    the_rig.forget()
    the_rig.upstream.answer = writing(
        b"HTTP/1.1 200 " + phrase + b"\r\nContent-Length: 2\r\n\r\nok"
    )
    async with connected(the_rig.port) as client:
        await client.send(GET + b"Connection: close\r\n\r\n")
        raw = await client.silence()

    line = raw.partition(b"\r\n")[0]
    assert line in {b"HTTP/1.1 200 OK", b"HTTP/1.1 502 Bad Gateway"}


async def test_n12_a_multipart_body_arrives_byte_for_byte(the_rig: Rig) -> None:
    the_rig.forget()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a\nb"; filename="c\rd"\r\n'
        b"Content-Type: text/plain\r\nX: y\n z\r\n\r\n\0\xff\r\n--x--\r\n"
    )

    await the_rig.get(
        "/open",
        {"Content-Type": "multipart/form-data; boundary=x"},
        method="POST",
        body=body,
    )

    assert the_rig.last.body == body
    assert the_rig.last.one("Content-Type") == "multipart/form-data; boundary=x"


BOUNDED = {
    "trailers": CHUNKED + b"0\r\n" + b"X-A: b\r\n" * 100_000,
    "one trailer": CHUNKED + b"0\r\nX-A: " + b"b" * 1_000_000,
    "a line": GET + b"X-A: " + b"b" * 1_000_000,
    "a target": b"GET /" + b"a" * 1_000_000,
    "fields": GET + b"X-A: b\r\n" * 100_000,
    "an extension": CHUNKED + b"1;" + b"a" * 1_000_000,
    "empty lines": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("what", BOUNDED)
async def test_n13_what_a_client_sends_without_end_is_cut_off(
    the_rig: Rig, what: str
) -> None:
    the_rig.forget()
    async with connected(the_rig.port) as client:
        try:
            await client.send(*pieces(BOUNDED[what]))
            client.end()
            rest = await client.silence()
        except ConnectionError:
            rest = b""

    assert b"HTTP/1.1 200" not in rest
    assert not [seen for seen in the_rig.upstream.seen if seen.complete]


def pieces(raw: bytes) -> list[bytes]:
    return [raw[at : at + 60_000] for at in range(0, len(raw), 60_000)]


async def test_n13_of_requests_sent_ahead_only_a_bounded_number_is_taken(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    held = asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        await answer_ok(seen, writer)

    the_rig.upstream.answer = answer
    async with connected(the_rig.port) as client:
        await client.send((GET + b"\r\n") * 50)
        async with asyncio.timeout(PATIENCE):
            while not the_rig.upstream.seen:
                await asyncio.sleep(0)
        assert len(the_rig.upstream.seen) == 1, "one at a time for each connection"
        held.set()
        replies = [await client.reply() for _ in range(50)]

    assert {reply.status for reply in replies} == {200}


async def test_n14_a_frame_that_announces_a_huge_payload_is_passed_on_as_it_comes(
    redis: Server, tmp_path: Path
) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while data := await reader.read(65536):
            arrived.put_nowait(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with recording() as upstream:
        config = advisory_config(server.sockets[0].getsockname()[1])
        async with (
            rig(config, upstream, tmp_path, redis) as running,
            connected(running.port) as client,
        ):
            await client.send(SHAKE)
            assert (await client.head()).status == 101
            frame = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + b"mask"
            for piece in (frame, b"a", b"b"):
                await client.send(piece)
                async with asyncio.timeout(PATIENCE):
                    assert await arrived.get() == piece
    server.close()


@pytest.mark.parametrize(
    "target",
    [
        "/static/../../etc/passwd",
        "/.gateway/../../etc/passwd",
        "/.gateway/%2e%2e/etc/passwd",
        "/.gateway/session.js/../../x",
        "/.gateway//etc/passwd",
    ],
)
async def test_n16_no_path_leads_to_a_file(the_rig: Rig, target: str) -> None:
    the_rig.forget()

    reply = await the_rig.get(target)

    assert refused(reply, 400, 404)
    assert b"root:" not in reply.body
    assert the_rig.seen == []


@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        b"Content-Length: 4\r\n\r\nabcd",
        b"Content-Length: 0\r\n\r\n",
    ],
)
async def test_n17_a_request_has_one_framing(the_rig: Rig, framing: bytes) -> None:
    the_rig.forget()

    await the_rig.raw(POST + framing)

    seen = the_rig.seen[0]
    assert len(seen.all("Transfer-Encoding")) + len(seen.all("Content-Length")) == 1
    assert seen.body in {b"abcd", b""}


@pytest.mark.parametrize(
    "status", [b"200 OK", b"426 Upgrade Required", b"204 No Content"]
)
async def test_n20_without_a_101_there_is_no_tunnel(
    the_rig: Rig, status: bytes
) -> None:
    the_rig.forget()
    length = b"" if status.startswith(b"204") else b"Content-Length: 0\r\n"
    the_rig.upstream.answer = writing(
        b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\n"
    )
    async with connected(the_rig.port) as client:
        await client.send(SHAKE + EVIL)
        reply = await client.reply()
        behind = await client.reply()  # judged by itself

    assert (reply.status, behind.status) == (int(status[:3]), 401)
    assert the_rig.targets == ["/open"]


@pytest.mark.parametrize(
    "wanted", [b"h2c", b"TLS/1.0", b"h2c, websocket", b"foo", b"HTTP/2.0"]
)
async def test_n21_no_other_protocol_is_passed_on(the_rig: Rig, wanted: bytes) -> None:
    the_rig.forget()
    raw = GET + (
        b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
        b"Upgrade: " + wanted + b"\r\n\r\n"
    )
    async with connected(the_rig.port) as client:
        await client.send(raw)
        reply = await client.reply()

    assert reply.status != 101
    for seen in the_rig.upstream.seen:
        assert not seen.all("Upgrade")
        assert not seen.all("HTTP2-Settings")
        assert "upgrade" not in (seen.one("Connection") or "").lower()


async def test_n28_a_slow_head_and_an_absent_body_end(
    redis: Server, tmp_path: Path
) -> None:
    async with recording() as upstream:
        config = advisory_config(upstream.port)
        config["server"]["timeouts"] = {"request_headers": "300ms"}
        async with rig(config, upstream, tmp_path, redis) as running:
            async with connected(running.port) as silent:
                assert await silent.silence() == b""
            async with connected(running.port) as slow:
                await slow.send(GET + b"X-A: ")
                rest = await slow.silence()
            async with connected(running.port) as absent:
                await absent.send(POST + b"Content-Length: 4\r\n\r\nab")
                absent.end()
                await absent.silence()

    assert rest == b"" or b" 408 " in rest.partition(b"\r\n")[0]
    assert not [seen for seen in upstream.seen if seen.complete]


async def test_n33_the_body_of_a_refused_request_is_no_request(the_rig: Rig) -> None:
    the_rig.forget()
    for target in (b"/dashboard", b"/admin", b"/nowhere/../x", b"/.gateway/none"):
        raw = (
            b"GET " + target + b" HTTP/1.1\r\nHost: gw.test\r\n"
            b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL
        )

        replies = await the_rig.raw(raw)

        assert replies[0].status in {400, 401, 404}
        # The marker is answered, or the connection was closed before it.
        assert len(replies) <= 2
    assert [
        seen.target for seen in the_rig.upstream.seen if seen.target != "/marker"
    ] == []


MARKUP = [
    "<script>alert(1)</script>",
    '"><script>',
    "';alert(1)//",
    "{{7*7}}",
    "${7*7}",
    "{env.HOME}",
]


@pytest.mark.parametrize("advisory", ["U1", "U2", "U4"])
@pytest.mark.parametrize("value", MARKUP)
async def test_nothing_that_a_client_sends_is_on_a_page(
    the_rig: Rig, advisory: str, value: str
) -> None:
    member = await the_rig.gateway.sign_in()
    fields = {
        "U1": {"Cookie": f"{member}; lang={value}", "Accept-Language": value},
        "U2": {"Cookie": member},
        "U4": {"Cookie": member, "X-A": value, "User-Agent": value},
    }[advisory]
    body = value.encode() if advisory == "U2" else b""
    method = "POST" if advisory == "U2" else "GET"
    quoted = value.replace('"', "%22").replace("<", "%3C").replace(">", "%3E")

    for target in (
        f"/admin?q={quoted.replace('{', '%7B').replace('}', '%7D')}",
        "/admin",
    ):
        reply = await ask(the_rig.port, method, target, BROWSER | fields, body)

        assert reply.status == 403
        assert value.encode() not in reply.body
        assert b"<script>alert" not in reply.body
        assert not re.search(rb"\b49\b", reply.body.partition(b"<h1")[2]), "7 * 7"
        assert reply.one("Content-Security-Policy")


async def test_u5_a_log_line_is_one_json_object(the_rig: Rig) -> None:
    the_rig.forget()
    marks = 'a"b\\u000a{"level":"error"}\\r\\n%0d%0aforged'
    headers = {"User-Agent": marks, "Referer": marks, "X-Forwarded-For": marks}

    await the_rig.get("/open/%0d%0aforged", headers)
    await the_rig.get("/open/log?q=%0A%22forged", headers)
    await the_rig.get("/dashboard", headers | {"Cookie": f"gateway_session={marks}"})

    lines = await the_rig.gateway.logged()  # each is parsed
    raw = the_rig.gateway.log.read_text()
    assert all(isinstance(json.loads(line), dict) for line in raw.splitlines())
    assert len(raw.splitlines()) == len(lines)
    assert not [line for line in lines if line.get("level") == "error"]


@pytest.mark.parametrize("name", ["url", "rd", "return_to", "redirect_uri", "target"])
async def test_u6_no_address_that_a_client_names_is_fetched(
    the_rig: Rig, name: str
) -> None:
    the_rig.forget()
    reached = asyncio.Event()
    server = await asyncio.start_server(lambda *_: reached.set(), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    member = {"Cookie": await the_rig.gateway.sign_in()}

    for target in ("/open", "/dashboard", "/auth/login", "/.gateway/logout"):
        await the_rig.get(f"{target}?{name}={address}", member, host="gw.test")
    await the_rig.get("/open", member, host=address.removeprefix("http://").rstrip("/"))
    await the_rig.raw(
        b"GET " + address.encode() + b" HTTP/1.1\r\nHost: gw.test\r\n\r\n"
    )
    server.close()

    assert not reached.is_set()
    assert set(the_rig.targets) <= {f"/open?{name}={address}", "/open"} | {
        f"/dashboard?{name}={address}"
    }
