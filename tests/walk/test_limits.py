"""What a client may cost, and the other doors: TLS and Unix sockets."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Client,
    Gateway,
    Line,
    RecordingUpstream,
    Reply,
    ask,
    base_config,
    connected,
    running_gateway,
    sign_in_header,
    stage,
)

KIB = 1024
Limited = Callable[..., Any]


@pytest.fixture
async def limited(
    upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> Limited:
    """Open a gateway with these limits and timeouts."""

    @asynccontextmanager
    async def opened(
        *, limits: dict[str, Any] | None = None, **timeouts: str
    ) -> AsyncIterator[Gateway]:
        config = base_config(upstream.port)
        config["server"]["limits"] = limits or {}
        config["server"]["timeouts"] = timeouts
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            yield gateway

    return opened


def get(target: str = "/", *lines: str) -> bytes:
    return "\r\n".join(
        [f"GET {target} HTTP/1.1", "Host: gw.test", *lines, "", ""]
    ).encode("latin-1")


def assert_refused(reply: Reply, status: int, reason: str) -> None:
    assert reply.status == status
    assert reply.json()["reason"] == reason
    assert reply.one("Content-Type") == "application/problem+json"
    assert reply.one("Connection") == "close"


# Sizes

TOO_LARGE = {
    "a target": (get("/" + "a" * 17_000), 414, "target_too_long"),
    "a query": (get("/?" + "a" * 17_000), 414, "target_too_long"),
    "a field": (get("/", "X-A: " + "a" * 33_000), 431, "headers_too_large"),
    "a field's name": (get("/", "X-" + "a" * 33_000 + ": 1"), 431, "headers_too_large"),
    "fields together": (
        get("/", *(f"X-{n}: " + "a" * 8000 for n in range(5))),
        431,
        "headers_too_large",
    ),
    "fields in number": (
        get("/", *(f"X-{n}: 1" for n in range(101))),
        431,
        "headers_too_large",
    ),
    "cookies": (get("/", "Cookie: a=" + "b" * 33_000), 431, "headers_too_large"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
@pytest.mark.parametrize("piece", [100_000, 4000, 999])
async def test_a_head_that_is_too_large_is_refused_and_goes_no_further(
    limited: Limited, upstream: RecordingUpstream, name: str, piece: int
) -> None:
    raw, status, reason = TOO_LARGE[name]

    async with (
        limited(limits={"header_bytes": "32KiB"}) as gateway,
        connected(gateway.port) as client,
    ):
        with contextlib.suppress(ConnectionError):
            await client.send(*(raw[n : n + piece] for n in range(0, len(raw), piece)))
        reply = await client.reply()

    assert_refused(reply, status, reason)
    assert upstream.seen == []


async def test_a_head_that_never_ends_is_refused_before_it_fills_the_memory(
    limited: Limited,
) -> None:
    async with limited() as gateway, connected(gateway.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        endless = asyncio.create_task(send_for_ever(client, b"X-A: 1\r\n" * 10))
        reply = await client.reply()
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)

    assert reply.status == 431


async def send_for_ever(client: Client, data: bytes, pause: float = 0) -> None:
    while True:
        await client.send(data)
        await asyncio.sleep(pause)


async def test_a_head_that_comes_while_another_request_is_answered_is_measured_too(
    tmp_path: Path, redis: Server
) -> None:
    requested, answer = asyncio.Event(), asyncio.Event()
    targets = []

    async def slow(line: Line) -> None:
        while True:
            targets.append((await line.request()).target)
            requested.set()
            await answer.wait()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with stage(slow) as playing:
        config = base_config(playing.port)
        config["server"]["limits"] = {"header_bytes": "2KiB"}
        async with (
            running_gateway(config, tmp_path, redis.url) as gateway,
            connected(gateway.port) as client,
        ):
            await client.send(get("/one"))
            await requested.wait()
            fat = get("/two", *(f"X-{n}: " + "a" * 900 for n in range(5)))[:-2]
            await client.send(fat)
            await read_up_to(gateway, fat)
            answer.set()
            first = await client.reply()
            await client.send(b"\r\n")
            second = await client.reply()

    assert first.status == 200
    assert_refused(second, 431, "headers_too_large")
    assert targets == ["/one"]


async def read_up_to(gateway: Gateway, raw: bytes) -> None:
    """Wait until the gateway has read this from its only client."""
    [connection] = gateway.app._process.client_server.connections
    async with asyncio.timeout(PATIENCE):
        while not raw.endswith(connection._reader.last_read):
            await asyncio.sleep(0)


async def test_a_head_just_below_the_limits_passes(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    fields = [f"X-{n}: " + "a" * 300 for n in range(90)]

    async with (
        limited(limits={"header_bytes": "32KiB"}) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(get("/" + "a" * 16_000, *fields))
        reply = await client.reply()

    assert reply.status == 200
    assert upstream.last.one("X-89") == "a" * 300


async def test_a_small_limit_of_the_head_holds(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    async with limited(limits={"header_bytes": "1KiB"}) as gateway:
        large = await ask(gateway.port, headers={"X-A": "a" * 1000})
        small = await ask(gateway.port, headers={"X-A": "a" * 500})

    assert_refused(large, 431, "headers_too_large")
    assert small.status == 200


async def test_a_body_that_says_it_is_too_large_is_refused_unread(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    async with (
        limited(limits={"body_bytes": "1KiB"}) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(get("/", "Content-Length: 1025", "Expect: 100-continue"))
        reply = await client.head(interim=True)

    assert reply.status == 413
    assert upstream.connections == 0


async def test_a_body_at_the_limit_passes(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    async with limited(limits={"body_bytes": "1KiB"}) as gateway:
        reply = await ask(gateway.port, "POST", "/", {}, b"x" * 1024)

    assert reply.status == 200
    assert len(upstream.last.body) == 1024


async def test_a_body_that_grows_too_large_is_refused_and_never_looks_whole(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    async with (
        limited(limits={"body_bytes": "64KiB"}) as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                await client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await client.send(b"0\r\n\r\n")
        reply = await client.reply()
    await upstream.settled()

    assert_refused(reply, 413, "body_too_large")
    assert upstream.complete == []
    assert len(upstream.seen[0].body) <= 64 * KIB


@pytest.mark.parametrize("target", ["/dashboard", "/.gateway/nothing", "/a//b"])
async def test_who_sends_a_large_body_all_the_same_can_read_why_it_was_refused(
    gateway: Gateway, upstream: RecordingUpstream, target: str
) -> None:
    async with connected(gateway.port) as client:
        await client.send(get(target, f"Content-Length: {4 * KIB * KIB}"))
        for _ in range(64):
            await client.send(b"x" * 64 * KIB)
        reply = await client.reply()

    assert reply.status in {400, 401, 404}
    assert reply.one("Connection") == "close"
    assert upstream.connections == 0


# Times. Where a part of a head must arrive in time, the time is two seconds: a machine
# that is busy with other things stands still for some of it.


async def test_a_head_that_comes_too_slowly_is_a_408(limited: Limited) -> None:
    async with (
        limited(request_headers="2s") as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHo")
        reply = await client.reply()
        rest = await client.silence()

    assert_refused(reply, 408, "request_timeout")
    assert rest == b""


async def test_a_head_that_trickles_in_gets_no_more_time_for_it(
    limited: Limited,
) -> None:
    async with (
        limited(request_headers="2s") as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nX-A: ")
        trickling = asyncio.create_task(send_for_ever(client, b"a", pause=0.01))
        reply = await client.reply()
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)

    assert_refused(reply, 408, "request_timeout")


async def test_a_client_that_sends_nothing_is_disconnected_without_a_response(
    limited: Limited,
) -> None:
    async with (
        limited(request_headers="200ms") as gateway,
        connected(gateway.port) as client,
    ):
        assert await client.silence() == b""


async def test_a_second_head_that_comes_too_slowly_is_a_408(limited: Limited) -> None:
    async with (
        limited(request_headers="2s") as gateway,
        connected(gateway.port) as client,
    ):
        await client.send(get())
        assert (await client.reply()).status == 200
        await client.send(b"GET / HT")
        reply = await client.reply()

    assert_refused(reply, 408, "request_timeout")


async def test_a_connection_that_idles_too_long_is_closed(limited: Limited) -> None:
    async with limited(keepalive="200ms") as gateway, connected(gateway.port) as client:
        await client.send(get())
        assert (await client.reply()).status == 200
        assert await client.silence() == b""


async def test_slow_clients_keep_no_other_client_waiting(limited: Limited) -> None:
    async with (
        limited(request_headers="90s") as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(50):
            slow = await stack.enter_async_context(connected(gateway.port))
            await slow.send(b"GET / HTTP/1.1\r\nX-Slow: ")
        reply = await ask(gateway.port)

    assert reply.status == 200


async def test_a_connection_too_many_gets_a_503_and_is_closed(
    limited: Limited, upstream: RecordingUpstream
) -> None:
    async with limited(limits={"connections": 2}) as gateway:
        async with connected(gateway.port) as one, connected(gateway.port) as two:
            for client in (one, two):
                await client.send(get())
                assert (await client.reply()).status == 200
            async with connected(gateway.port) as three:
                refused = await three.reply()
                assert await three.silence() == b""
            await one.send(get())
            assert (await one.reply()).status == 200
        await all_closed(gateway)
        after = await ask(gateway.port)

    assert refused.status == 503
    assert refused.one("Retry-After")
    assert after.status == 200


async def all_closed(gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE):
        await gateway.app._process.client_server.wait_until_empty()


async def test_who_does_not_take_the_last_bytes_is_let_go(
    tmp_path: Path, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than the 64 KiB above which a write waits: nobody waits for these.
    monkeypatch.setattr("gateway.server.client_connection._FINAL_WRITE", 0.2)
    running: list[Gateway] = []
    stated = asyncio.Event()

    def left() -> int:
        [connection] = running[0].app._process.client_server.connections
        return connection._transport.get_write_buffer_size()

    async def until_it_sticks(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not left():
            await line.send(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            await asyncio.sleep(0)
        await line.send(b"0\r\n\r\n")
        stated.set()

    async with (
        stage(until_it_sticks) as playing,
        running_gateway(base_config(playing.port), tmp_path, redis.url) as gateway,
    ):
        running.append(gateway)
        async with connected(gateway.port, limit=1024) as client:
            client.stop_reading()
            await client.send(get("/", "Connection: close"))
            async with asyncio.timeout(PATIENCE):
                await stated.wait()
                await gateway.app._process.client_server.wait_until_empty()


# Methods


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("TRACE", 405),
        ("CONNECT", 405),
        ("trace", 400),
        ("G@T", 400),
        ("GET" * 50, 400),
        ("BREW", 400),
    ],
)
async def test_a_method_that_is_not_offered_goes_no_further(
    gateway: Gateway, upstream: RecordingUpstream, method: str, status: int
) -> None:
    async with connected(gateway.port) as client:
        await client.send(method.encode() + get("/")[3:])
        reply = await client.reply()
        assert await client.silence() == b""

    assert reply.status == status
    assert upstream.seen == []


@pytest.mark.parametrize("line", ["DESCRIBE /x RTSP/1.0", "GET /x RTSP/1.1"])
async def test_another_protocol_goes_no_further(
    gateway: Gateway, upstream: RecordingUpstream, line: str
) -> None:
    async with connected(gateway.port) as client:
        await client.send(f"{line}\r\nHost: gw.test\r\n\r\n".encode())
        reply = await client.reply()
        assert await client.silence() == b""

    assert_refused(reply, 505, "bad_version")
    assert upstream.seen == []


async def test_an_upload_may_hold_requests_of_another_protocol(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    """The log of a camera, say; the connection serves the next request as well."""
    body = b"PLAY rtsp://camera/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 10_000
    head = f"POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {len(body)}\r\n\r\n"
    async with connected(gateway.port) as client:
        await client.send(head.encode() + body)
        uploaded = await client.reply()
        await client.send(get("/"))
        reply = await client.reply()

    assert (uploaded.status, reply.status) == (200, 200)
    assert [each.method for each in upstream.complete] == ["POST", "GET"]
    assert upstream.complete[0].body == body


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "PURGE", "PATCH", "OPTIONS"])
async def test_a_method_that_the_parser_knows_is_passed_on(
    gateway: Gateway, upstream: RecordingUpstream, method: str
) -> None:
    reply = await ask(gateway.port, method, "/")

    assert reply.status == 200
    assert upstream.last.method == method


# Other doors


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A throw-away certificate for gw.test, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("gw.test")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "gw.pem", folder / "gw.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private


async def signing_in(line: Line) -> None:
    """Sign whoever comes to the sign-in page in; say to others what came."""
    while True:
        seen = await line.request()
        extra = ""
        if seen.target == "/auth/login":
            who = {"identity": {"id": "u_grace", "traits": {}, "roles": []}}
            extra = f"X-Gateway-Sign-In: {sign_in_header(who)}\r\n"
        body = "\n".join(f"{name}: {value}" for name, value in seen.headers)
        await line.send(
            f"HTTP/1.1 200 OK\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


@asynccontextmanager
async def over_tls(
    certificate: tuple[Path, Path], folder: Path, redis: Server
) -> AsyncIterator[tuple[Gateway, ssl.SSLContext]]:
    public, private = certificate
    context = ssl.create_default_context(cafile=str(public))
    async with stage(signing_in) as playing:
        config = base_config(playing.port)
        config["server"] |= {
            "public_url": "https://gw.test",
            "tls": {"certificate": str(public), "key": str(private)},
        }
        async with running_gateway(config, folder, redis.url) as gateway:
            yield gateway, context


async def test_over_tls_the_session_cookie_is_bound_to_the_host(
    certificate: tuple[Path, Path], tmp_path: Path, redis: Server
) -> None:
    async with (
        over_tls(certificate, tmp_path, redis) as (gateway, context),
        connected(gateway.port, ssl=context, server_hostname="gw.test") as client,
    ):
        await client.send(get("/auth/login"))
        signed_in = await client.reply()
        cookie = signed_in.one("Set-Cookie") or ""
        pair = cookie.partition(";")[0]
        await client.send(get("/dashboard", f"Cookie: {pair}"))
        dashboard = await client.reply()
        plain_name = pair.removeprefix("__Host-")
        await client.send(get("/dashboard", f"Cookie: {plain_name}"))
        refused = await client.reply()

    assert pair.startswith("__Host-gateway_session=")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= parts
    assert not [part for part in parts if part.startswith("domain")]
    assert dashboard.status == 200
    assert b"X-Forwarded-Proto: https" in dashboard.body
    assert b"X-Forwarded-Port: 443" in dashboard.body
    assert refused.status == 401


async def test_a_plain_request_to_the_tls_port_reaches_no_upstream(
    certificate: tuple[Path, Path], tmp_path: Path, redis: Server
) -> None:
    async with (
        over_tls(certificate, tmp_path, redis) as (gateway, _),
        connected(gateway.port) as client,
    ):
        await client.send(get())
        with contextlib.suppress(ConnectionError):
            assert not (await client.silence()).startswith(b"HTTP/1.1 200")

    assert [line for line in gateway.lines() if line["log.level"] == "error"] == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_versions_of_tls_that_are_safe_are_spoken(
    certificate: tuple[Path, Path],
    tmp_path: Path,
    redis: Server,
    version: ssl.TLSVersion,
) -> None:
    async with over_tls(certificate, tmp_path, redis) as (gateway, context):
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        async with connected(
            gateway.port, ssl=context, server_hostname="gw.test"
        ) as client:
            await client.send(get())
            reply = await client.reply()
            spoken = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()

    assert reply.status == 200
    assert spoken == "http/1.1"


async def test_a_unix_socket_is_a_door_like_any_other(
    upstream: RecordingUpstream, tmp_path: Path, redis: Server
) -> None:
    path = tmp_path / "gw.sock"
    config = base_config(upstream.port)
    config["server"]["listen"] = [f"unix:{path}", "127.0.0.1:0"]

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        reader, writer = await asyncio.open_unix_connection(str(path))
        client = Client(reader, writer)
        # Who may open the socket is a proxy on this machine: it is believed.
        await client.send(
            get("/dashboard", f"Cookie: {cookie}", "X-Forwarded-For: 203.0.113.7")
        )
        inside = await client.reply()
        await client.send(get("/dashboard"))
        refused = await client.reply()
        writer.close()
        await writer.wait_closed()
        outside = await ask(
            gateway.port, "GET", "/", {"X-Forwarded-For": "203.0.113.7"}
        )

    assert (inside.status, refused.status, outside.status) == (200, 401, 200)
    assert upstream.seen[0].one("X-Forwarded-For") == "203.0.113.7"
    assert upstream.seen[1].one("X-Forwarded-For") == "127.0.0.1"
