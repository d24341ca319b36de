"""What reaches an upstream, whatever the client says about itself."""

from pathlib import Path

import jwt
import pytest

from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, ask

SPOOFS = [
    ("X-Auth-User-Id", "root"),
    ("x-auth-user-id", "root"),
    ("X_Auth_User_Id", "root"),
    ("X.Auth.User.Id", "root"),
    ("X-Auth_Email", "root@example.com"),
    ("X-Auth-Role", "admin"),
    ("X-Auth-Tenant-Id", "t_other"),
    ("X-Auth-Assertion", "e30.e30.x"),
    ("Authorization", "Bearer e30.e30.x"),
    ("Remote-User", "root"),
    ("X-Forwarded-User", "root"),
    ("X-WEBAUTH-USER", "root"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Prefix", "//evil.test"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-Real-Ip", "10.0.0.1"),
    ("X-Original-Url", "/admin"),
    ("X-Rewrite-Url", "/admin"),
    ("X-Http-Method-Override", "DELETE"),
    ("X-Middleware-Subrequest", "middleware"),
    ("X-Gateway-Sign-In", "x"),
    ("X-Request-Id", "mine"),
    ("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
]
VALUES = {value for _, value in SPOOFS}


@pytest.mark.parametrize("path", ["/", "/static/x", "/dashboard", "/api/x"])
@pytest.mark.parametrize("signed_in", [False, True])
async def test_no_client_sets_its_own_identity(
    gateway: Gateway, upstream: RecordingUpstream, path: str, signed_in: bool
) -> None:
    cookie = [("Cookie", await gateway.sign_in())] if signed_in else []

    await ask(gateway.port, "GET", path, SPOOFS + cookie)

    if not signed_in and path in {"/dashboard", "/api/x"}:
        assert not upstream.seen
        return
    for name, value in upstream.last.headers:
        assert value not in VALUES, name


async def test_connection_cannot_take_our_headers_away(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    headers = [
        ("Cookie", await gateway.sign_in()),
        ("Connection", "X-Auth-User-Id, X-Forwarded-For, X-Auth-Assertion, Host"),
    ]

    await ask(gateway.port, "GET", "/dashboard", headers)

    assert upstream.last.one("X-Auth-User-Id") == "u_grace"
    assert upstream.last.one("X-Forwarded-For") == "127.0.0.1"
    assert upstream.last.one("X-Auth-Assertion")
    assert upstream.last.one("Host") == "gw.test"


async def test_forwarding_headers_are_ours_and_come_once(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    await ask(gateway.port, "GET", "/a", host="gw.test:8080")

    seen = upstream.last
    assert seen.one("Host") == "gw.test:8080"
    assert seen.one("X-Forwarded-For") == "127.0.0.1"
    assert seen.one("X-Forwarded-Proto") == "http"
    assert seen.one("X-Forwarded-Host") == "gw.test:8080"
    assert seen.one("X-Forwarded-Port") == "8080"
    assert len(seen.present("X-Request-Id")) == 32
    assert seen.present("traceparent").split("-")[1] == seen.present("X-Request-Id")


async def test_the_session_cookie_stays_here_and_the_others_go_on(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()

    await ask(
        gateway.port, "GET", "/dashboard", [("Cookie", f"a=1; {cookie}; theme=dark")]
    )

    assert upstream.last.one("Cookie") == "a=1; theme=dark"


async def test_two_session_cookies_are_unauthenticated(gateway: Gateway) -> None:
    one, two = await gateway.sign_in(), await gateway.sign_in()
    for headers in (
        [("Cookie", f"{one}; {two}")],
        [("Cookie", one), ("Cookie", two)],
        [("Cookie", f"{one}; {one}")],
    ):
        reply = await ask(gateway.port, "GET", "/dashboard", headers)

        assert (reply.status, reply.json()["reason"]) == (401, "malformed")


async def test_the_database_token_is_scoped_to_one_tenant(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    await ask(gateway.port, "GET", "/api/x", {"Cookie": cookie})

    token = upstream.last.present("Authorization").removeprefix("Bearer ")
    keys = (await ask(gateway.port, "GET", "/.well-known/jwks.json")).json()
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["ES256"], audience="postgrest", issuer="http://gw.test"
    )

    assert claims["tenant_id"] == "t_acme"
    assert claims["tenant_role"] == "owner"
    assert claims["role"] == "authenticated"
    assert claims["sub"] == "u_grace"
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert upstream.last.target == "/x"
    again = await ask(gateway.port, "GET", "/api/x", {"Cookie": cookie})
    assert again.status == 200
    assert upstream.last.one("Authorization") == f"Bearer {token}"


async def test_who_is_in_no_tenant_gets_no_tenant_token(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from tests.walk.harness import base_config, running_gateway

    config = base_config(upstream.port)
    del config["routes"][5]["require"]
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in(tenants={}, active_tenant=None)

        reply = await ask(gateway.port, "GET", "/api/x", {"Cookie": cookie})

        assert reply.status == 200
        assert upstream.last.one("Authorization") is None
        assert upstream.last.one("X-Auth-Tenant-Id") is None
        assert upstream.last.one("X-Auth-User-Id") == "u_grace"


async def test_a_preflight_passes_unauthenticated(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    cookie = await gateway.sign_in()
    preflight = {
        "Origin": "http://spa.test",
        "Access-Control-Request-Method": "PUT",
        "Cookie": cookie,
    }

    passed = await ask(gateway.port, "OPTIONS", "/api/x", preflight)
    refused = await ask(
        gateway.port, "OPTIONS", "/dashboard", preflight | {"Cookie": "a=b"}
    )

    assert (passed.status, refused.status) == (200, 401)
    assert upstream.last.one("X-Auth-User-Id") is None
    assert upstream.last.one("Authorization") is None


async def test_names_beyond_ascii_arrive_percent_encoded(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from gateway.sessions.record import Identity
    from tests.walk.harness import base_config, running_gateway

    config = base_config(upstream.port)
    config["identity_headers"] = {"X-Name": "{identity.traits.name}"}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        identity = Identity(id="u", traits={"name": "Zoë\r\nX-Evil: 1 100%"})
        cookie = await gateway.sign_in(identity=identity)

        await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})

        assert upstream.last.one("X-Name") == "Zo%C3%AB%0D%0AX-Evil: 1 100%25"
        assert upstream.last.one("X-Evil") is None


async def test_a_token_cookie_is_handed_to_the_browser_and_to_its_upstream_alone(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from tests.walk.harness import base_config, running_gateway

    config = base_config(upstream.port)
    config["tokens"]["profiles"]["database"]["cookie"] = "db_jwt"
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        forged = f"{cookie}; db_jwt=forged"

        first = await ask(gateway.port, "GET", "/dashboard", {"Cookie": forged})
        handed = first.present("Set-Cookie").partition(";")[0]
        second = await ask(
            gateway.port, "GET", "/dashboard", {"Cookie": f"{cookie}; {handed}"}
        )

        assert handed.startswith("db_jwt=ey")
        assert "HttpOnly" in first.present("Set-Cookie")
        assert upstream.last.one("Cookie") is None
        assert not second.all("Set-Cookie")
        await ask(gateway.port, "GET", "/api/x", {"Cookie": forged})
        assert upstream.last.one("Cookie") == handed
