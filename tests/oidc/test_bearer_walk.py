"""Access tokens of a provider at the routes of programs: through real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from gateway.http import base64url
from gateway.oidc import id_token
from gateway.oidc.cached import FRESH
from gateway.oidc.rotation import EVERY, Purpose
from tests.oidc.hostile import (
    CLIENT,
    EC_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    HostileProvider,
    hangs,
    provider_config,
    public_jwk,
    says,
    signed,
)
from tests.oidc.test_logout_token import logout_token, send
from tests.oidc.walking import Browser, signing_config
from tests.servers import PATIENCE, Server, valkey_server
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    ask,
    running_gateway,
    until,
)

API = "https://api.example.com"
TAKEN = ["cookie", "bearer"]


def config_of(
    upstream: int, provider: HostileProvider, **changes: Any
) -> dict[str, Any]:
    acme = provider_config(
        provider.issuer,
        accept={"audience": API},
        identity={"id": "{sub}", "traits": {"email": "{email}"}, "roles": "{groups}"},
        tenants="{org}",
    )
    config = signing_config(upstream, acme=acme | changes)
    for route in config["routes"]:
        if route["match"] in {"/dashboard/**", "/admin/**", "/api/**"}:
            route["credentials"] = list(TAKEN)
    return config


@pytest.fixture(autouse=True)
def no_marks(redis: Server) -> None:
    redis.command_line("FLUSHALL")


@pytest.fixture
async def gateway(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> AsyncIterator[Gateway]:
    config = config_of(upstream.port, provider)
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


def claims_of(provider: HostileProvider, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": provider.issuer,
        "aud": API,
        "sub": "job-7",
        "client_id": "nightly",
        "iat": now,
        "exp": now + 300,
        "email": "job@example.com",
        "groups": ["staff"],
        "org": {"t_acme": {"name": "Acme", "role": "owner"}},
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def token_of(
    provider: HostileProvider, key: Any = RSA_KEY, kid: str = "one", **changes: Any
) -> str:
    algorithm = "ES256" if key is EC_KEY else "RS256"
    header = {"kid": kid, "typ": "at+jwt"}
    return jwt.encode(claims_of(provider, **changes), key, algorithm, headers=header)


async def get(
    gateway: Gateway, token: str, path: str = "/api/notes", **headers: str
) -> Reply:
    return await ask(
        gateway.port, "GET", path, {"Authorization": f"Bearer {token}"} | headers
    )


async def reason_of(gateway: Gateway, token: str) -> tuple[int, str]:
    reply = await get(gateway, token)
    return reply.status, "" if reply.status == 200 else reply.json()["reason"]


async def test_a_program_is_who_the_claims_say_with_the_mapping_of_the_provider(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    token = token_of(provider)
    for _ in range(3):  # verified, remembered, and by the plan
        reply = await get(gateway, token)

        assert reply.status == 200
        assert upstream.last.one("X-Auth-User-Id") == "job-7"
        assert upstream.last.one("X-Auth-Role") == "staff"
        assert upstream.last.one("X-Auth-Tenant-Id") == "t_acme"
        assert upstream.last.present("Authorization") != f"Bearer {token}"
        assert not reply.all("Set-Cookie")
    assert provider.calls == ["discovery", "jwks"]
    assert token not in b"".join(map(bytes, upstream.wire)).decode("latin-1")
    lines = await gateway.logged()
    assert token not in str(lines)
    assert token.rpartition(".")[2] not in str(lines)
    (line, *_) = [each for each in lines if each.get("url.path") == "/api/notes"]
    assert line["gateway.credential"] == "bearer"
    assert line["user.id"] == "job-7"


async def test_nothing_of_it_is_in_redis(
    gateway: Gateway, provider: HostileProvider, redis: Server
) -> None:
    before = set(redis.command_line("KEYS", "*"))
    await get(gateway, token_of(provider))

    assert set(redis.command_line("KEYS", "*")) == before


HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("another audience", {"aud": "https://other.example.com"}),
    ("the client's own audience", {"aud": CLIENT}),
    ("no audience", {"aud": None}),
    ("of the future", {"nbf": 1e10}),
    ("never expires", {"exp": None}),
    ("lives for a month", {"exp": int(time.time()) + 30 * 86_400}),
    ("bound to a key", {"cnf": {"jkt": "x"}}),
    ("of another kind", {"typ": "ID"}),
    ("no subject", {"sub": None}),
]


async def test_a_token_that_is_not_for_this_site_is_refused(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    for name, changes in HOSTILE:
        reply = await get(gateway, token_of(provider, **changes))

        assert (reply.status, reply.json()["reason"]) == (401, "token_invalid"), name
        challenge, *_ = reply.all("WWW-Authenticate")
        assert challenge.startswith('Bearer realm="gw.test", error="invalid_token"')
    assert not upstream.seen
    details = [each.get("error.message", "") for each in await gateway.logged()]
    found = [each for each in details if each.startswith("access token: ")]
    assert len(found) == len(HOSTILE)


async def test_the_id_token_of_a_sign_in_is_no_access_token(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    """Even one that was issued for the audience of the API."""
    provider.claims["aud"] = [CLIENT, API]
    provider.claims["azp"] = CLIENT
    await Browser(gateway).begin()

    reply = await get(gateway, provider.id_token())

    assert (reply.status, reply.json()["reason"]) == (401, "token_invalid")
    assert not upstream.seen


async def test_an_expired_token_says_so(
    gateway: Gateway, provider: HostileProvider
) -> None:
    now = int(time.time())
    expired = token_of(provider, iat=now - 400, exp=now - 61)
    within = token_of(provider, iat=now - 400, exp=now - 50)

    assert await reason_of(gateway, expired) == (401, "session_expired")
    assert await reason_of(gateway, within) == (200, "")


async def test_two_credentials_are_none(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    token = token_of(provider)
    browser = Browser(gateway)
    await browser.sign_in(provider)
    seen = len(upstream.seen)
    line = f"Authorization: Bearer {token}\r\n"
    from tests.walk.harness import parse, send_raw

    twice = parse(
        await send_raw(
            gateway.port,
            f"GET /api/notes HTTP/1.1\r\nHost: gw.test\r\n{line}{line}"
            "Connection: close\r\n\r\n".encode(),
        )
    )
    cookie = f"gateway_session={browser.session}"
    both = await get(gateway, token, Cookie=cookie)
    basic = await ask(
        gateway.port,
        "GET",
        "/api/notes",
        {"Authorization": f"Basic {jwt_as_password(token)}"},
    )

    assert [one.status for one in (twice, both, basic)] == [401, 401, 401]
    assert both.json()["reason"] == "two_credentials"
    assert basic.json()["reason"] == "credential_not_taken"
    assert len(upstream.seen) == seen


def jwt_as_password(token: str) -> str:
    from base64 import b64encode

    return b64encode(f"x:{token}".encode()).decode()


async def test_who_may_not_sign_in_gets_a_403(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = config_of(upstream.port, provider, allow={"roles": ["staff"]})
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        assert await reason_of(gateway, token_of(provider)) == (200, "")
        refused = token_of(provider, groups=["guests"])
        assert await reason_of(gateway, refused) == (403, "account_not_allowed")
        assert await reason_of(gateway, token_of(provider, groups=[7])) == (
            403,
            "claim_missing",
        )


async def test_the_checks_of_a_route_hold_for_it(
    gateway: Gateway, provider: HostileProvider
) -> None:
    member, admin = token_of(provider), token_of(provider, groups=["admin"])
    alien = token_of(provider, org={"t_other": {"name": "Other"}})

    assert (await get(gateway, member, "/admin/x")).json()["reason"] == "not_admin"
    assert (await get(gateway, admin, "/admin/x")).status == 200
    assert (await get(gateway, alien, "/dashboard/x")).status == 200
    page = await ask(
        gateway.port, "GET", "/dashboard/x", BROWSER | {"Authorization": "Bearer a.b.c"}
    )
    assert page.status == 401  # a program is not redirected


async def test_the_pages_of_users_are_not_for_it(
    gateway: Gateway, provider: HostileProvider
) -> None:
    headers = {"Authorization": f"Bearer {token_of(provider)}"}
    for method, path in (("GET", "account"), ("GET", "sessions"), ("POST", "logout")):
        reply = await ask(gateway.port, method, f"/.gateway/{path}", headers)

        assert (reply.status, reply.json()["reason"]) == (403, "token_not_allowed")


async def test_whoami_answers_for_it(
    gateway: Gateway, provider: HostileProvider
) -> None:
    good = await get(gateway, token_of(provider), "/.gateway/sessions/whoami")
    bad = await get(gateway, token_of(provider, aud="x"), "/.gateway/sessions/whoami")
    other = await get(gateway, token_of(provider, iss="https://x"), "/.gateway/sessions/whoami")  # fmt: skip

    assert good.status == 200
    assert good.json()["identity"]["id"] == "job-7"
    assert bad.status == 401
    assert other.status == 401  # as without a credential


# --- keys


async def test_unknown_keys_of_many_tokens_cost_one_fetch_and_hold_up_nobody(
    gateway: Gateway, provider: HostileProvider
) -> None:
    good = token_of(provider)
    await get(gateway, good)
    forged = [token_of(provider, OTHER_RSA_KEY, f"k{n}", jti=str(n)) for n in range(6)]

    assert await reason_of(gateway, forged[0]) == (401, "token_invalid")
    for token in forged[1:]:
        assert await reason_of(gateway, token) == (503, "provider_unavailable")
    assert await reason_of(gateway, forged[0]) == (401, "token_invalid")
    assert provider.calls.count("jwks") == 2
    assert await reason_of(gateway, good) == (200, "")


async def test_a_new_key_of_the_provider_is_no_error(
    gateway: Gateway, provider: HostileProvider
) -> None:
    old = token_of(provider)
    await get(gateway, old)
    provider.keys = [public_jwk(EC_KEY, "two"), *provider.keys]

    assert await reason_of(gateway, token_of(provider, EC_KEY, "two")) == (200, "")
    assert await reason_of(gateway, old) == (200, "")


async def test_an_unknown_key_of_another_client_makes_no_valid_token_invalid(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    """Nor a guess. Whether the key exists is known at the next fetch."""
    config = config_of(upstream.port, provider)
    config["server"]["guessing"] = {"failed_lookups": 3, "exempt": []}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        await get(gateway, token_of(provider))
        # Its name may be guessed.
        garbage = token_of(provider, OTHER_RSA_KEY, "two")
        assert await reason_of(gateway, garbage) == (401, "token_invalid")
        provider.keys = [public_jwk(EC_KEY, "two"), *provider.keys]
        valid = [token_of(provider, EC_KEY, "two", jti=str(n)) for n in range(5)]
        for token in valid:
            reply = await get(gateway, token)
            assert (reply.status, reply.json()["reason"]) == (
                503,
                "provider_unavailable",
            )
            assert reply.present("Retry-After")
        rotation = gateway.app.runtime.providers["acme"].verifier._rotation
        rotation._fruitless[Purpose.ACCESS] -= EVERY[Purpose.ACCESS]

        for token in valid:
            assert await reason_of(gateway, token) == (200, "")


async def test_a_key_that_the_provider_withdrew_verifies_nothing_any_more(
    gateway: Gateway, provider: HostileProvider
) -> None:
    """Also for tokens that were verified before, and no later than the next fetch."""
    old = token_of(provider)
    assert await reason_of(gateway, old) == (200, "")
    provider.keys = [public_jwk(EC_KEY, "two")]

    assert await reason_of(gateway, token_of(provider, EC_KEY, "two")) == (200, "")
    assert await reason_of(gateway, old) == (401, "token_invalid")


async def test_keys_are_looked_at_again_although_every_token_is_remembered(
    gateway: Gateway, provider: HostileProvider
) -> None:
    token = token_of(provider)
    await get(gateway, token)
    known = gateway.app.runtime.providers["acme"]
    known.verifier._rotation._keys._fetched -= FRESH
    provider.keys = [public_jwk(EC_KEY, "two")]
    await get(gateway, token)
    await until(lambda: provider.calls.count("jwks") == 2)

    async def refused() -> bool:
        return await reason_of(gateway, token) == (401, "token_invalid")

    async with asyncio.timeout(PATIENCE):
        while not await refused():
            pass


async def test_a_provider_that_is_down_leaves_the_keys_that_are_known(
    gateway: Gateway, provider: HostileProvider
) -> None:
    good = token_of(provider)
    await get(gateway, good)
    provider.answers |= dict.fromkeys(("jwks", "discovery"), says("down", 503))

    assert await reason_of(gateway, good) == (200, "")
    assert await reason_of(gateway, token_of(provider, jti="new")) == (200, "")
    unknown = await get(gateway, token_of(provider, EC_KEY, "two"))
    assert (unknown.status, unknown.json()["reason"]) == (503, "provider_unavailable")
    assert unknown.present("Retry-After")
    # It is back: the outage was no look for the key.
    provider.answers.clear()
    provider.keys = [public_jwk(EC_KEY, "two"), *provider.keys]

    async def valid() -> bool:
        found = await reason_of(gateway, token_of(provider, EC_KEY, "two"))
        assert found in {(200, ""), (503, "provider_unavailable")}
        return found[0] == 200

    async with asyncio.timeout(PATIENCE):
        while not await valid():
            await asyncio.sleep(0.05)


async def test_a_reload_while_the_provider_is_down_takes_no_key_away(
    gateway: Gateway, provider: HostileProvider
) -> None:
    token = token_of(provider)
    await get(gateway, token)
    provider.answers |= dict.fromkeys(("jwks", "discovery"), says("down", 503))
    config = gateway.path.read_text()
    gateway.path.write_text(config.replace("timeout: 10s", "timeout: 11s"))

    assert await gateway.app.reload()
    assert await reason_of(gateway, token) == (200, "")
    assert await reason_of(gateway, token_of(provider, jti="new")) == (200, "")
    await until(lambda: provider.calls.count("jwks") == 2)  # they are fetched again


async def test_a_provider_that_never_answered_is_no_refusal_of_the_token(
    gateway: Gateway, provider: HostileProvider
) -> None:
    provider.answers["discovery"] = says("down", 503)

    assert await reason_of(gateway, token_of(provider)) == (503, "provider_unavailable")


async def test_a_provider_that_hangs_holds_up_no_session_and_no_known_key(
    gateway: Gateway, provider: HostileProvider
) -> None:
    browser = Browser(gateway)
    await browser.sign_in(provider)
    good = token_of(provider)
    await get(gateway, good)
    release = asyncio.Event()
    provider.answers["jwks"] = hangs(release)
    unknown = [
        asyncio.ensure_future(get(gateway, token_of(provider, EC_KEY, f"k{n}")))
        for n in range(40)
    ]
    await until(lambda: provider.calls.count("jwks") == 2)

    assert (await browser.get("/dashboard/x")).status == 200
    assert await reason_of(gateway, token_of(provider, jti="new")) == (200, "")
    assert provider.calls.count("jwks") == 2
    release.set()
    assert {reply.status for reply in await asyncio.gather(*unknown)} == {503}


# --- the end of a token


async def test_the_end_of_an_identity_ends_its_tokens_in_every_process(
    gateway: Gateway,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    (tmp_path / "two").mkdir()
    config = config_of(upstream.port, provider)
    token, other = token_of(provider), token_of(provider, sub="job-8")
    async with running_gateway(config, tmp_path / "two", redis.url) as second:
        for each in (gateway, second):
            assert await reason_of(each, token) == (200, "")
        await gateway.app.services.store.end_all("job-7", time.time(), None)

        for each in (gateway, second):
            assert await reason_of(each, token) == (401, "session_revoked")
            assert await reason_of(each, other) == (200, "")
        later = int(time.time()) + 61
        new = token_of(provider, iat=later - 2, exp=later + 300)
        assert await reason_of(second, new) == (401, "session_revoked")


@pytest.mark.parametrize(
    ("names", "facts", "ended"),
    [
        ({"sub": "job-7", "sid": None}, {}, True),
        ({"sub": "job-7", "sid": None}, {"sid": "x"}, True),
        ({"sub": "job-7", "sid": "x"}, {"sid": "x"}, True),
        ({"sub": None, "sid": "x"}, {"sid": "x"}, True),
        ({"sub": "job-7", "sid": "y"}, {"sid": "x"}, False),
        ({"sub": "job-8", "sid": None}, {}, False),
    ],
)
async def test_a_logout_by_the_provider_ends_the_tokens_of_the_session(
    gateway: Gateway,
    provider: HostileProvider,
    redis: Server,
    names: dict[str, Any],
    facts: dict[str, Any],
    ended: bool,
) -> None:
    token = token_of(provider, **facts)
    await get(gateway, token)

    assert (await send(gateway, logout_token(provider.issuer, **names))).status == 200

    found = await reason_of(gateway, token)
    assert found == ((401, "session_revoked") if ended else (200, ""))
    marks = redis.command_line("KEYS", "gateway:provider:*:ended")
    kept = [int(redis.command_line("PTTL", mark)) for mark in marks]
    assert max(kept) > 86_400_000  # as long as a token may live


async def test_an_app_can_sign_a_program_out(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    """This token only; and it does not come back with another signature."""
    provider.keys = [public_jwk(EC_KEY, "two")]
    token = token_of(provider, EC_KEY, "two")
    other = token_of(provider, EC_KEY, "two", jti="2")
    spelled = respelled(token)
    assert await reason_of(gateway, spelled) == (200, "")

    async def signs_out(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nX-Gateway-Sign-Out: this\r\nContent-Length: 0\r\n\r\n"
        )
        await writer.drain()

    before, upstream.answer = upstream.answer, signs_out
    reply = await get(gateway, token, "/dashboard/x")
    upstream.answer = before

    assert reply.status == 200
    for each in (token, spelled):
        assert await reason_of(gateway, each) == (401, "session_revoked")
    assert await reason_of(gateway, other) == (200, "")


def respelled(token: str) -> str:
    """Return another valid signature, which takes no key to make: s becomes n - s."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signing, _, signature = token.rpartition(".")
    raw = base64url.decode(signature)
    second = order - int.from_bytes(raw[32:], "big")
    return f"{signing}.{base64url.encode(raw[:32] + second.to_bytes(32, 'big'))}"


async def test_a_forged_signature_is_refused_although_the_claims_were_verified(
    gateway: Gateway, provider: HostileProvider
) -> None:
    token = token_of(provider)
    assert await reason_of(gateway, token) == (200, "")
    signing = token.rpartition(".")[0]
    forged = signed(OTHER_RSA_KEY, {}, {}).rpartition(".")[2]

    assert await reason_of(gateway, f"{signing}.{forged}") == (401, "token_invalid")
    assert await reason_of(gateway, token) == (200, "")


async def test_its_websocket_ends_within_a_second(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        config = config_of(upstream.port, provider)
        port = server.sockets[0].getsockname()[1]
        config["upstreams"]["web"]["url"] = f"http://127.0.0.1:{port}"
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            for token, end in (
                (token_of(provider), lambda: gateway.app.store.end_all("job-7", time.time(), None)),
                (token_of(provider, sub="job-9"), lambda: send(gateway, logout_token(provider.issuer, sub="job-9", sid=None))),
            ):  # fmt: skip
                async with connect(
                    f"ws://127.0.0.1:{gateway.port}/dashboard/ws",
                    additional_headers={"Authorization": f"Bearer {token}"},
                    origin=None,
                ) as socket:
                    await socket.send("a")
                    assert await socket.recv() == "a"
                    began = time.monotonic()
                    await end()
                    with pytest.raises(ConnectionClosed):
                        async with asyncio.timeout(PATIENCE):
                            await socket.recv()
                    assert time.monotonic() - began < 5


class Held:
    """A server of WebSockets that keeps the handshakes of /dashboard/held waiting."""

    def __init__(self) -> None:
        self.came, self.release = asyncio.Event(), asyncio.Event()

    async def talk(self, socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async def hold(self, _socket: ServerConnection, request: Request) -> None:
        if request.path == "/dashboard/held":
            self.came.set()
            await self.release.wait()


@pytest.mark.parametrize("by", ["logout token", "end of the identity", "sign-out"])
async def test_its_websocket_does_not_outlive_it_by_a_slow_handshake(
    by: str,
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    """The token ends while the handshake is at the upstream: no stream is open yet."""
    held, token = Held(), token_of(provider)
    config = config_of(upstream.port, provider)
    async with serve(held.talk, "127.0.0.1", 0, process_request=held.hold) as server:
        port = server.sockets[0].getsockname()[1]
        web = config["upstreams"]["web"]
        config["upstreams"]["ws"] = web | {"url": f"http://127.0.0.1:{port}"}
        for route in config["routes"]:
            if route["match"] == "/dashboard/**":
                route["upstream"] = "ws"
            if route["match"] == "/api/**":
                route["upstream"] = "web"  # which may sign users out
        async with running_gateway(config, tmp_path, redis.url) as gateway:

            def dialled(path: str, token: str) -> connect:
                headers = {"Authorization": f"Bearer {token}"}
                url = f"ws://127.0.0.1:{gateway.port}/dashboard/{path}"
                return connect(url, additional_headers=headers, origin=None)

            async def signs_out(_seen: Any, writer: asyncio.StreamWriter) -> None:
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-Gateway-Sign-Out: this\r\n"
                    b"Content-Length: 0\r\n\r\n"
                )
                await writer.drain()

            async with dialled("open", token_of(provider, sub="job-8")) as witness:
                late = asyncio.ensure_future(dialled("held", token).__aenter__())
                await asyncio.wait_for(held.came.wait(), PATIENCE)
                match by:
                    case "logout token":
                        ended = logout_token(provider.issuer, sub="job-7", sid=None)
                        assert (await send(gateway, ended)).status == 200
                    case "end of the identity":
                        await gateway.app.store.end_all("job-7", time.time(), None)
                    case _:
                        upstream.answer = signs_out
                        assert (await get(gateway, token)).status == 200
                # Its notification comes after that of the token.
                await gateway.app.store.end_all("job-8", time.time(), None)
                await asyncio.wait_for(witness.wait_closed(), PATIENCE)
                assert witness.close_code == 1008
            held.release.set()
            socket = await asyncio.wait_for(late, PATIENCE)
            await asyncio.wait_for(socket.wait_closed(), 5)

            assert (socket.close_code, socket.close_reason) == (1008, "session_revoked")


async def test_its_event_stream_does_not_outlive_it_by_a_slow_answer(
    gateway: Gateway, provider: HostileProvider, upstream: RecordingUpstream
) -> None:
    came, release, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def streams(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target == "/dashboard/held":
            came.set()
            await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n")
        await writer.drain()
        await over.wait()

    async def all_of(path: str, token: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: gw.test\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    token, other = token_of(provider), token_of(provider, sub="job-8")
    upstream.answer = streams
    try:
        witness = asyncio.ensure_future(all_of("/dashboard/open", other))
        late = asyncio.ensure_future(all_of("/dashboard/held", token))
        await asyncio.wait_for(came.wait(), PATIENCE)
        await until(gateway.app.services.streams.all)

        await gateway.app.store.end_all("job-7", time.time(), None)
        # Its notification comes after that of the token.
        await gateway.app.store.end_all("job-8", time.time(), None)
        await witness
        release.set()

        await asyncio.wait_for(late, 5)
    finally:
        release.set()
        over.set()
    lines = await gateway.logged()
    (line,) = [each for each in lines if each.get("url.path") == "/dashboard/held"]
    assert line["gateway.reason"] == "session_revoked", line


async def test_without_redis_nobody_knows_whether_it_was_ended(
    provider: HostileProvider, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    config = config_of(upstream.port, provider)
    config["redis"] = IMPATIENT
    with valkey_server(tmp_path) as own:
        async with running_gateway(config, tmp_path, own.url) as gateway:
            token = token_of(provider)
            assert await reason_of(gateway, token) == (200, "")
            own.stop()
            assert await reason_of(gateway, token) == (503, "store_unavailable")
            bad = token_of(provider, aud="x")
            assert await reason_of(gateway, bad) == (401, "token_invalid")
            own.start_again()


# --- the configuration


async def test_the_issuer_of_access_tokens_may_be_another_one(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    """Microsoft Entra ID has one for ID tokens, and one for the tokens of older APIs."""
    accept = {"audience": [API, "api://1"], "issuer": "https://sts.example/t/"}
    config = config_of(upstream.port, provider, accept=accept)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        given = token_of(provider, iss="https://sts.example/t/", aud="api://1")
        assert await reason_of(gateway, given) == (200, "")
        assert await reason_of(gateway, token_of(provider)) == (401, "malformed")


async def test_without_accept_a_token_of_the_provider_is_nothing(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = config_of(upstream.port, provider, accept=None)
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        assert await reason_of(gateway, token_of(provider)) == (401, "malformed")
        assert provider.calls == []


async def test_an_upstream_with_the_providers_token_gets_the_one_that_was_sent(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    from tests.oidc.test_membership_walk import KEY

    config = config_of(upstream.port, provider, refresh="15m")
    config["sign_in"]["encryption_keys"] = [{"id": "k1", "key": KEY}]
    config["upstreams"]["web"]["token"] = {"provider": "acme"}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        token = token_of(provider)
        for _ in range(2):
            assert (await get(gateway, token, "/dashboard/x")).status == 200
            assert upstream.last.present("Authorization") == f"Bearer {token}"


async def test_a_front_proxy_gets_the_same_decision(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = config_of(upstream.port, provider)
    config["server"] |= {"authz": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        described = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "gw.test",
            "X-Forwarded-Uri": "/api/notes",
            "X-Forwarded-For": "192.0.2.7",
        }

        async def decided(token: str) -> Reply:
            return await ask(
                gateway.app.authz_port,
                "GET",
                "/authz/forward-auth",
                described | {"Authorization": f"Bearer {token}"},
            )

        good, bad = await decided(token_of(provider)), await decided("a.b.c")
        forged = await decided(token_of(provider, OTHER_RSA_KEY))

    assert good.status == 200
    assert good.one("X-Auth-User-Id") == "job-7"
    assert bad.status == forged.status == 401
    assert 'error="invalid_token"' in forged.all("WWW-Authenticate")[0]


async def test_a_token_of_another_entry_of_the_same_issuer_is_not_sent_as_its_own(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    """Each is for the audience of its own: an upstream of the one is none of the other."""
    from tests.oidc.test_membership_walk import KEY

    config = config_of(
        upstream.port, provider, refresh="15m", identity={"id": "{provider}:{sub}"}
    )
    config["sign_in"]["encryption_keys"] = [{"id": "k1", "key": KEY}]
    config["upstreams"]["web"]["token"] = {"provider": "acme"}
    providers = config["sign_in"]["providers"]
    other = {"client_id": "gateway-b", "accept": {"audience": "https://beta.example"}}
    providers["beta"] = deepcopy(providers["acme"]) | other
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        for audience, name in ((API, "acme"), ("https://beta.example", "beta")):
            token = token_of(provider, aud=audience)
            for _ in range(2):
                assert (await get(gateway, token, "/dashboard/x")).status == 200
                assert upstream.last.one("X-Auth-User-Id") == f"{name}:job-7"
                sent = upstream.last.all("Authorization")
                assert (f"Bearer {token}" in sent) is (name == "acme")


async def test_a_forged_token_that_is_repeated_costs_one_signature(
    gateway: Gateway, provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await get(gateway, token_of(provider))
    signatures = counted_signatures(monkeypatch)
    forged = token_of(provider, OTHER_RSA_KEY)

    for _ in range(8):
        assert await reason_of(gateway, forged) == (401, "token_invalid")
    assert len(signatures) == 1


async def test_a_token_that_is_not_valid_yet_is_not_kept_as_invalid(
    gateway: Gateway, provider: HostileProvider
) -> None:
    early = token_of(provider, nbf=time.time() + 61)
    assert await reason_of(gateway, early) == (401, "token_invalid")

    async with asyncio.timeout(PATIENCE):
        while await reason_of(gateway, early) != (200, ""):
            await asyncio.sleep(0.1)


async def test_a_key_that_comes_back_verifies_what_was_invalid_without_it(
    gateway: Gateway, provider: HostileProvider
) -> None:
    """What was found with other keys says nothing."""
    token = token_of(provider)
    provider.keys = [public_jwk(OTHER_RSA_KEY, "one")]
    assert await reason_of(gateway, token) == (401, "token_invalid")
    provider.keys = [public_jwk(RSA_KEY, "one"), public_jwk(EC_KEY, "two")]

    other = token_of(provider, EC_KEY, "two")
    assert await reason_of(gateway, other) == (200, "")
    assert await reason_of(gateway, token) == (200, "")


async def test_a_limited_address_costs_no_signature(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither for other tokens, nor for other signatures of one, nor at an own endpoint."""
    config = config_of(upstream.port, provider)
    guessing = {"failed_lookups": 3, "window": "1h", "exempt": []}
    config["server"]["guessing"] = guessing
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        valid = token_of(provider)
        assert await reason_of(gateway, valid) == (200, "")
        signatures = counted_signatures(monkeypatch)
        signing = token_of(provider).rpartition(".")[0]
        forged = [f"{signing}.{base64url.encode(bytes([n]) * 256)}" for n in range(6)]

        statuses = [(await get(gateway, each)).status for each in forged]
        assert statuses == [401, 401, 401, 429, 429, 429]
        who = await get(gateway, forged[5], "/.gateway/sessions/whoami")
        assert who.status == 429
        assert len(signatures) == 3
        assert await reason_of(gateway, forged[0]) == (401, "token_invalid")
        assert await reason_of(gateway, valid) == (200, "")
        assert len(signatures) == 3


def counted_signatures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets each token whose signature is verified from now on."""
    verified: list[str] = []
    verify = id_token._decoded

    def counted(token: str, key: Any, algorithm: str) -> bytes:
        verified.append(token)
        return verify(token, key, algorithm)

    monkeypatch.setattr(id_token, "_decoded", counted)
    return verified


async def test_an_address_that_guesses_is_limited(
    provider: HostileProvider,
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
) -> None:
    config = config_of(upstream.port, provider)
    guessing = {"failed_lookups": 3, "window": "1h", "exempt": []}
    config["server"]["guessing"] = guessing
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        known = token_of(provider)
        assert await reason_of(gateway, known) == (200, "")
        statuses = [
            (await get(gateway, token_of(provider, aud=f"x{n}"))).status
            for n in range(5)
        ]
        assert statuses == [401, 401, 401, 429, 429]
        assert await reason_of(gateway, known) == (200, "")
        # It would cost a signature.
        new = token_of(provider, jti="new")
        assert await reason_of(gateway, new) == (429, "too_many_attempts")


async def test_an_address_has_a_share_of_the_look_ups_in_redis(
    gateway: Gateway, provider: HostileProvider
) -> None:
    token, lookups = token_of(provider), gateway.app.services.lookups
    assert await reason_of(gateway, token) == (200, "")
    held = 0
    while lookups.take("127.0.0.1"):
        held += 1

    assert await reason_of(gateway, token) == (429, "client_limit")
    for _ in range(held):
        lookups.give_back("127.0.0.1")
    assert await reason_of(gateway, token) == (200, "")
    assert lookups.total == 0


async def test_a_slow_page_of_the_provider_is_not_awaited_twice(
    gateway: Gateway, provider: HostileProvider
) -> None:
    """Requests that come together at first share the fetch of the keys."""
    await asyncio.gather(
        *(get(gateway, token_of(provider, jti=str(n))) for n in range(8))
    )

    assert provider.calls == ["discovery", "jwks"]


async def test_the_refusal_is_audited(
    gateway: Gateway, provider: HostileProvider
) -> None:
    await get(gateway, token_of(provider, aud="x"))

    audited = [
        line
        for line in await gateway.logged()
        if line.get("event.dataset") == "gateway.audit"
    ]
    assert [line["gateway.reason"] for line in audited] == ["token_invalid"]


async def test_any_answer_as_keys_is_no_valid_token(
    gateway: Gateway, provider: HostileProvider
) -> None:
    for body in ("", "[]", '{"keys": 7}', '{"keys": [7, null, {"kty": "RSA"}]}'):

        async def answer(_request: web.Request, body: str = body) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        provider.answers["jwks"] = answer
        status, _ = await reason_of(gateway, token_of(provider))
        assert status in {401, 503}
