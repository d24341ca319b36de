"""The authz listener on real sockets: who may ask, what is decided, what is recorded."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.authz.mode import Mode
from gateway.sessions.cookie import new_token
from tests.authz.checks import Asked, own_fields, own_line
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    a_session,
    an_admin,
    ask,
    base_config,
    connected,
    parse,
    running_gateway,
    send_raw,
)

CLIENT = "192.0.2.7"


def authz_config(upstream: RecordingUpstream, **server: Any) -> dict[str, Any]:
    config = base_config(upstream.port)
    config["server"] |= {
        "authz": "127.0.0.1:0",
        "trusted_proxies": ["127.0.0.1"],
    } | server
    return config


@pytest.fixture
async def authz(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = authz_config(upstream)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


def lines_of(mode: Mode, requested: Asked, own_method: str | None = None) -> bytes:
    method, target = own_line(mode, requested)
    fields = [*own_fields(mode, requested), *requested.headers]
    lines = [f"{own_method or method} {target} HTTP/1.1"]
    lines += [f"{name}: {text}" for name, text in fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"


async def decide(
    gateway: Gateway, mode: Mode, target: str = "/dashboard", **changes: Any
) -> Reply:
    """Ask as a front proxy does."""
    headers = changes.pop("headers", PROGRAM)
    requested = Asked(
        target=target, host="gw.test", scheme="http", client=CLIENT,
        headers=tuple(headers.items()), **changes,
    )  # fmt: skip
    raw = lines_of(mode, requested) + b"Connection: close\r\n\r\n"
    method = own_line(mode, requested)[0]
    return parse(await send_raw(gateway.app.authz_port, raw), method)


def as_nginx_passes(mode: Mode, status: int) -> int:
    if mode is not Mode.AUTH_REQUEST:
        return status
    if status in {302, 303}:
        return 401
    return status if status in {200, 401} or status >= 500 else 403


# The same decision


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("who", ["anonymous", "member", "admin"])
async def test_the_decision_is_that_of_the_proxy_path(
    mode: Mode, who: str, authz: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = {}
    if who != "anonymous":
        changes = an_admin() if who == "admin" else {}
        cookie = {"Cookie": await authz.sign_in(**changes)}
    statuses = set()
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        for target in (
            "/", "/dashboard?a=b", "/admin/x", "/auth/login", "/api/x", "/static/x",
            "/a%2Fb", "/a//b", "/a/../b", "/auth/login?refresh=true",
        ):  # fmt: skip
            for caller in (BROWSER, PROGRAM):
                headers = caller | cookie
                before = len(upstream.seen)
                by_proxy = await ask(
                    authz.port, method, target,
                    headers | {"X-Forwarded-For": CLIENT},
                )  # fmt: skip
                forwarded = len(upstream.seen) > before
                reply = await decide(
                    authz, mode, target, method=method, headers=headers
                )

                place = (method, target, headers)
                expected = 200 if forwarded else by_proxy.status
                assert reply.status == as_nginx_passes(mode, expected), place
                assert (reply.status == 200) is forwarded, place
                statuses.add(reply.status)
                if forwarded:
                    same(reply, upstream)
                elif location := by_proxy.one("Location"):
                    assert reply.one("Location") == f"http://gw.test{location}"
                if mode is not Mode.AUTH_REQUEST and not forwarded:
                    assert reply.all("Set-Cookie") == by_proxy.all("Set-Cookie")
    assert 200 in statuses


def same(reply: Reply, upstream: RecordingUpstream) -> None:
    """Every header of the gateway is there once, with the value that the app got."""
    seen = upstream.seen[-1]
    assert reply.body == b""
    for name in (
        "X-Auth-User-Id", "X-Auth-Email", "X-Auth-Role", "X-Auth-Tenant-Id",
        "X-Auth-Tenant-Role", "X-Auth-Session-Id", "Authorization",
        "X-Auth-Assertion", "Cookie",
    ):  # fmt: skip
        assert reply.present(name) == (seen.one(name) or ""), name
    assert reply.present("Cache-Control") == "no-store"


# Who may ask


@pytest.mark.parametrize("mode", Mode)
async def test_only_a_trusted_proxy_may_ask(
    mode: Mode, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = authz_config(upstream, trusted_proxies=["10.0.0.0/8"])
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        replies = [await decide(gateway, mode, "/static/x") for _ in range(3)]
        lines = await gateway.logged()

    assert {reply.status for reply in replies} == {403}
    assert replies[0].json()["reason"] == "proxy_not_trusted"
    reported = [line for line in lines if "front proxy" in line["message"]]
    assert [line["setting"] for line in reported] == ["server.trusted_proxies"]


@pytest.mark.parametrize(
    ("path", "fields", "word"),
    [
        ("/authz/forward-auth", [], "X-Forwarded-Method"),
        ("/authz/auth-request", [("X-Original-Method", "GET")], "X-Original-URL"),
        ("/authz/ext-authz/static/x", [], "X-Forwarded-Proto"),
    ],
)
async def test_a_proxy_that_forgets_a_header_gets_a_400_and_the_log_names_it(
    authz: Gateway, path: str, fields: list[tuple[str, str]], word: str
) -> None:
    reply = await ask(authz.app.authz_port, "GET", path, fields)
    lines = await authz.logged()

    assert reply.status == 400
    reported = [line for line in lines if "front proxy" in line["message"]]
    assert word in reported[0]["problem"]
    assert reported[0]["setting"]
    assert reported[0]["about"] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["/", "/authz", "/authz/", "/authz/ext-authz", "/livez", "/static/x", "/.gateway/session"],
)  # fmt: skip
async def test_nothing_else_is_served_there(authz: Gateway, path: str) -> None:
    cookie = await authz.sign_in(**an_admin())

    reply = await ask(authz.app.authz_port, "GET", path, {"Cookie": cookie})

    assert reply.status == 404


async def test_the_endpoints_are_on_no_other_listener(
    authz: Gateway, upstream: RecordingUpstream
) -> None:
    """There they are paths of the app."""
    await ask(authz.port, "GET", "/authz/forward-auth")

    assert upstream.last.target == "/authz/forward-auth"


@pytest.mark.parametrize("mode", Mode)
async def test_a_path_of_the_gateway_is_refused_with_advice(
    mode: Mode, authz: Gateway
) -> None:
    """The app behind the front proxy would get it."""
    cookie = {"Cookie": await authz.sign_in()}

    for target in ("/.gateway/session", "/.well-known/jwks.json", "/.gateway/nothing"):
        reply = await decide(authz, mode, target, headers=PROGRAM | cookie)
        assert reply.status == as_nginx_passes(mode, 404)
    lines = await authz.logged()

    reported = [line for line in lines if "front proxy" in line["message"]]
    assert "/.gateway/" in reported[0]["setting"]


# The check is a request of its own


@pytest.mark.parametrize("mode", [Mode.FORWARD_AUTH, Mode.AUTH_REQUEST])
async def test_the_framing_of_the_response_is_that_of_the_check(
    mode: Mode, authz: Gateway
) -> None:
    """A GET about a HEAD has a body, a HEAD about a GET has none; all in one connection."""
    about_head = lines_of(mode, Asked(method="HEAD", host="gw.test"))
    by_head = lines_of(mode, Asked(host="gw.test"), "HEAD")

    async with connected(authz.app.authz_port) as client:
        for raw, own in ((about_head, "GET"), (by_head, "HEAD")) * 3:
            await client.send(raw + b"Accept: application/json\r\n\r\n")
            reply = await client.reply(own)
            assert reply.status == 401
            length = int(reply.present("Content-Length"))
            assert len(reply.body) == (0 if own == "HEAD" else length)


@pytest.mark.parametrize("mode", Mode)
async def test_a_body_of_the_check_is_never_read_as_another_check(
    mode: Mode, authz: Gateway
) -> None:
    cookie = await authz.sign_in()
    headers = (("Cookie", cookie),)
    inner = lines_of(mode, Asked(host="gw.test", headers=headers)) + b"\r\n"
    raw = lines_of(mode, Asked(host="gw.test", method="POST"), "POST")

    async with connected(authz.app.authz_port) as client:
        await client.send(
            raw + b"Content-Length: %d\r\n\r\n" % len(inner) + inner
        )  # fmt: skip
        client.end()
        reply = await client.reply("POST")
        rest = await client.silence()

    assert reply.status == 401
    assert rest == b""


async def test_bytes_that_are_no_request_are_refused(authz: Gateway) -> None:
    for raw in (
        b"GET\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ):
        answer = await send_raw(authz.app.authz_port, raw)

        assert not answer.startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("mode", Mode)
async def test_a_large_check_is_refused(mode: Mode, authz: Gateway) -> None:
    reply = await decide(authz, mode, "/static/x", headers={"X-Long": "x" * 40_000})

    assert reply.status >= 400


# What it does


async def test_a_revoked_session_ends_with_the_next_check(authz: Gateway) -> None:
    cookie = await authz.sign_in()
    headers = PROGRAM | {"Cookie": cookie}
    before = await decide(authz, Mode.FORWARD_AUTH, headers=headers)

    await ask(authz.port, "POST", "/.gateway/logout", headers)
    after = await decide(authz, Mode.FORWARD_AUTH, headers=headers)

    assert (before.status, after.status) == (200, 401)
    assert after.json()["reason"] in {"unknown_session", "session_revoked"}
    assert any("Max-Age=0" in each for each in after.all("Set-Cookie"))


@pytest.mark.parametrize("mode", Mode)
async def test_a_check_extends_the_session_and_returns_its_cookie(
    mode: Mode, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = authz_config(upstream)
    config["sessions"] = {"lifespan": "2h", "extend_within": "119m"}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in(a_session(time.time() - 3600 * 23))
        reply = await decide(gateway, mode, headers=PROGRAM | {"Cookie": cookie})

    assert reply.status == 200
    assert reply.present("Set-Cookie").startswith(cookie)


@pytest.mark.parametrize("mode", Mode)
async def test_an_outage_of_the_store_is_a_503_and_no_cookie_is_cleared(
    mode: Mode, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = authz_config(upstream) | {"redis": IMPATIENT}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        await gateway.app.store.close()
        reply = await decide(gateway, mode, headers=PROGRAM | {"Cookie": cookie})

    assert reply.status == 503
    assert reply.present("Retry-After")
    assert not reply.all("Set-Cookie")


@pytest.mark.parametrize("mode", Mode)
async def test_guessed_sessions_are_limited_by_the_client_not_by_the_proxy(
    mode: Mode, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = authz_config(upstream, guessing={"failed_lookups": 3})
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        name = gateway.app.runtime.rules.cookie.name
        guesses = [
            PROGRAM | {"Cookie": f"{name}={new_token(bytes([n]) * 32).value}"}
            for n in range(5)
        ]
        statuses = [
            (await decide(gateway, mode, headers=guess)).status for guess in guesses
        ]
        own = lines_of(mode, Asked(host="gw.test", client="192.0.2.99")) + b"\r\n"
        async with connected(gateway.app.authz_port) as client:
            await client.send(own)
            other = await client.reply()

    limited = as_nginx_passes(mode, 429)
    assert statuses == [401, 401, 401, limited, limited]
    assert other.status == 401


# What is recorded


async def test_line_metric_and_audit_event_name_mode_and_client(
    authz: Gateway,
) -> None:
    cookie = await authz.sign_in()
    await decide(
        authz, Mode.AUTH_REQUEST, "/admin/x?secret=1", method="POST",
        headers=PROGRAM | {"Cookie": cookie},
    )  # fmt: skip
    lines = await authz.logged()
    metrics = authz.app._reporter.process.exposition("")[0].decode()

    access = [line for line in lines if line.get("event.dataset") == "gateway.access"]
    assert access[-1]["gateway.mode"] == "auth-request"
    assert access[-1]["client.address"] == CLIENT
    assert access[-1]["http.request.method"] == "POST"
    assert access[-1]["url.path"] == "/admin/x"
    assert access[-1]["http.response.status_code"] == 403
    audit = [line for line in lines if line.get("gateway.reason") == "not_admin"]
    assert any(line.get("event.action") == "authz_fail" for line in audit), lines
    assert all(line["client.address"] == CLIENT for line in audit)
    assert cookie.partition("=")[2] not in authz.log.read_text()
    assert (
        'gateway_authz_decisions_total{decision="deny",mode="auth-request"} 1.0'
        in metrics
    )
    assert "gateway_upstream_duration_seconds_count" not in metrics


@pytest.mark.parametrize("mode", Mode)
async def test_the_line_of_a_refused_request_states_what_is_wrong(
    mode: Mode, authz: Gateway
) -> None:
    evil = PROGRAM | {"Forwarded": "host=evil.example"}
    contradicting = await decide(authz, mode, headers=evil)
    unusual = await decide(authz, mode, "/static/%2Fx")

    lines = await authz.logged()
    found = [line.get("error.message", "") for line in lines if "gateway.mode" in line]
    for reply in (contradicting, unusual):
        assert reply.status == as_nginx_passes(mode, 400)
    assert found[0].startswith("Forwarded contradicts the request")
    assert "path_allows" in found[1]
    assert "evil" not in authz.log.read_text()


async def test_a_request_on_the_proxy_path_has_no_mode(authz: Gateway) -> None:
    await ask(authz.port, "GET", "/static/x")

    assert "gateway.mode" not in (await authz.logged())[-1]


# Routes without an upstream


async def test_a_route_without_upstream_only_decides(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """Same decisions, same identity; on the proxy path it leads nowhere."""
    config = authz_config(upstream)
    for route in config["routes"]:
        route["upstream"] = None
    config["upstreams"] = {}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = PROGRAM | {"Cookie": await gateway.sign_in()}
        for mode in Mode:
            allowed = await decide(gateway, mode, headers=cookie)
            assert allowed.status == 200
            assert allowed.present("X-Auth-User-Id") == "u_grace"
            assert allowed.present("Authorization") == ""
            assert (await decide(gateway, mode)).status == 401
            denied = await decide(gateway, mode, "/admin/x", headers=cookie)
            assert denied.status == 403
            assert (await decide(gateway, mode, "/static/x")).status == 200
        direct = await ask(gateway.port, "GET", "/dashboard", cookie)
        anonymous = await ask(gateway.port, "GET", "/dashboard", PROGRAM)
        own = await ask(gateway.port, "GET", "/.gateway/session", cookie)

    assert (direct.status, anonymous.status, own.status) == (404, 404, 200)
    assert direct.json()["reason"] == "no_route"
    assert not upstream.seen


# Reload, drain, Unix socket


async def test_a_reload_counts_from_the_next_check(authz: Gateway) -> None:
    config = yaml.safe_load(authz.path.read_text())
    before = await decide(authz, Mode.FORWARD_AUTH, "/static/x")
    config["routes"][1] |= {"rule": "protected"}
    del config["routes"][1]["session"]
    authz.path.write_text(yaml.safe_dump(config))

    assert await authz.app.reload()
    after = await decide(authz, Mode.FORWARD_AUTH, "/static/x")

    assert (before.status, after.status) == (200, 401)


async def test_another_address_needs_a_restart(authz: Gateway) -> None:
    config = yaml.safe_load(authz.path.read_text())
    config["server"]["authz"] = "127.0.0.1:1"
    authz.path.write_text(yaml.safe_dump(config))

    assert await authz.app.reload()

    reported = [line for line in await authz.logged() if line.get("keys")]
    assert reported[-1]["keys"] == ["server.authz"]
    assert (await decide(authz, Mode.FORWARD_AUTH, "/static/x")).status == 200


async def test_a_drain_answers_open_connections_and_closes_them(
    authz: Gateway,
) -> None:
    raw = lines_of(Mode.FORWARD_AUTH, Asked(target="/static/x", host="gw.test"))
    port = authz.app.authz_port
    async with connected(port) as client:
        await client.send(raw + b"\r\n")
        first = await client.reply()
        draining = asyncio.create_task(authz.app.drain())
        await client.send(raw + b"\r\n")
        last = await client.reply()
        await asyncio.wait_for(draining, PATIENCE)

        assert (first.status, last.status) == (200, 200)
        assert last.one("Connection") in {"close", None}
        assert await client.silence() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_unix_socket_is_trusted_by_its_permissions(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    path = tmp_path / "authz.sock"
    config = authz_config(upstream, authz=f"unix:{path}", trusted_proxies=[])
    raw = lines_of(Mode.AUTH_REQUEST, Asked(target="/static/x", host="gw.test"))
    async with running_gateway(config, tmp_path, redis.url):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(raw + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            reply = parse(await reader.read())
        writer.close()

    assert reply.status == 200
