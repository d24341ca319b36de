"""What a hostile review broke once; each test is the attack that worked."""

import asyncio
import base64
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.outbound import OutboundRequest
from gateway.spine.grants import Grants
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Answer,
    Gateway,
    RecordingUpstream,
    Seen,
    a_session,
    answer_ok,
    ask,
    base_config,
    connected,
    gateway_process,
    running_gateway,
    sign_in_header,
)

pytestmark = pytest.mark.walk

GRACE: dict[str, Any] = {"identity": {"id": "u_grace", "roles": ["member"]}}


def says(*fields: str, body: bytes = b"ok") -> Answer:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        head = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


def in_two_pieces(middle: asyncio.Event, *fields: str) -> Answer:
    """Answer so slowly that something happens in the middle of it."""

    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        writer.write(f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 4\r\n\r\nab".encode())
        await writer.drain()
        await middle.wait()
        writer.write(b"cd")
        await writer.drain()

    return answer


async def crashes(gateway: Gateway) -> list[dict[str, Any]]:
    lines = await gateway.logged()
    return [line for line in lines if line["message"] == "unexpected error"]


def end_of(gateway: Gateway, cookie: str) -> asyncio.Event:
    """Give an event that is set when the gateway receives the end of a session."""
    expected = asyncio.Event()

    def on_ended(key: str, _reason: str) -> None:
        if key == gateway.key_of(cookie):
            expected.set()

    # A lost push is caught by a look at what is open.
    gateway.app.store.watch(on_ended, expected.set)
    return expected


def deep(levels: int) -> str:
    traits = '{"a":' * levels + "1" + "}" * levels
    text = '{"identity":{"id":"u_grace","traits":' + traits + "}}"
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(sign_in_header(GRACE | {"aal": []}), id="aal is a list"),
        pytest.param(
            sign_in_header(GRACE | {"active_tenant_id": {}}), id="tenant is an object"
        ),
        pytest.param(deep(400), id="deeper than a record"),
        pytest.param(deep(1000), id="deeper than the stack"),
    ],
)
async def test_no_hand_off_is_an_unexpected_error(
    gateway: Gateway, upstream: RecordingUpstream, field: str
) -> None:
    upstream.answer = says(f"X-Gateway-Sign-In: {field}")

    privileged = await ask(gateway.port, "GET", "/x", PROGRAM)
    cookie = await gateway.sign_in()
    other = await ask(gateway.port, "GET", "/api/x", PROGRAM | {"Cookie": cookie})

    assert privileged.status == 502
    assert privileged.json()["reason"] == "upstream_bad_answer"
    assert other.status == 200, "who may not hand off is not listened to"
    assert not await crashes(gateway)


@pytest.mark.parametrize(
    "field",
    [
        "gateway_session=evil",
        "gateway_session =evil",
        "=gateway_session=evil",
        "= gateway_session=evil; Path=/",
    ],
)
async def test_no_upstream_sets_the_session_cookie(
    gateway: Gateway, upstream: RecordingUpstream, field: str
) -> None:
    # A browser keeps "=a=b" as a cookie without a name, and sends "a=b".
    upstream.answer = says(f"Set-Cookie: {field}", "Set-Cookie: theme=dark")

    reply = await ask(gateway.port, "GET", "/x", PROGRAM)

    assert reply.all("Set-Cookie") == ["theme=dark"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("public, max-age=3600, s-maxage=60", "max-age=3600, private"),
        ("no-cache", "no-cache, private"),
        ("no-store", "no-store, private"),
        (None, "private"),
    ],
)
async def test_an_answer_with_our_cookie_is_for_no_shared_cache(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    given: str | None,
    expected: str,
) -> None:
    config = base_config(upstream.port)
    config["sessions"] = {"lifespan": "2h", "extend_within": "119m"}
    fields = [] if given is None else [f"Cache-Control: {given}"]
    upstream.answer = says(*fields, "CDN-Cache-Control: public, max-age=9")
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in(a_session(time.time() - 86400 + 600))

        extended = await ask(gateway.port, "GET", "/x.css", {"Cookie": cookie})
        plain = await ask(gateway.port, "GET", "/x.css")

    assert extended.one("Set-Cookie")
    assert extended.one("Cache-Control") == expected
    assert extended.one("CDN-Cache-Control") is None
    assert plain.one("Cache-Control") == given
    assert plain.one("CDN-Cache-Control")


def test_what_a_request_carries_prints_no_secret() -> None:
    credentials = Grants(
        lines=b"Authorization: Bearer SECRET\r\n",
        token_cookies=((b"jwt", b"SECRET"),),
        set_cookies=("gateway_session=SECRET",),
    )
    outbound = OutboundRequest(
        method="GET", target="/", lines=(b"Authorization: Bearer SECRET\r\n",)
    )

    assert "SECRET" not in repr(credentials) + repr(outbound)


async def test_the_end_of_a_session_ends_its_upload(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    async with connected(gateway.port) as client:
        await client.send(
            b"POST /dashboard/up HTTP/1.1\r\nHost: gw.test\r\n"
            b"Transfer-Encoding: chunked\r\nCookie: %b\r\n\r\n5\r\nfirst\r\n"
            % cookie.encode()
        )
        async with asyncio.timeout(PATIENCE):
            while not upstream.seen or not upstream.seen[-1].body:
                await asyncio.sleep(0.01)
        await gateway.app.store.end(gateway.key_of(cookie), time.time())
        async with asyncio.timeout(PATIENCE):
            await upstream.gone.wait()

    assert upstream.seen[-1].body == b"first"
    assert not upstream.seen[-1].complete
    line = (await gateway.logged())[-1]
    assert line["gateway.reason"] == "session_revoked"


async def test_a_request_that_ends_its_own_session_gets_its_answer(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    expected = end_of(gateway, cookie)

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gateway.app.store.end(gateway.key_of(cookie), time.time())
        await expected.wait()
        await answer_ok(seen, writer)

    upstream.answer = answer

    reply = await ask(
        gateway.port, "POST", "/dashboard/end", PROGRAM | {"Cookie": cookie}, b"a=b"
    )

    assert reply.status == 200


@pytest.mark.parametrize(
    "field", [f"X-Gateway-Sign-In: {sign_in_header(GRACE)}", "X-Gateway-Sign-Out: this"]
)
async def test_the_answer_that_ends_a_session_by_hand_off_is_whole(
    gateway: Gateway, upstream: RecordingUpstream, field: str
) -> None:
    cookie = await gateway.sign_in()
    upstream.answer = in_two_pieces(end_of(gateway, cookie), field)

    reply = await ask(
        gateway.port, "POST", "/dashboard", BROWSER | {"Cookie": cookie}, b"a=b"
    )

    assert reply.body == b"abcd"
    assert reply.one("Set-Cookie")


async def test_sign_out_everywhere_holds_when_the_session_has_just_ended(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    mine, other = await gateway.sign_in(), await gateway.sign_in()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gateway.app.store.end(gateway.key_of(mine), time.time())
        await says("X-Gateway-Sign-Out: all")(seen, writer)

    upstream.answer = answer
    await ask(gateway.port, "POST", "/dashboard/password", {"Cookie": mine}, b"a=b")
    upstream.answer = answer_ok

    after = await ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": other})

    assert after.status == 401


async def test_a_head_that_comes_ahead_of_its_turn_is_bounded(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    held = asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        await answer_ok(seen, writer)

    upstream.answer = answer
    async with connected(gateway.port) as client:
        await client.send(b"GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        await upstream.arrived.wait()
        with pytest.raises(ConnectionError):
            await client.send(b"GET /y HTTP/1.1\r\nHost: gw.test\r\n")
            async with asyncio.timeout(PATIENCE):
                while True:
                    await client.send(b"X-A: %b\r\n" % (b"a" * 30_000))
                    await asyncio.sleep(0)
        held.set()


async def test_a_next_request_may_come_while_one_is_answered(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    held = asyncio.Event()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        await answer_ok(seen, writer)

    upstream.answer = answer
    async with connected(gateway.port) as client:
        body = b"b" * 200_000
        await client.send(
            b"POST /x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: %d\r\n\r\n"
            % len(body),
            body[:1000],
        )
        await upstream.arrived.wait()
        await client.send(
            body[1000:] + b"GET /y HTTP/1.1\r\nHost: gw.test\r\n",
            b"X-Long: %b\r\n" % (b"a" * 20_000),
            b"\r\n",
        )
        held.set()
        first, second = await client.reply(), await client.reply()

    assert (first.status, second.status) == (200, 200)


async def test_a_client_that_takes_no_reply_of_ours_is_let_go(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.sending._PATIENCE", 0.2)
    ask_keys = b"GET /.gateway/jwks.json HTTP/1.1\r\nHost: gw.test\r\n\r\n"
    async with connected(gateway.port, limit=1024) as client:
        client.stop_reading()
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    client.writer.write(ask_keys * 100)
                    await client.writer.drain()


async def test_a_tenant_that_a_header_names_reaches_no_upstream_unchecked(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["tenants"] = {"resolve": [{"header": "X-Tenant"}, "session"]}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        for field in ("X-Tenant", "x_tenant"):
            for who in ({}, {"Cookie": cookie}):
                reply = await ask(gateway.port, "GET", "/open", {field: "t_evil"} | who)
                assert reply.status == 200
                assert not upstream.last.all(field)
        named = {"X-Tenant": "t_acme", "Cookie": cookie}
        reply = await ask(gateway.port, "GET", "/dashboard", named)

    assert reply.status == 200
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_acme"


async def test_a_worker_that_replaces_another_serves_what_the_others_serve(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"]["workers"] = 2
    path = tmp_path / "gateway.yaml"
    async with gateway_process(config, tmp_path, redis.url) as running:

        async def given(message: str, count: int) -> list[dict[str, Any]]:
            async with asyncio.timeout(PATIENCE):
                while True:
                    found = [x for x in running.lines if x["message"] == message]
                    if len(found) >= count:
                        return found
                    await asyncio.sleep(0.02)

        started = await given("listening", 2)
        closed = yaml.safe_load(path.read_text())
        closed["routes"][0]["rule"] = "protected"
        path.with_suffix(".new").write_text(yaml.safe_dump(closed))
        path.with_suffix(".new").replace(path)
        await given("configuration reloaded", 2)

        os.kill(started[0]["pid"], signal.SIGKILL)
        await given("listening", 3)
        replies = [await ask(running.port, "GET", "/x", PROGRAM) for _ in range(40)]

    assert {reply.status for reply in replies} == {401}
    assert json.dumps(running.lines).count("unexpected error") == 0
