"""Advisories of class H: what a client says of itself in headers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio

from gateway.sessions.record import Identity
from tests.attacks.rig import Rig, advisory_rig, refused
from tests.servers import PATIENCE, Server
from tests.walk.harness import BROWSER, Seen, connected

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

FORGED = "forged-admin"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    names = {
        "x-user": "{identity.id}",
        "X-Custom-Role": "{identity.roles}",
        "X-Name": "{identity.traits.name}",
    }
    folder = tmp_path_factory.mktemp("headers")
    async with advisory_rig(redis, folder, identity_headers=names) as running:
        yield running


def forged(seen: Seen) -> list[str]:
    return [name for name, value in seen.headers if FORGED in value]


REMOVED = {
    "H1": [
        "X_Forwarded_User",
        "X-Forwarded_Email",
        "x-FORWARDED-uSER",
        "X.Forwarded.User",
    ],
    "H2": ["X-Auth_User", "X.Auth.User", "X-Auth-User", "X_AUTH_USER"],
    "H4": ["X_Forwarded_Proto", "X_Forwarded_Host", "x.forwarded.for"],
    "H5": ["X_User", "X.User", "x_user", "X_Custom_Role"],
    "H6": ["X-User", "X-USER", "x-User"],
    "H8": ["X_User_Id", "X_USER_ID", "x_user_id"],
    "H12": [
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Scheme",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-Tls-Client-Cert-Info",
        "Forwarded",
        "X-Real-Ip",
        "X-Original-Uri",
        "X-Original-Url",
        "X-Rewrite-Url",
        "True-Client-Ip",
        "Cf-Connecting-Ip",
        "X-Scheme",
    ],
    "H14": [
        "x-middleware-subrequest",
        "X_Middleware_Subrequest",
        "X-Middleware-Rewrite",
    ],
    "H17": ["X-WEBAUTH-USER", "X_WEBAUTH_USER", "X-Webauth-Role"],
    "H20": ["OIDC_CLAIM_sub", "OIDC-Claim-Sub", "OIDC_access_token"],
    "H28": [
        "X-User-Id",
        "X-Userinfo",
        "X-Consumer-Username",
        "X-Credential-Identifier",
    ],
    "H30": [
        "Ssl-Client-Verify",
        "SSL_CLIENT_VERIFY",
        "X-SSL-Client-Verify",
        "X-Client-Cert",
    ],
}
PLACES = ["/open", "/static/x", "/dashboard", "/api/x"]


@pytest.mark.parametrize("advisory", REMOVED)
async def test_no_spelling_of_these_headers_arrives(
    the_rig: Rig, advisory: str
) -> None:
    cookie = {"Cookie": await the_rig.gateway.sign_in()}
    for place in PLACES:
        for who in (cookie, {}):
            for name in REMOVED[advisory]:
                the_rig.forget()

                reply = await the_rig.get(place, who | {name: FORGED})

                if not who and place in {"/dashboard", "/api/x"}:
                    assert (reply.status, the_rig.seen) == (401, []), name
                else:
                    assert reply.status == 200, name
                    assert forged(the_rig.last) == [], name


@pytest.mark.parametrize("advisory", ["H20"])
async def test_a_preflight_and_our_own_pages_take_no_identity_from_headers(
    the_rig: Rig, advisory: str
) -> None:
    the_rig.forget()
    preflight = {"Origin": "http://spa.test", "Access-Control-Request-Method": "PUT"}
    claims = dict.fromkeys(REMOVED[advisory], FORGED)

    passed = await the_rig.get("/api/x", preflight | claims, method="OPTIONS")
    plain = await the_rig.get("/dashboard", claims, method="OPTIONS")
    ours = await the_rig.get("/.gateway/sessions/whoami", claims)

    assert (passed.status, forged(the_rig.last)) == (200, [])
    assert the_rig.last.one("X-User") is None
    assert (plain.status, ours.status) == (401, 401)
    assert the_rig.targets == ["/x"]


CONNECTION = {
    "H9": ["close, X-Forwarded-Host", "close, X-Real-Ip", "X-Forwarded-For", "X-User"],
    "H10": [
        "close, x-real-ip",
        "close, x-forwarded-host",
        "CLOSE, x-user, X-FORWARDED-FOR",
    ],
}


@pytest.mark.parametrize("advisory", CONNECTION)
async def test_connection_cannot_remove_what_the_gateway_sets(
    the_rig: Rig, advisory: str
) -> None:
    cookie = {"Cookie": await the_rig.gateway.sign_in()}
    for value in CONNECTION[advisory]:
        the_rig.forget()

        await the_rig.get("/dashboard", cookie | {"Connection": value})

        assert the_rig.last.one("X-User") == "u_grace", value
        assert the_rig.last.one("X-Forwarded-For") == "127.0.0.1", value
        assert the_rig.last.one("X-Forwarded-Host") == "gw.test", value


async def test_h13_nothing_is_derived_from_a_scheme_that_a_client_claims(
    the_rig: Rig,
) -> None:
    the_rig.forget()

    await the_rig.get("/open", {"X-Forwarded-Proto": "https"})

    assert the_rig.last.one("X-Forwarded-Proto") == "http"
    assert the_rig.last.one("X-Forwarded-Port") == "80"


@pytest.mark.parametrize(
    "name",
    ["X-Skipper-Proxy", "X-Forwarded-Server", "X-Backend-Host", "X-Host", "Proxy"],
)
async def test_h16_no_header_chooses_the_upstream(the_rig: Rig, name: str) -> None:
    the_rig.forget()
    reached = asyncio.Event()
    server = await asyncio.start_server(lambda *_: reached.set(), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    reply = await the_rig.get("/open", {name: address})

    server.close()
    assert (reply.status, the_rig.targets) == (200, ["/open"])
    assert not reached.is_set()


async def test_h17_the_assertion_proves_who_calls_whatever_the_headers_say(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    cookie = {"Cookie": await the_rig.gateway.sign_in()}

    await the_rig.get("/dashboard", cookie | {"X-Auth-Assertion": FORGED})

    keys = jwt.PyJWKSet.from_dict((await the_rig.get("/.gateway/jwks.json")).json())
    token = the_rig.last.present("X-Auth-Assertion")
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="web")
    assert claims["sub"] == "u_grace"


async def test_h18_another_kind_of_client_is_refused_alike(the_rig: Rig) -> None:
    the_rig.forget()
    ecp = {
        "Accept": "application/vnd.paos+xml, text/html",
        "PAOS": 'ver="urn:x";"urn:y"',
    }

    for target in ("/dashboard", "/admin", "/api/x"):
        reply = await the_rig.get(target, [*ecp.items()])
        assert reply.status in {302, 401}, target

    assert the_rig.seen == []


@pytest.mark.parametrize("advisory", ["H21", "H22", "H24"])
async def test_an_identity_header_has_one_value(the_rig: Rig, advisory: str) -> None:
    cookie = ("Cookie", await the_rig.gateway.sign_in())
    sent = {
        "H21": [("X-Custom-Role", "member,admin"), ("X-Custom-Role", "admin")],
        "H22": [("X-User", "u_grace"), ("X-User", "u_root"), ("X-User", "")],
        "H24": [("X-User", "u_root"), ("x-user", "u_root"), ("X-uSER", "u_root")],
    }[advisory]
    the_rig.forget()

    await the_rig.get("/dashboard", [*sent, cookie])
    await the_rig.get("/open", sent)

    known, unknown = the_rig.seen
    assert (known.one("X-User"), known.one("X-Custom-Role")) == ("u_grace", "member")
    assert (unknown.all("X-User"), unknown.all("X-Custom-Role")) == ([], [])


@pytest.mark.parametrize("octet", [*range(0x09), *range(0x0A, 0x20), 0x7F])
async def test_h25_a_control_character_in_a_value_is_refused(
    the_rig: Rig, octet: int
) -> None:
    if octet == 0x0D:
        value = b"some_special_cluster\rX-A: 1"
    elif octet == 0x0A:
        value = b"some_special_cluster\nX-User: root"
    else:
        value = b"some_special_cluster" + bytes([octet])
    the_rig.forget()

    replies = await the_rig.raw(
        b"GET /open HTTP/1.1\r\nHost: gw.test\r\nX-Foo: " + value + b"\r\n\r\n"
    )

    assert [reply.status for reply in replies] == [400]
    assert the_rig.upstream.seen == []


async def test_h26_no_trait_ends_its_header(the_rig: Rig) -> None:
    the_rig.forget()
    name = "G\r\nX-Role: admin\n\x85\u2028"
    identity = Identity(id="u", traits={"name": name}, roles=("member",))
    cookie = await the_rig.gateway.sign_in(identity=identity)

    reply = await the_rig.get("/dashboard", {"Cookie": cookie})

    assert reply.status == 200
    assert the_rig.last.one("X-Name") == "G%0D%0AX-Role: admin%0A%C2%85%E2%80%A8"
    assert the_rig.last.all("X-Role") == []


async def test_h29_a_websocket_handshake_is_cleaned_like_a_request(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()
    spoofs = [name for names in REMOVED.values() for name in names]
    lines = "".join(f"{name}: {FORGED}\r\n" for name in spoofs)
    async with connected(the_rig.port) as client:
        await client.send(
            b"GET /dashboard HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + f"Cookie: {cookie}\r\n{lines}\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            await client.reply()

    assert the_rig.last.one("X-User") == "u_grace"
    assert forged(the_rig.last) == []


async def test_a_refusal_for_a_browser_repeats_no_header(the_rig: Rig) -> None:
    reply = await the_rig.get("/admin", [*BROWSER.items(), ("X-User", FORGED)])

    assert FORGED not in json.dumps([reply.headers, reply.body.decode()])
    assert not refused(reply, 200)
