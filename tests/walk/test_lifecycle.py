"""A session's life through the gateway: how long it lasts, how it ends, what is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.server.clock import Clock
from gateway.sessions.record import Session
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    a_session,
    answer_ok,
    ask,
    base_config,
    once_it_is_back,
    running_gateway,
    sign_in_header,
)

HOUR = 3600.0
_BOOT = time.CLOCK_BOOTTIME
Opened = Callable[..., AbstractAsyncContextManager[Gateway]]

GRACE: dict[str, Any] = {
    "identity": {"id": "u_grace", "roles": ["member"]},
    "tenants": {"t_acme": {"name": "Acme", "role": "owner"}},
}


@pytest.fixture
def opened(upstream: RecordingUpstream, redis: Server, tmp_path: Path) -> Opened:
    """Open a gateway; what is given goes over the keys of these sections."""

    def opening(
        *routes: dict[str, Any], **sections: dict[str, Any]
    ) -> AbstractAsyncContextManager[Gateway]:
        config = base_config(upstream.port)
        for name, keys in sections.items():
            config[name] = config[name] | keys
        config["routes"] += routes
        return running_gateway(config, tmp_path, redis.url)

    return opening


@pytest.fixture
async def gateway(opened: Opened) -> AsyncIterator[Gateway]:
    idle = {"idle_timeout": "30m", "lifespan": "24h"}
    async with opened(sessions=idle) as running:
        yield running


async def get(gateway: Gateway, target: str, cookie: str, **how: str) -> Reply:
    return await ask(gateway.port, "GET", target, PROGRAM | {"Cookie": cookie} | how)


async def visit(gateway: Gateway, target: str, cookie: str) -> Reply:
    return await ask(gateway.port, "GET", target, BROWSER | {"Cookie": cookie})


async def stored(gateway: Gateway, cookie: str) -> Session:
    session = await gateway.own_store.load(gateway.key_of(cookie))
    assert isinstance(session, Session)
    return session


async def signed_in_by_the_app(
    gateway: Gateway,
    upstream: RecordingUpstream,
    document: dict[str, Any] = GRACE,
    *,
    target: str = "/auth/login",
    cookie: str | None = None,
) -> Reply:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 303 See Other\r\nLocation: /dashboard\r\nContent-Length: 0\r\n"
            b"X-Gateway-Sign-In: " + sign_in_header(document).encode() + b"\r\n\r\n"
        )
        await writer.drain()

    upstream.answer = answer
    fields = BROWSER | ({"Cookie": cookie} if cookie else {})
    reply = await ask(gateway.port, "POST", target, fields)
    upstream.answer = answer_ok
    assert reply.status == 303, reply.body
    return reply


def pair(reply: Reply) -> str:
    found = reply.one("Set-Cookie")
    assert found is not None
    return found.partition(";")[0]


# Why a session is over


async def ended_cookie(gateway: Gateway, how: str) -> str:
    now = time.time()
    match how:
        case "session_expired":
            return await gateway.sign_in(a_session(now - 25 * HOUR))
        case "session_idle":
            seen = replace(a_session(now - 2 * HOUR), last_seen_at=now - HOUR)
            return await gateway.sign_in(seen)
        case "session_revoked":
            cookie = await gateway.sign_in()
            await gateway.app.store.end(gateway.key_of(cookie), now)
            return cookie
        case "unknown_session":
            return f"gateway_session={'A' * 43}"
        case _:
            raise AssertionError(how)


ENDS = ["session_expired", "session_idle", "session_revoked", "unknown_session"]


@pytest.mark.parametrize("reason", ENDS)
async def test_the_reason_of_an_end_is_given_to_every_client(
    gateway: Gateway, reason: str
) -> None:
    cookie = await ended_cookie(gateway, reason)

    page = await visit(gateway, "/dashboard", cookie)
    call = await get(gateway, "/dashboard", cookie)
    script = await get(gateway, "/.gateway/session", cookie)
    sdk = await get(gateway, "/.gateway/sessions/whoami", cookie)
    account = await visit(gateway, "/.gateway/account", cookie)

    for sent in (page, account):
        assert sent.status == 302
        assert parse_qs(urlsplit(sent.present("Location")).query)["reason"] == [reason]
    for reported in (call, script):
        assert (reported.status, reported.json()["reason"]) == (401, reason)
    assert call.json()["login_url"].endswith(f"reason={reason}")
    assert call.present("WWW-Authenticate").startswith("Session realm=")
    assert sdk.json()["error"]["details"] == {"reason": reason}
    # The script only asks: what it hears, the next page shows, and that one clears.
    assert not script.all("Set-Cookie")
    kept = f"gateway_ended={reason}"
    ended = [f"{kept}; Path=/; HttpOnly; SameSite=Lax; Max-Age=300"]
    for answer in (page, call, sdk, account):
        cleared, *words = answer.all("Set-Cookie")
        assert cleared.startswith("gateway_session=; Path=/; HttpOnly; SameSite=Lax")
        assert "Max-Age=0" in cleared
        # Of an unknown session nobody knows that it was one.
        assert words == ([] if reason == "unknown_session" else ended)
    if reason == "unknown_session":
        return
    # Who asks afterwards, without a cookie of the session, is given the same reason.
    for path in ("/dashboard", "/.gateway/session"):
        later = await get(gateway, path, kept)
        assert later.json()["reason"] == reason
        assert not later.all("Set-Cookie")
    later = await visit(gateway, "/.gateway/account", kept)
    assert f"reason={reason}" in later.present("Location")


OURS = [
    ("GET", "/dashboard", b""),
    ("GET", "/.gateway/session", b""),
    ("GET", "/.gateway/sessions/whoami", b""),
    ("GET", "/.gateway/sessions", b""),
    ("DELETE", "/.gateway/sessions", b""),
    ("GET", "/.gateway/self-service/logout/browser", b""),
    ("GET", "/.gateway/account", b""),
    ("POST", "/.gateway/account/end", b"session_id=x"),
    ("POST", "/.gateway/account/end-others", b""),
    ("POST", "/.gateway/logout", b""),
    ("POST", "/.gateway/tenant", b"tenant_id=t_blue"),
]


async def test_a_store_that_does_not_answer_clears_no_cookie_anywhere(
    opened: Opened, redis: Server
) -> None:
    async with opened(redis=IMPATIENT) as gateway:
        cookie = await gateway.sign_in()
        redis.freeze()
        try:
            for kind in (BROWSER, PROGRAM):
                for method, target, body in OURS:
                    fields = kind | {"Cookie": cookie}
                    reply = await ask(gateway.port, method, target, fields, body)

                    assert reply.status == 503, target
                    assert not reply.all("Set-Cookie"), target
                    assert reply.one("Retry-After"), target
        finally:
            redis.thaw()
        fields = PROGRAM | {"Cookie": cookie}
        after = await once_it_is_back(gateway.port, "GET", "/dashboard", fields)

    # The person asked to be signed out, and was answered that it is not done; it
    # follows as soon as the store can be asked.
    assert (after.status, after.json()["reason"]) == (401, "session_revoked")


async def test_a_record_that_cannot_be_read_clears_no_cookie(
    gateway: Gateway, redis: Server
) -> None:
    cookie = await gateway.sign_in()
    redis.command_line("SET", f"gateway:session:{gateway.key_of(cookie)}", "{")

    reply = await visit(gateway, "/dashboard", cookie)

    assert (reply.status, reply.all("Set-Cookie")) == (302, [])


@pytest.mark.parametrize(
    ("cookie", "public_url", "attributes"),
    [
        ({}, "http://gw.test", "Path=/; HttpOnly; SameSite=Lax"),
        ({}, "https://gw.test", "Path=/; HttpOnly; Secure; SameSite=Lax"),
        (
            {"domain": "gw.test", "same_site": "none"},
            "https://gw.test",
            "Path=/; Domain=gw.test; HttpOnly; Secure; SameSite=None",
        ),
    ],
    ids=["http", "https", "for a domain"],
)
async def test_signing_out_clears_each_cookie_as_it_was_set(
    opened: Opened,
    upstream: RecordingUpstream,
    cookie: dict[str, Any],
    public_url: str,
    attributes: str,
) -> None:
    profiles = base_config(0)["tokens"]["profiles"]
    profiles["database"]["cookie"] = "db_jwt"
    async with opened(
        sessions={"cookie": cookie},
        server={"public_url": public_url},
        tokens={"profiles": profiles},
    ) as gateway:
        signed_in = await signed_in_by_the_app(gateway, upstream)
        name = pair(signed_in).partition("=")[0]
        visited = await get(gateway, "/dashboard", pair(signed_in))
        handed = {
            value.partition("=")[0]: value.partition("; ")[2]
            for value in (*signed_in.all("Set-Cookie"), *visited.all("Set-Cookie"))
        }

        out = await ask(
            gateway.port, "POST", "/.gateway/logout", {"Cookie": pair(signed_in)}
        )

        cleared = {
            value.partition("=")[0]: value.partition("; ")[2]
            for value in out.all("Set-Cookie")
        }
        assert set(cleared) == set(handed) == {name, "db_jwt"}
        assert handed[name] == f"{attributes}; Max-Age=86400"
        for each, was in handed.items():
            gone = _without_age(cleared[each])
            assert gone == _without_age(was), each
            assert "Max-Age=0" in cleared[each]
            assert out.all("Set-Cookie")[0].partition(";")[0].endswith("=")


def _without_age(attributes: str) -> set[str]:
    kept = attributes.split("; ")
    return {each for each in kept if not each.startswith(("Max-Age=", "Expires="))}


# How long it lasts


async def test_a_life_is_never_longer_than_the_lifespan_says(gateway: Gateway) -> None:
    late = replace(a_session(time.time() - 25 * HOUR), expires_at=time.time() + HOUR)
    used = replace(late, last_seen_at=time.time())

    reply = await get(gateway, "/dashboard", await gateway.sign_in(used))

    assert (reply.status, reply.json()["reason"]) == (401, "session_expired")


async def test_a_use_keeps_a_session_from_being_idle(gateway: Gateway) -> None:
    now = time.time()
    almost = replace(a_session(now - 2 * HOUR), last_seen_at=now - 29 * 60)
    cookie = await gateway.sign_in(almost)

    assert (await get(gateway, "/dashboard", cookie)).status == 200
    await gateway.app.services.finish()

    assert (await stored(gateway, cookie)).last_seen_at >= now


async def test_to_ask_is_no_use(gateway: Gateway) -> None:
    now = time.time()
    almost = replace(a_session(now - 2 * HOUR), last_seen_at=now - 29 * 60)
    cookie = await gateway.sign_in(almost)
    before = await stored(gateway, cookie)

    for target in ("/.gateway/session", "/.gateway/sessions/whoami"):
        assert (await get(gateway, target, cookie)).status == 200
    await gateway.app.services.finish()

    assert await stored(gateway, cookie) == before


@pytest.mark.parametrize("persistent", [True, False])
async def test_a_longer_life_leaves_the_cookie_what_it_was(
    opened: Opened, persistent: bool
) -> None:
    """A browser-session cookie does not become one that is kept, by being used."""
    async with opened(sessions={"lifespan": "24h", "extend_within": "6h"}) as gateway:
        old = a_session(time.time() - 20 * HOUR, persistent=persistent)
        cookie = await gateway.sign_in(old)

        reply = await get(gateway, "/dashboard", cookie)
        await gateway.app.services.finish()

        (again,) = reply.all("Set-Cookie") or (cookie,)
        assert again.partition(";")[0] == cookie
        assert ("Max-Age=" in again) is persistent
        assert (await stored(gateway, cookie)).expires_at > time.time() + 23 * HOUR


@pytest.mark.parametrize(
    ("configured", "stated", "kept"),
    [
        (True, {}, True),
        (True, {"persistent": True}, True),
        (True, {"persistent": False}, False),
        (False, {}, False),
        (False, {"persistent": True}, False),
    ],
)
async def test_a_cookie_is_kept_only_where_both_say_so(
    opened: Opened,
    upstream: RecordingUpstream,
    configured: bool,
    stated: dict[str, bool],
    kept: bool,
) -> None:
    async with opened(sessions={"cookie": {"persistent": configured}}) as gateway:
        reply = await signed_in_by_the_app(gateway, upstream, GRACE | stated)

        cookie = reply.present("Set-Cookie")
        assert ("Max-Age=" in cookie) is kept
        assert "Expires=" not in cookie


async def test_of_too_many_sessions_the_oldest_ends(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    document = GRACE | {"identity": {"id": "u_many"}}
    async with opened(sessions={"max_per_identity": 2}) as gateway:
        someone = await gateway.sign_in()
        cookies = [
            pair(await signed_in_by_the_app(gateway, upstream, document))
            for _ in range(3)
        ]

        replies = [await get(gateway, "/dashboard", cookie) for cookie in cookies]

        assert [reply.status for reply in replies] == [401, 200, 200]
        assert replies[0].json()["reason"] == "session_revoked"
        assert (await get(gateway, "/dashboard", someone)).status == 200


# A stronger or a fresher sign-in

VAULT = {
    "match": "/vault/**",
    "rule": "protected",
    "require": {"authenticated_within": "15m"},
    "upstream": "web",
}
STRONG = {
    "match": "/strong/**",
    "rule": "protected",
    "require": {"aal": "aal2"},
    "upstream": "web",
}


@pytest.mark.parametrize(
    ("target", "reason", "stated"),
    [
        ("/vault/a?b=c", "step_up", {}),
        ("/strong/a?b=c", "aal_too_low", {"aal": "aal2"}),
    ],
)
async def test_a_step_up_leads_to_the_page_and_back(
    opened: Opened,
    upstream: RecordingUpstream,
    target: str,
    reason: str,
    stated: dict[str, str],
) -> None:
    async with opened(VAULT, STRONG) as gateway:
        before = await gateway.sign_in(a_session(time.time() - HOUR))
        assert (await get(gateway, "/dashboard", before)).status == 200

        program = await get(gateway, target, before)
        sent = await visit(gateway, target, before)
        page = sent.present("Location")
        shown = await visit(gateway, page, before)
        done = await signed_in_by_the_app(
            gateway, upstream, GRACE | stated, target=page, cookie=before
        )
        back = await visit(gateway, target, pair(done))
        old = await get(gateway, "/dashboard", before)

        requested = urlsplit(page)
        assert (program.status, program.json()["reason"]) == (401, reason)
        assert "insufficient_user_authentication" in program.present("WWW-Authenticate")
        assert program.json()["login_url"] == page
        assert not program.all("Set-Cookie")
        assert sent.status == 302
        assert not sent.all("Set-Cookie")
        assert requested.path == "/auth/login"
        assert parse_qs(requested.query) == {
            "refresh": ["true"],
            "return_to": [target],
            "reason": [reason],
        }
        assert shown.status == 200
        assert upstream.last.target == target
        assert pair(done) != before
        assert back.status == 200
        assert (old.status, old.json()["reason"]) == (401, "session_revoked")


async def test_a_planted_token_is_worth_nothing_after_any_sign_in(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    """Whether it was nobody's, or the attacker's own, it becomes nobody's."""
    own = await gateway.sign_in()
    unknown = f"gateway_session={'A' * 43}"
    for planted in (unknown, own):
        target = "/auth/login?refresh=true"
        done = await signed_in_by_the_app(
            gateway, upstream, target=target, cookie=planted
        )

        assert pair(done) != planted
        assert (await get(gateway, "/dashboard", planted)).status == 401
        assert (await get(gateway, "/dashboard", pair(done))).status == 200


async def test_a_clock_that_goes_wrong_revives_and_loses_no_session(
    gateway: Gateway,
) -> None:
    cookie, other = await gateway.sign_in(), await gateway.sign_in()
    wall = 0.0
    system = gateway.app.services.system
    system.clock = Clock(lambda: time.time() + wall)

    async def requested(with_cookie: str) -> tuple[int, list[str]]:
        fields = PROGRAM | {"Cookie": with_cookie}
        reply = await ask(gateway.port, "GET", "/dashboard", fields)
        return reply.status, reply.all("Set-Cookie")

    wall = 365 * 24 * HOUR
    status, cleared = await requested(cookie)
    assert (status, bool(cleared)) == (401, True)
    wall = 0.0
    assert (await requested(cookie))[0] == 401
    assert await requested(other) == (200, [])

    # The machine slept for a day, as far as its own count of time goes.
    system.clock = Clock(
        lambda: time.time() + wall, lambda: time.clock_gettime(_BOOT) + wall
    )
    third = await gateway.sign_in()
    wall = 24 * HOUR
    assert (await requested(other))[0] == 401
    system.clock._steady = lambda: time.clock_gettime(_BOOT) + 24 * HOUR
    wall = 0.0
    assert (await requested(other))[0] == 401
    assert (await requested(third))[0] == 401
