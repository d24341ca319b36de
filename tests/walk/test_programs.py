"""Programs with access tokens, on real sockets: what they reach, and when it ends."""

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.sessions.access_token import AccessToken, new_access_token
from gateway.sessions.record import Session, Tenant
from gateway.sessions.service import new_token_session
from tests.servers import PATIENCE, Server
from tests.walk.external import custom_config
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Seen,
    ask,
    base_config,
    running_gateway,
    sign_in_header,
    until,
)
from tests.walk.harness import a_session as a_browser

ALL = ("cookie", "bearer", "basic")


@asynccontextmanager
async def opened(
    upstream: int, folder: Path, redis: Server, **server: Any
) -> AsyncIterator[Gateway]:
    config = base_config(upstream)
    config["server"] |= server
    for route in config["routes"]:
        if route["match"] in {"/dashboard/**", "/admin/**", "/api/**"}:
            route["credentials"] = list(ALL)
    async with running_gateway(config, folder, redis.url) as gateway:
        yield gateway


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    async with opened(upstream.port, tmp_path, redis) as running:
        yield running


async def issue(
    gateway: Gateway, lifetime: float = 3600.0, age: float = 0.0, **changes: Any
) -> tuple[AccessToken, Session]:
    """Put a token into the store, as the command line does."""
    now = time.time() - age
    who = a_browser(now)
    token = new_access_token(os.urandom(32))
    fields: dict[str, Any] = {
        "name": "ci",
        "identity": who.identity,
        "tenants": who.tenants,
        "active_tenant": "t_acme",
        "lifetime": lifetime,
        "session_id": f"token-{os.urandom(6).hex()}",
    }
    session = new_token_session(now=now, **(fields | changes))
    async with asyncio.timeout(PATIENCE):
        await gateway.app.services.tokens.create(token.key, session, now)
    return token, session


def bearer(token: AccessToken) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.value}"}


def basic(token: AccessToken, user: str = "anybody") -> dict[str, str]:
    pair = b64encode(f"{user}:{token.value}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


@pytest.mark.parametrize("way", [bearer, basic])
async def test_a_program_reaches_what_a_user_reaches(
    gateway: Gateway, upstream: RecordingUpstream, way: Any
) -> None:
    token, session = await issue(gateway)

    reply = await ask(gateway.port, "GET", "/api/notes", way(token))

    assert reply.status == 200
    assert upstream.last.target == "/notes"
    assert upstream.last.one("X-Auth-User-Id") == "u_grace"
    assert upstream.last.one("X-Auth-Tenant-Id") == "t_acme"
    assert upstream.last.present("Authorization").startswith("Bearer eyJ")
    assert token.value not in b"".join(map(bytes, upstream.wire)).decode("latin-1")
    (line,) = [
        each for each in await gateway.logged() if each.get("url.path") == "/api/notes"
    ]
    assert line["gateway.credential"] == way.__name__
    assert line["gateway.session.id"] == session.id


async def test_the_token_is_nowhere_in_redis_and_nowhere_in_the_log(
    gateway: Gateway, redis: Server
) -> None:
    token, _ = await issue(gateway)
    await ask(gateway.port, "GET", "/dashboard", bearer(token))
    await ask(gateway.port, "GET", "/dashboard", {"Authorization": token.value})

    await gateway.logged()
    keys = await asyncio.to_thread(redis.command_line, "KEYS", "*")

    assert f"gateway:session:{token.key}".encode() in keys
    record = await asyncio.to_thread(
        redis.command_line, "GET", f"gateway:session:{token.key}"
    )
    assert token.value.encode() not in b"".join([record, *keys])
    assert token.value not in gateway.log.read_text()


async def test_a_revoked_token_is_refused_at_the_next_request(
    gateway: Gateway,
) -> None:
    token, _ = await issue(gateway)
    before = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    await gateway.app.services.tokens.end(token.key, time.time())
    after = await ask(gateway.port, "GET", "/dashboard", bearer(token) | BROWSER)

    assert before.status == 200
    assert after.status == 401
    assert after.all("Location") == []
    assert 'error="invalid_token"' in after.all("WWW-Authenticate")[0]
    assert after.all("Set-Cookie") == []


async def test_an_identity_that_is_ended_takes_its_tokens_along(
    gateway: Gateway,
) -> None:
    token, _ = await issue(gateway)

    await gateway.app.services.store.end_all("u_grace", time.time(), None)
    reply = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert (reply.status, reply.json()["reason"]) == (401, "session_revoked")


async def test_a_token_expires(gateway: Gateway) -> None:
    token, _ = await issue(gateway, lifetime=0.001)

    reply = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert (reply.status, reply.json()["reason"]) == (401, "session_expired")
    assert reply.json()["detail"] == "This access token has expired."


async def test_a_token_without_the_tenant_gets_none(gateway: Gateway) -> None:
    none, _ = await issue(gateway, tenants={}, active_tenant=None)
    two = {name: Tenant(id=name, name=name, role="r") for name in ("t_a", "t_b")}
    open_choice, _ = await issue(gateway, tenants=two, active_tenant=None)

    for token in (none, open_choice):
        reply = await ask(gateway.port, "GET", "/api/x", bearer(token) | BROWSER)

        assert (reply.status, reply.all("Location")) == (403, [])


async def test_a_websocket_of_a_program_ends_with_its_token(
    redis: Server, tmp_path: Path
) -> None:
    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with (
        serve(echo, "127.0.0.1", 0) as server,
        opened(server.sockets[0].getsockname()[1], tmp_path, redis) as gateway,
    ):
        token, _ = await issue(gateway)
        async with connect(
            f"ws://127.0.0.1:{gateway.port}/dashboard",
            additional_headers=bearer(token),
            compression=None,
        ) as ws:
            await ws.send("a")
            assert await ws.recv() == "a"

            await gateway.app.services.tokens.end(token.key, time.time())

            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(PATIENCE):
                    await ws.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


async def test_guessed_tokens_are_limited_by_address(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    guessing = {"failed_lookups": 2, "window": "10m"}
    async with opened(upstream.port, tmp_path, redis, guessing=guessing) as gateway:
        token, _ = await issue(gateway)
        guesses = [new_access_token(os.urandom(32)) for _ in range(4)]
        statuses = [
            (await ask(gateway.port, "GET", "/dashboard", bearer(guess))).status
            for guess in guesses
        ]
        # Not a guess: nobody has to look for it.
        mangled = {"Authorization": f"Bearer {token.value[:-1]}"}
        cut = await ask(gateway.port, "GET", "/dashboard", mangled)
        valid = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert statuses == [401, 401, 429, 429]
    assert (cut.status, valid.status) == (401, 200)


async def test_its_use_is_recorded_without_a_write_for_each_request(
    gateway: Gateway,
) -> None:
    token, made = await issue(gateway, age=1000.0)
    store = gateway.app.services.tokens

    for _ in range(3):
        await ask(gateway.port, "GET", "/dashboard", bearer(token))
    seen: list[Session] = []

    async def used() -> bool:
        found = await store.load(token.key)
        assert isinstance(found, Session)
        seen.append(found)
        return found.last_seen_at > made.last_seen_at

    async with asyncio.timeout(PATIENCE):
        while not await used():
            await asyncio.sleep(0.01)
    await ask(gateway.port, "GET", "/dashboard", bearer(token))
    again = await store.load(token.key)

    assert again == seen[-1]
    assert again.expires_at == pytest.approx(made.expires_at)


async def test_who_am_i_answers_a_program(gateway: Gateway) -> None:
    token, session = await issue(gateway)

    for path in ("/.gateway/session", "/.gateway/sessions/whoami"):
        known = await ask(gateway.port, "GET", path, bearer(token))
        unknown = await ask(
            gateway.port, "GET", path, bearer(new_access_token(os.urandom(32)))
        )

        assert known.json()["id"] == session.id
        assert unknown.status == 401


async def test_a_sign_out_of_the_app_ends_the_token(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async def leave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nX-Gateway-Sign-Out: this\r\n\r\n")
        await writer.drain()

    token, _ = await issue(gateway)
    upstream.answer = leave
    left = await ask(gateway.port, "POST", "/dashboard", bearer(token))
    after = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert (left.status, left.all("Set-Cookie")) == (204, [])
    assert after.status == 401


async def test_a_sign_in_of_the_app_leaves_the_token(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    header = sign_in_header({"identity": {"id": "u_new"}})

    async def enter(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        field = f"X-Gateway-Sign-In: {header}\r\nContent-Length: 0\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + field.encode())
        await writer.drain()

    token, _ = await issue(gateway)
    upstream.answer = enter
    await ask(gateway.port, "POST", "/dashboard", bearer(token))
    after = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert after.status == 200


async def test_tokens_work_next_to_the_sessions_of_an_app(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = custom_config(upstream.port)
    for route in config["routes"]:
        if route["rule"] == "protected":
            route["credentials"] = list(ALL)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        token, _ = await issue(gateway, age=1000.0)
        allowed = await ask(gateway.port, "GET", "/dashboard", bearer(token))
        identity = upstream.last.one("X-Auth-User-Id")
        await until(lambda: not gateway.app.services._background)
        used = await gateway.app.services.tokens.load(token.key)
        await gateway.app.services.tokens.end(token.key, time.time())
        refused = await ask(gateway.port, "GET", "/dashboard", bearer(token))

    assert (allowed.status, identity) == (200, "u_grace")
    assert isinstance(used, Session)
    assert used.last_seen_at > used.issued_at
    assert refused.status == 401


async def test_a_websocket_next_to_the_sessions_of_an_app_ends_with_its_token(
    redis: Server, tmp_path: Path
) -> None:
    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        config = custom_config(server.sockets[0].getsockname()[1])
        for route in config["routes"]:
            if route["rule"] == "protected":
                route["credentials"] = list(ALL)
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            token, _ = await issue(gateway)
            url = f"ws://127.0.0.1:{gateway.port}/dashboard"
            async with connect(
                url, additional_headers=bearer(token), compression=None
            ) as ws:
                assert await gateway.app._process.checks.why_ended(token.key) is None
                await gateway.app.services.tokens.end(token.key, time.time())
                with pytest.raises(ConnectionClosed):
                    async with asyncio.timeout(PATIENCE):
                        await ws.recv()
