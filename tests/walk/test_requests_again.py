"""A request that was received before, byte for byte, means what it means now."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.server.runtime import kept_bytes
from gateway.spine.outcome import Forward, Lookup
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    answer_ok,
    base_config,
    parse,
    running_gateway,
)

TRUSTED, OTHER = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def config(upstream: RecordingUpstream) -> dict[str, Any]:
    found = base_config(upstream.port)
    found["server"]["trusted_proxies"] = [f"{TRUSTED}/32"]
    same_site = {"rule": "protected", "cross_site": "refuse", "upstream": "web"}
    found["routes"].append({"match": "/forms/**"} | same_site)
    return found


@pytest.fixture
async def gateway(
    config: dict[str, Any], redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


async def send(
    gateway: Gateway, cookie: str, *fields: str, line: str = "", peer: str = OTHER
) -> Reply:
    """Send the same bytes on a new connection, from an address of this machine."""
    lines = [line or "GET /dashboard HTTP/1.1", "Host: gw.test", f"Cookie: {cookie}"]
    raw = "\r\n".join([*lines, *fields, "Connection: close", "", ""]).encode()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.port, local_addr=(peer, 0)
    )
    writer.write(raw)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    return parse(answer)


async def warm(gateway: Gateway, cookie: str, *fields: str, **more: str) -> None:
    for _ in range(4):
        assert (await send(gateway, cookie, *fields, **more)).status == 200


async def test_each_has_ids_of_its_own(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    await warm(gateway, await gateway.sign_in())

    for name in ("X-Request-Id", "traceparent"):
        assert len({seen.present(name) for seen in upstream.complete}) == 4
    logged = await gateway.logged()
    access = [each for each in logged if each["event.dataset"] == "gateway.access"]
    for name, sent in (
        ("http.request.id", "X-Request-Id"),
        ("trace.id", "traceparent"),
    ):
        assert all(
            each[name] in seen.present(sent)
            for each, seen in zip(access, upstream.complete, strict=True)
        )


async def test_a_session_that_was_revoked_is_revoked_at_once(gateway: Gateway) -> None:
    cookie = await gateway.sign_in()
    await warm(gateway, cookie)

    await gateway.own_store.end(gateway.key_of(cookie), 1.0)

    assert (await send(gateway, cookie)).json()["reason"] == "session_revoked"


async def test_a_reload_counts_from_the_next_request(
    gateway: Gateway, config: dict[str, Any]
) -> None:
    cookie = await gateway.sign_in()
    await warm(gateway, cookie)

    config["routes"].append(
        {"match": "/dashboard", "rule": "admin-only", "upstream": "web"}
    )
    gateway.path.write_text(yaml.safe_dump(config))
    assert await gateway.app.reload()

    assert (await send(gateway, cookie)).json()["reason"] == "not_admin"


async def test_an_open_stream_keeps_nothing_of_other_requests_after_a_reload(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    released = asyncio.Event()

    async def stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target != "/dashboard/events":
            await answer_ok(seen, writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await released.wait()
        writer.write(b"cd")

    upstream.answer = stream
    cookie = await gateway.sign_in()
    old = gateway.app.runtime
    kept = (old.known_heads, old.known_checks, old.rules.session_plans)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    line = (
        f"GET /dashboard/events HTTP/1.1\r\nHost: gw.test\r\nCookie: {cookie}\r\n\r\n"
    )
    writer.write(line.encode())
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\nab")
    await warm(gateway, cookie)
    before = [len(each) for each in kept]

    assert await gateway.app.reload()

    after = [len(each) + len(each._older) for each in kept]
    released.set()
    assert before[0] > 0 < before[2]
    assert after == [0, 0, 0]
    async with asyncio.timeout(PATIENCE):
        assert await reader.readexactly(2) == b"cd"
    writer.close()


async def test_a_request_in_flight_at_a_reload_leaves_nothing_in_the_old_one(
    gateway: Gateway,
) -> None:
    cookie = await gateway.sign_in()
    await warm(gateway, cookie)
    old = gateway.app.runtime
    old.retire()  # what a reload does, while requests begin by it

    await warm(gateway, cookie)

    kept = (old.known_heads, old.known_checks, old.rules.session_plans)
    assert [len(each) + len(each._older) for each in kept] == [0, 0, 0]


async def test_what_the_session_is_granted_counts_with_the_request(
    gateway: Gateway,
) -> None:
    cookie = await gateway.sign_in()
    heads = gateway.app.runtime.known_heads
    sizes = []
    for _ in range(5):
        await send(gateway, cookie)
        sizes.append(heads._bytes)

    ((key, lookup),) = heads.items()
    assert isinstance(lookup, Lookup)
    assert lookup.known is not None
    assert lookup.known.planned_by is not None
    granted = len(lookup.known.planned_by.granted)
    assert granted > 0
    # Its lines were received, it was, and it was forwarded by a plan.
    without = kept_bytes(key, lookup.head)
    assert sizes[0] == 0
    assert sizes[-2:] == [without + granted] * 2
    assert set(sizes) <= {0, without, without + granted}


async def test_a_public_request_has_ids_of_its_own_and_no_identity(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    """No session is part of it, so what it means is kept as a whole."""
    cookie, line = await gateway.sign_in(), "GET /static/app.js HTTP/1.1"

    for _ in range(3):
        await warm(gateway, cookie, "X-Auth-User-Id: root", line=line)

    (kept,) = gateway.app.runtime.known_heads.values()
    assert isinstance(kept, Forward)
    assert len({seen.present("X-Request-Id") for seen in upstream.complete}) == 12
    assert all(seen.one("X-Auth-User-Id") is None for seen in upstream.complete)
    logged = [
        each
        for each in await gateway.logged()
        if each["event.dataset"] == "gateway.access"
    ]
    assert len(logged) == 12
    assert not any("user.id" in each for each in logged)


async def test_a_public_request_is_refused_from_the_reload_on(
    gateway: Gateway, config: dict[str, Any]
) -> None:
    line = "GET /public/x HTTP/1.1"
    config["routes"] = [{"match": "/**", "rule": "public", "upstream": "web"}]
    gateway.path.write_text(yaml.safe_dump(config))
    assert await gateway.app.reload()
    await warm(gateway, "theme=dark", line=line)

    config["routes"][0]["rule"] = "protected"
    gateway.path.write_text(yaml.safe_dump(config))
    assert await gateway.app.reload()

    assert (await send(gateway, "theme=dark", line=line)).status == 401


async def test_a_cookie_that_is_not_valid_is_judged_each_time(
    gateway: Gateway, config: dict[str, Any]
) -> None:
    """At a public route, too: such a request may count as an attempt."""
    config["routes"] = [{"match": "/**", "rule": "public", "upstream": "web"}]
    gateway.path.write_text(yaml.safe_dump(config))
    assert await gateway.app.reload()
    line, forged = "GET / HTTP/1.1", "gateway_session=forged"
    await warm(gateway, forged, line=line)

    kept = gateway.app.runtime.known_heads.values()
    assert not any(isinstance(each, Forward) for each in kept)


async def test_only_a_trusted_proxy_reports_the_client(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    """The same bytes from two addresses are two requests."""
    cookie = await gateway.sign_in()
    for peer, reported in (
        (TRUSTED, "192.0.2.7"),
        (OTHER, OTHER),
        (TRUSTED, "192.0.2.7"),
    ):
        await warm(gateway, cookie, "X-Forwarded-For: 192.0.2.7", peer=peer)

        assert upstream.last.present("X-Forwarded-For").startswith(reported)


async def test_the_method_is_part_of_it(gateway: Gateway) -> None:
    """A GET from another site passes where a DELETE is refused."""
    cookie, crossing = await gateway.sign_in(), "Sec-Fetch-Site: cross-site"
    await warm(gateway, cookie, crossing, line="GET /forms/x HTTP/1.1")

    line = "DELETE /forms/x HTTP/1.1"
    assert (await send(gateway, cookie, crossing, line=line)).json()[
        "reason"
    ] == "cross_site"


async def test_a_check_of_another_proxy_is_no_request(
    config: dict[str, Any], redis: Server, tmp_path: Path, upstream: RecordingUpstream
) -> None:
    """The same bytes mean one thing to the public listener, another where checks come."""
    config["server"]["authz"] = f"unix:{tmp_path}/authz"
    config["server"]["listen"] = ["127.0.0.1:0", f"unix:{tmp_path}/public"]
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        lines = ["GET /authz/ext-authz/dashboard HTTP/1.1", "Host: gw.test"]
        lines += [f"Cookie: {cookie}", "X-Forwarded-For: 192.0.2.7"]
        lines += ["X-Forwarded-Proto: http", "Connection: close", "", ""]
        raw = "\r\n".join(lines).encode()

        async def send_to(name: str) -> Reply:
            reader, writer = await asyncio.open_unix_connection(tmp_path / name)
            writer.write(raw)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
            writer.close()
            return parse(answer)

        for number in range(1, 5):
            check, request = await send_to("authz"), await send_to("public")

            assert (check.status, request.status) == (200, 200)
            assert check.one("X-Auth-User-Id") == "u_grace"
            assert request.one("X-Auth-User-Id") is None
            assert len(upstream.complete) == number
            assert upstream.last.target == "/authz/ext-authz/dashboard"

        await gateway.own_store.end(gateway.key_of(cookie), 1.0)
        assert (await send_to("authz")).status == 401
