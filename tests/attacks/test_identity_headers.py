"""What clients say of themselves under other products' names, through real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gateway.http.header_families import FORWARDING, IDENTITY
from gateway.http.headers import normalize_name
from tests.attacks.rig import Rig, recording, rig
from tests.http.ordinary import ORDINARY
from tests.servers import PATIENCE, Server
from tests.walk.harness import Seen, base_config, connected

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

BATCH = 50  # of the fields that one request may have
FORGED = "forged-by-the-client"
# The names that applications and advisories use, beside those made from the table.
_KNOWN = """
X_User_Id X-User X-USER-ID X_USER X.User.Id X-User_Role Impersonate-User
Impersonate-Group Impersonate-Extra-Scopes OIDC_CLAIM_sub OIDC-CLAIM-email
OIDC_access_token X-ProxyUser-Ip WL-Proxy-Client-IP X-AppEngine-User-IP
X-AppEngine-User-Email X-Azure-ClientIP X-Azure-SocketIP X-HTTP-Host-Override X-Host
Remote-User REMOTE_USER X-Remote-User X-Remote-Group X-Webauth-User X-authentik-username
X-Goog-Authenticated-User-Email X-Goog-IAP-JWT-Assertion X-MS-CLIENT-PRINCIPAL
X-MS-CLIENT-PRINCIPAL-NAME X-Amzn-Oidc-Identity X-Amzn-Oidc-Data
Cf-Access-Authenticated-User-Email Tailscale-User-Login X-Pomerium-Claim-Groups
X-Vouch-User X-Vouch-IdP-Claims-Email X-Forwarded-User X_Forwarded_Email SSL_CLIENT_S_DN
SSL_CLIENT_VERIFY X-SSL-Client-Verify X-SSL-Cert X-Client-Cert Client-Cert X-Original-URL
X-Rewrite-URL X-HTTP-Method-Override True-Client-IP Fastly-Client-IP X-Cluster-Client-IP
X-Forwarded-Client-Cert X-Real-IP X-Auth-Request-User X-Consumer-Username X-Userinfo
Shib-Identity-Provider MELLON_NAME_ID SM_USER iv-user OAM_REMOTE_USER X-Kratos-Authenticated-Identity-Id
X-Token-User-Email X-Replit-User-Id Teleport-Jwt-Assertion X-Hasura-Role X-Jwt-Claim-Sub
X-Middleware-Subrequest X-Invoke-Path X-Script-Name X-Envoy-External-Address
"""
KNOWN = _KNOWN.split()
PLACES = [
    ("/open", False),
    ("/open", True),
    ("/static/x", False),
    ("/static/x", True),
    ("/dashboard", True),
    ("/api/x", True),
]


def from_the_table() -> list[str]:
    """Spell every name of every family in the two ways that applications merge."""
    names = []
    for family in (*FORWARDING, *IDENTITY):
        for name in (*family.names, *(f"{each}zz" for each in family.prefixes)):
            names += [name.replace("-", "_").upper(), name.title()]
    return names


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("identity")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(recording())
        config = base_config(upstream.port)
        config["upstreams"]["web"]["strip_headers"] = ["X-Internal-Call", "X-Corp-*"]
        yield await stack.enter_async_context(rig(config, upstream, folder, redis))


def forged(seen: Seen) -> list[str]:
    return [name for name, value in seen.headers if FORGED in value]


@pytest.mark.parametrize(("path", "signed_in"), PLACES)
async def test_no_name_by_which_one_could_speak_for_oneself_passes(
    the_rig: Rig, path: str, signed_in: bool
) -> None:
    cookie = [("Cookie", await the_rig.gateway.sign_in())] if signed_in else []
    every = [*KNOWN, *from_the_table()]
    for at in range(0, len(every), BATCH):
        the_rig.forget()
        batch = [(name, FORGED) for name in every[at : at + BATCH]]

        reply = await the_rig.get(path, [*batch, *cookie, ("X-Kept", FORGED)])

        assert reply.status == 200
        assert forged(the_rig.last) == ["x-kept"]


@pytest.mark.parametrize("name", KNOWN)
async def test_a_name_that_is_known_is_refused_by_itself_on_a_preflight_too(
    the_rig: Rig, name: str
) -> None:
    the_rig.forget()
    preflight = [
        ("Origin", "http://spa.test"),
        ("Access-Control-Request-Method", "PUT"),
    ]

    reply = await the_rig.get("/api/x", [*preflight, (name, FORGED)], method="OPTIONS")

    assert reply.status == 200
    assert forged(the_rig.last) == []


async def test_the_identity_comes_once_whatever_the_client_adds(the_rig: Rig) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()
    spoofs = [(name, FORGED) for name in ("X-Auth-User-Id", "x_auth_user_id", "X-USER")]

    await the_rig.get("/dashboard", [*spoofs, ("Cookie", cookie)])

    assert the_rig.last.one("X-Auth-User-Id") == "u_grace"
    assert forged(the_rig.last) == []


async def test_a_websocket_handshake_carries_no_such_name(the_rig: Rig) -> None:
    the_rig.forget()
    lines = "".join(f"{name}: {FORGED}\r\n" for name in KNOWN)
    async with connected(the_rig.port) as client:
        await client.send(
            b"GET /open HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + lines.encode()
            + b"\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            await client.reply()

    assert the_rig.last.one("Sec-WebSocket-Key")
    assert forged(the_rig.last) == []


async def test_ordinary_headers_of_browsers_and_libraries_arrive_unchanged(
    the_rig: Rig,
) -> None:
    # Those two are set by the harness, or by the gateway for this upstream.
    names = [name for name in ORDINARY if name not in {"Accept", "Authorization"}]
    for at in range(0, len(names), BATCH):
        the_rig.forget()
        batch = names[at : at + BATCH]

        reply = await the_rig.get("/open", [(name, f"v-{name}") for name in batch])

        assert reply.status == 200
        for name in batch:
            assert the_rig.last.all(name) == [f"v-{name}"], name


@pytest.mark.parametrize(
    "name",
    ["X-Internal-Call", "x_internal_call", "X.Internal.Call", "X-Corp-Id", "X_CORP_X"],
)
async def test_names_of_ones_own_are_removed_for_their_upstream_alone(
    the_rig: Rig, name: str
) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()

    await the_rig.get("/open", [(name, FORGED), ("X-Corporate", FORGED)])
    assert forged(the_rig.last) == ["x-corporate"]

    await the_rig.get("/api/x", [(name, FORGED), ("Cookie", cookie)])
    assert forged(the_rig.last) == [name.lower()]


async def test_connection_cannot_smuggle_or_remove_a_name(the_rig: Rig) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()
    lines = [
        ("Connection", "X-Auth-User-Id, X_User_Id, X-Forwarded-For"),
        ("X_User_Id", FORGED),
        ("Cookie", cookie),
    ]

    await the_rig.get("/dashboard", lines)

    assert forged(the_rig.last) == []
    assert the_rig.last.one("X-Auth-User-Id") == "u_grace"
    assert the_rig.last.one("X-Forwarded-For") == "127.0.0.1"


async def test_a_folded_name_of_the_list_is_in_the_table() -> None:
    table = [
        (name.encode(), exact)
        for family in (*FORWARDING, *IDENTITY)
        for name, exact in (
            *((each, True) for each in family.names),
            *((each, False) for each in family.prefixes),
        )
    ]
    for name in KNOWN:
        normalized = normalize_name(name.encode())
        assert [
            each
            for each, exact in table
            if normalized == each or (not exact and normalized.startswith(each))
        ], name
