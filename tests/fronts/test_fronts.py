"""Each front proxy with its example: the app gets what the gateway allows, as it says."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.fronts.conftest import Site, running_site, site_config
from tests.fronts.programs import Front
from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Seen,
    a_session,
    an_admin,
    ask,
    connected,
)
from tests.walk.test_programs import basic, bearer, issue

SCHEMES = ("Bearer", "Basic", "Session")
SPOOFED = [
    ("X-Auth-User-Id", "u_mallory"), ("X-Auth-Role", "admin"),
    ("X-Auth-Tenant-Id", "t_other"), ("x-auth-email", "m@evil.example"),
    ("X_Auth_User_Id", "u_mallory"), ("X.Auth.User.Id", "u_mallory"),
    ("X-Auth_User-Id", "u_mallory"), ("X-Auth-Status", "mallory"),
]  # fmt: skip


async def test_a_signed_in_user_reaches_the_app_with_an_identity(site: Site) -> None:
    cookie = await site.gateway.sign_in()

    reply = await ask(site.port, "GET", "/dashboard?a=b%20c", {"Cookie": cookie})

    assert reply.status == 200
    seen = site.app.last
    assert (seen.method, seen.target) == ("GET", "/dashboard?a=b%20c")
    assert seen.one("X-Auth-User-Id") == "u_grace"
    assert seen.one("X-Auth-Tenant-Id") == "t_acme"
    assert seen.one("Host") == "gw.test"
    assert cookie.partition("=")[2] not in str(seen.headers)
    assert not seen.one("Cookie")
    assert not seen.one("Authorization")


async def test_a_spoofed_identity_never_reaches_the_app(site: Site) -> None:
    cookie = await site.gateway.sign_in()

    for headers in (SPOOFED, [*SPOOFED, ("Cookie", cookie)]):
        reply = await ask(site.port, "GET", "/static/x.css", headers)

        assert reply.status == 200
        seen = site.app.last
        assert "mallory" not in str(seen.headers), seen.headers
        assert "evil" not in str(seen.headers)
        assert (seen.one("X-Auth-User-Id") or "") == (
            "u_grace" if headers is not SPOOFED else ""
        )


# What only another gateway sets: a user by another name, another request.
CLAIMS = [
    "Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "X-Remote-User",
    "X-Remote-Group", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Auth-Request-User",
    "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-WEBAUTH-USER", "X-User",
    "X-User-Id", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Uri",
    "X-Original-Method", "X-Original-URI", "X-Original-URL", "X-Rewrite-URL",
    "X-HTTP-Method-Override", "Remote_User", "X_Forwarded_User", "x-forwarded_uri",
    "Remote.User", "X.Forwarded.User",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/static/x.css", "/dashboard"])
async def test_what_other_gateways_set_never_reaches_the_app(
    site: Site, path: str
) -> None:
    cookie = ("Cookie", await site.gateway.sign_in())

    for times in (1, 2):
        for name in CLAIMS:
            claims = [(name, "mallory")] * times
            reply = await ask(site.port, "GET", path, [*claims, cookie])

            # The fields of its own family contradict what the front proxy says.
            assert reply.status in {200, 400, 403}, name
    forwarded = ("Forwarded", "for=mallory")
    reply = await ask(site.port, "GET", path, [forwarded, cookie])

    assert reply.status == 200
    for seen in site.app.seen:
        assert "mallory" not in str(seen.headers), seen.headers


async def test_a_browser_is_sent_to_sign_in_and_back(site: Site) -> None:
    reply = await ask(site.port, "GET", "/dashboard?a=b", BROWSER)

    assert reply.status == 302
    assert reply.present("Location") == (
        "http://gw.test/auth/login?return_to=/dashboard%3Fa%3Db&reason=no_session"
    )
    assert not site.app.seen
    page = await ask(site.port, "GET", reply.present("Location")[14:], BROWSER)
    assert page.status == 200  # through the gateway
    assert site.app.last.target.startswith("/auth/login?")


async def test_a_program_is_challenged(site: Site) -> None:
    raw = b"POST /dashboard HTTP/1.1\r\nHost: gw.test\r\nAccept: application/json\r\n"

    async with connected(site.port) as client:
        await client.send(raw + b"Content-Length: 10000\r\n\r\n" + b"x" * 10_000)
        reply = await client.head("POST")

    assert reply.status == 401
    assert reply.present("WWW-Authenticate").startswith("Session realm=")
    assert not site.app.seen


async def test_a_body_is_forwarded_by_the_front_proxy(site: Site) -> None:
    cookie = await site.gateway.sign_in()

    reply = await ask(site.port, "POST", "/x", {"Cookie": cookie}, b"x" * 100_000)

    assert reply.status == 200
    assert (site.app.last.method, len(site.app.last.body)) == ("POST", 100_000)


async def test_a_user_without_the_role_is_denied(site: Site) -> None:
    member = await site.gateway.sign_in()
    admin = await site.gateway.sign_in(**an_admin())

    denied = await ask(site.port, "GET", "/admin/users", {"Cookie": member})
    allowed = await ask(site.port, "GET", "/admin/users", {"Cookie": admin})

    assert (denied.status, allowed.status) == (403, 200)
    assert len(site.app.seen) == 1


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH", "PURGE"])
async def test_the_method_that_is_judged_is_the_one_that_is_forwarded(
    site: Site, method: str
) -> None:
    cookie = await site.gateway.sign_in()

    reply = await ask(site.port, method, "/x", {"Cookie": cookie})
    anonymous = await ask(site.port, method, "/x", PROGRAM)

    assert (reply.status, anonymous.status) == (200, 401)
    assert [seen.method for seen in site.app.seen] == [method]


@pytest.mark.parametrize(
    "target",
    [
        "/static/../admin/x", "/static/%2e%2e/admin/x", "/static/..%2fadmin/x",
        "//admin/x", "/static//x", "/static/%2fadmin", "/static/%5cadmin",
        "/static/..;/admin/x", "/auth/../admin/x", "/auth/%2e%2e/admin/x",
        "/.gateway/../admin/x", "/.gateway/..%2fadmin/x", "/static/%00x",
    ],
)  # fmt: skip
async def test_no_spelling_of_a_path_reaches_the_app_as_another_one(
    site: Site, target: str
) -> None:
    """Refused, or normalized by the front proxy before it asks: never a way around."""
    reply = await ask(site.port, "GET", target, PROGRAM)

    for seen in site.app.seen:
        assert seen.target.startswith("/static/"), seen.target
        assert ".." not in seen.target
        assert "%2" not in seen.target.lower()
        assert "%5" not in seen.target.lower()
    assert reply.status in {200, 400, 401, 403, 404}
    assert (reply.status == 200) is bool(site.app.seen)


DESCRIBED = [
    ("X-Original-URL", "http://gw.test/static/x"), ("X-Original-Method", "OPTIONS"),
    ("X-Original-URI", "/static/x"), ("X-Forwarded-Uri", "/static/x"),
    ("X-Forwarded-Method", "OPTIONS"), ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "1"),
    ("X-Rewrite-URL", "/static/x"), ("X-HTTP-Method-Override", "OPTIONS"),
    ("X_Forwarded_Uri", "/static/x"), ("X-Forwarded_Method", "OPTIONS"),
    ("Forwarded", "for=127.0.0.1;host=evil.example;proto=https"),
]  # fmt: skip


@pytest.mark.parametrize("times", [1, 2])
async def test_a_client_cannot_describe_its_own_request(site: Site, times: int) -> None:
    for name, value in DESCRIBED:
        headers = [*PROGRAM.items(), *[(name, value)] * times]

        reply = await ask(site.port, "GET", "/dashboard", headers)

        assert reply.status in {400, 401, 403}, (name, reply)
    everything = await ask(site.port, "GET", "/dashboard", DESCRIBED * times)
    assert everything.status in {400, 401, 403}
    assert not site.app.seen


async def status_at(site: Site, host: str) -> int:
    raw = f"GET /x HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n"
    async with connected(site.port) as client:
        await client.send(raw.encode())
        return (await client.head()).status


async def test_a_list_of_hosts_is_not_judged_as_one_of_them(
    front: Front, redis: Server, tmp_path: Path
) -> None:
    config = site_config(front)
    config["routes"] += [
        {
            "match": {"host": f"{name}.example.com", "path": "/**"},
            "rule": "public",
            "upstream": "app",
        }
        for name in ("admin", "public")
    ]
    async with running_site(front, config, redis, tmp_path) as site:
        for host in (
            "admin.example.com,public.example.com",
            "admin.example.com, public.example.com",
            "public.example.com,",
        ):
            assert await status_at(site, host) in {400, 401, 403, 404, 421}, host
            assert not site.app.seen, host
        one = await status_at(site, "public.example.com")

    assert one == 200
    assert len(site.app.seen) == 1


async def test_two_cookies_are_no_credential(site: Site) -> None:
    cookie = await site.gateway.sign_in()
    other = await site.gateway.sign_in(**an_admin())
    twice = [("Cookie", cookie), ("Cookie", other)]

    lines = await ask(site.port, "GET", "/admin/x", [*PROGRAM.items(), *twice])
    pairs = await ask(site.port, "GET", "/admin/x", {"Cookie": f"{cookie}; {other}"})

    assert (lines.status, pairs.status) == (401, 401)
    assert not site.app.seen


async def test_a_connection_option_hides_no_cookie_from_the_gateway_alone(
    site: Site,
) -> None:
    cookie = await site.gateway.sign_in()
    raw = [("Cookie", cookie), ("Connection", "Cookie, X-Auth-User-Id")]

    reply = await ask(site.port, "GET", "/dashboard", [*raw, *SPOOFED])

    assert reply.status in {200, 400, 401}
    assert "mallory" not in str([seen.headers for seen in site.app.seen])


async def test_a_preflight_passes_where_the_route_reports_it(site: Site) -> None:
    requested = {
        "Origin": "https://spa.example",
        "Access-Control-Request-Method": "POST",
        **PROGRAM,
    }

    passed = await ask(site.port, "OPTIONS", "/api/x", requested)
    checked = await ask(site.port, "OPTIONS", "/dashboard", requested)

    assert (passed.status, checked.status) == (200, 401)
    assert [seen.target for seen in site.app.seen] == ["/api/x"]


async def test_the_token_for_the_database_layer_is_there_and_no_other(
    site: Site,
) -> None:
    cookie = await site.gateway.sign_in()
    forged = {"Cookie": cookie, "Authorization": "Bearer forged"}

    await ask(site.port, "GET", "/api/x", forged)
    by_gateway = site.app.last.present("Authorization")
    await ask(site.port, "GET", "/dashboard", forged)
    none = site.app.last.one("Authorization")

    assert by_gateway.startswith("Bearer ey")
    assert not none


async def test_a_revoked_session_ends_with_the_next_request(site: Site) -> None:
    cookie = await site.gateway.sign_in()
    before = await ask(site.port, "GET", "/x", {"Cookie": cookie})

    ended = await ask(
        site.port, "POST", "/.gateway/logout", {"Cookie": cookie, **PROGRAM}
    )
    after = await ask(site.port, "GET", "/x", {"Cookie": cookie, **PROGRAM})

    assert (before.status, after.status) == (200, 401)
    assert ended.status in {200, 204, 303}
    assert len(site.app.seen) == 1
    cleared = [line.partition(";")[0] for line in after.all("Set-Cookie")]
    assert sorted(cleared) == ["gateway_ended=session_revoked", "gateway_session="]


async def test_a_server_action_of_nextjs_is_led_to_sign_in(site: Site) -> None:
    headers = {**PROGRAM, "Next-Action": "7f00", "Content-Type": "text/plain"}

    reply = await ask(site.port, "POST", "/dashboard", headers, b"[]")

    assert reply.status == 401
    assert reply.present("X-Action-Redirect") == (
        "/auth/login?return_to=/dashboard&reason=no_session;push"
    )


async def test_another_tenant_counts_from_the_next_request(site: Site) -> None:
    cookie = await site.gateway.sign_in()
    form = {
        "Cookie": cookie,
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": "http://gw.test",
    }

    switched = await ask(
        site.port, "POST", "/.gateway/tenant", form, b"tenant_id=t_blue"
    )
    await ask(site.port, "GET", "/x", {"Cookie": cookie})

    assert switched.status in {200, 204, 303}
    assert site.app.last.one("X-Auth-Tenant-Id") == "t_blue"


async def test_an_extended_session_gets_its_cookie(
    front: Front, redis: Server, tmp_path: Path
) -> None:
    config = site_config(front)
    config["sessions"] = {"lifespan": "2h", "extend_within": "119m"}
    async with running_site(front, config, redis, tmp_path) as site:
        cookie = await site.gateway.sign_in(a_session(time.time() - 3600 * 23))
        renewed = await ask(site.port, "GET", "/x", {"Cookie": cookie})
        again = await ask(site.port, "GET", "/x", PROGRAM)

    assert (renewed.status, again.status) == (200, 401)
    assert renewed.present("Set-Cookie").startswith(cookie)
    assert not again.all("Set-Cookie")


async def test_each_cookie_of_a_decision_arrives_as_it_is(
    front: Front, redis: Server, tmp_path: Path
) -> None:
    """None is lost, and no two are joined into one that no browser parses."""
    config = site_config(front)
    config["sessions"] = {"lifespan": "2h", "extend_within": "119m"}
    config["tokens"]["profiles"]["database"].update(header=None, cookie="db_jwt")
    async with running_site(front, config, redis, tmp_path) as site:
        cookie = await site.gateway.sign_in(a_session(time.time() - 3600 * 23))
        reply = await ask(site.port, "GET", "/api/x", {"Cookie": cookie})

    assert reply.status == 200
    set_cookies = reply.all("Set-Cookie")
    # Traefik passes on those that addAuthCookiesToResponse names.
    names = ["gateway_session"] + ["db_jwt"] * (front.name != "traefik")
    assert sorted(names) == sorted(line.partition("=")[0] for line in set_cookies)
    for line in set_cookies:
        assert "," not in line, set_cookies
    assert any(line.startswith(cookie) for line in set_cookies)


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


async def test_a_handshake_without_a_session_is_challenged_never_redirected(
    site: Site,
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    raw = f"GET /ws HTTP/1.1\r\nHost: gw.test\r\nAccept: text/html\r\n{lines}\r\n"

    async with connected(site.port) as client:
        await client.send(raw.encode())
        reply = await client.head()

    assert reply.status == 401
    assert not site.app.seen


def handshake_of(cookie: str, origin: str) -> bytes:
    fields = {**HANDSHAKE, "Cookie": cookie, "Origin": origin}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /ws HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n".encode()


async def switch_protocols(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    await writer.drain()
    writer.close()


async def test_a_websocket_is_opened_for_a_user_and_for_no_other_site(
    front: Front, redis: Server, tmp_path: Path
) -> None:
    """Cross-site hijacking: the gateway has to know that it is a handshake."""
    config = site_config(front)
    config["routes"].append(
        {"match": "/ws", "rule": "protected", "cross_site": "refuse", "upstream": "app"}
    )
    async with running_site(front, config, redis, tmp_path) as site:
        site.app.answer = switch_protocols
        cookie = await site.gateway.sign_in()
        async with connected(site.port) as client:
            await client.send(handshake_of(cookie, "http://evil.example"))
            stolen = await client.head()
        assert not site.app.seen
        async with connected(site.port) as client:
            await client.send(handshake_of(cookie, "http://gw.test"))
            opened = await client.head()

    assert (stolen.status, opened.status) == (403, 101)
    seen = site.app.seen[-1]
    assert seen.present("Upgrade").lower() == "websocket"
    assert seen.one("X-Auth-User-Id") == "u_grace"


async def test_a_gateway_that_hangs_lets_no_request_pass(
    site: Site, redis: Server
) -> None:
    cookie = await site.gateway.sign_in()
    await site.gateway.app.close()
    requested = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        requested.set()
        await release.wait()
        writer.transport.abort()

    release = asyncio.Event()
    ports = site.front.ports
    server = await asyncio.start_server(hang, "127.0.0.1", ports.authz)
    async with server, connected(site.port) as client:
        lines = f"GET /x HTTP/1.1\r\nHost: gw.test\r\nCookie: {cookie}\r\n\r\n"
        await client.send(lines.encode())
        await asyncio.wait_for(requested.wait(), PATIENCE)
        assert not site.app.seen
        release.set()
        reply = await client.head()

    assert reply.status in {401, 403, 500, 502, 503, 504}
    assert not site.app.seen


async def test_a_gateway_that_is_gone_lets_no_request_pass(site: Site) -> None:
    cookie = await site.gateway.sign_in()
    await site.gateway.app.close()

    reply = await ask(site.port, "GET", "/static/x", {"Cookie": cookie})

    assert reply.status in {401, 403, 500, 502, 503, 504}
    assert not site.app.seen


async def test_a_program_with_a_token_is_let_in_and_its_token_stays_here(
    front: Front, redis: Server, tmp_path: Path
) -> None:
    config = site_config(front)
    for route in config["routes"]:
        if route["rule"] == "protected":
            route["credentials"] = ["cookie", "bearer", "basic"]
    async with running_site(front, config, redis, tmp_path) as site:
        token, session = await issue(site.gateway)
        for way in (bearer, basic):
            reply = await ask(site.port, "GET", "/dashboard", way(token))

            assert reply.status == 200
            assert site.app.last.one("X-Auth-User-Id") == session.identity.id
            assert token.value not in str(site.app.last.headers)
            assert not site.app.last.one("Authorization")
        await site.gateway.app.services.tokens.end(token.key, time.time())
        ended = await ask(site.port, "GET", "/dashboard", bearer(token))
        none = await ask(site.port, "GET", "/dashboard", PROGRAM)

    assert (ended.status, none.status) == (401, 401)
    offered = ", ".join(none.all("WWW-Authenticate"))
    assert [f"{scheme} realm=" in offered for scheme in SCHEMES] == [True] * 3
    assert 'error="invalid_token"' in "".join(ended.all("WWW-Authenticate"))
