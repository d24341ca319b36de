"""Guessed sessions, passwords and admin tokens: refused by address, and nobody else."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.sessions.cookie import new_token
from tests.servers import Server, free_port
from tests.walk.external import MINE, SID, custom_config, written
from tests.walk.harness import (
    ADMIN_TOKEN,
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Answer,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    ask,
    base_config,
    running_gateway,
    sign_in_header,
    until,
)

pytestmark = pytest.mark.walk

FEW = {"failed_lookups": 3, "failed_sign_ins": 3, "window": "1h"}
GRACE: dict[str, Any] = {"identity": {"id": "u_grace", "roles": ["member"]}}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Opened = Callable[..., Any]


def answers(status: int, *fields: str) -> Answer:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        writer.write(
            f"HTTP/1.1 {status} Word\r\n{lines}Content-Length: 2\r\n\r\nno".encode()
        )
        await writer.drain()

    return answer


SIGNS_IN = answers(200, f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")


@pytest.fixture
async def opened(upstream: RecordingUpstream, redis: Server, tmp_path: Path) -> Opened:
    """Open a gateway that allows three failures of each kind."""

    @asynccontextmanager
    async def open_(
        *, config: dict[str, Any] | None = None, **guessing: Any
    ) -> AsyncIterator[Gateway]:
        config = config or base_config(upstream.port)
        config["server"]["trusted_proxies"] = ["127.0.0.1"]
        config["server"]["guessing"] = FEW | guessing
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            yield gateway

    return open_


def guess() -> dict[str, str]:
    return {"Cookie": f"gateway_session={new_token(os.urandom(32)).value}"}


def from_(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def guesses(
    gateway: Gateway, target: str = "/dashboard", times: int = 3, **extra: str
) -> list[Reply]:
    return [
        await ask(gateway.port, target=target, headers=PROGRAM | guess() | extra)
        for _ in range(times)
    ]


async def posts(
    gateway: Gateway,
    times: int = 3,
    target: str = "/auth/login",
    headers: dict[str, str] | None = None,
) -> list[Reply]:
    fields = PROGRAM | FORM | (headers or {})
    return [
        await ask(gateway.port, "POST", target, fields, b"password=x")
        for _ in range(times)
    ]


# Sessions


@pytest.mark.parametrize(
    "target",
    [
        "/dashboard",
        "/admin/x",
        "/",
        "/auth/login",
        "/.gateway/session",
        "/.gateway/sessions/whoami",
        "/.gateway/account",
        "/.gateway/self-service/logout/browser",
    ],
)
async def test_an_address_that_guesses_sessions_is_answered_429(
    opened: Opened, upstream: RecordingUpstream, target: str
) -> None:
    async with opened() as gateway:
        allowed = await guesses(gateway, target)
        reached = len(upstream.seen)
        (refused,) = await guesses(gateway, target, 1)

    assert 429 not in [reply.status for reply in allowed]
    assert refused.status == 429
    assert refused.json()["reason"] == "too_many_attempts"
    assert 0 < int(refused.one("Retry-After") or 0) <= 1200
    assert len(upstream.seen) == reached


async def test_a_person_in_a_browser_gets_a_page(opened: Opened) -> None:
    async with opened() as gateway:
        await guesses(gateway)
        reply = await ask(gateway.port, target="/dashboard", headers=BROWSER | guess())

    assert reply.status == 429
    assert b"<html" in reply.body
    assert b"Please wait a moment" in reply.body
    assert reply.one("Retry-After")


async def test_a_valid_session_passes_whatever_its_address_guesses(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    async with opened() as gateway:
        cookie = {"Cookie": await gateway.sign_in()}
        await guesses(gateway, times=5)
        await posts(gateway, times=5)

        got = [
            await ask(gateway.port, method, target, PROGRAM | FORM | cookie, body)
            for method, target, body in (
                ("GET", "/dashboard", b""),
                ("GET", "/", b""),
                ("POST", "/form", b"a=b"),
                ("GET", "/.gateway/sessions/whoami", b""),
            )
        ]

    assert [reply.status for reply in got] == [200] * 4


async def test_who_brings_no_session_passes_on_public_routes(opened: Opened) -> None:
    async with opened() as gateway:
        await guesses(gateway, times=5)

        assert (await ask(gateway.port)).status == 200


async def test_a_browser_with_one_old_cookie_is_not_taken_for_a_guesser(
    opened: Opened,
) -> None:
    async with opened() as gateway:
        old = guess()
        replies = [await ask(gateway.port, headers=old) for _ in range(20)]

    assert {reply.status for reply in replies} == {200}


async def test_an_old_cookie_next_to_a_guesser_is_taken_back_and_then_all_is_well(
    opened: Opened,
) -> None:
    async with opened() as gateway:
        await guesses(gateway)
        refused = await ask(gateway.port, headers=guess())
        again = await ask(gateway.port)

    assert refused.status == 429
    assert "Max-Age=0" in (refused.all("Set-Cookie") or [""])[0]
    assert again.status == 200


async def test_an_ended_session_is_no_guess(opened: Opened) -> None:
    async with opened() as gateway:
        cookies = [await gateway.sign_in() for _ in range(6)]
        for cookie in cookies:
            await gateway.app.store.end(gateway.key_of(cookie), 1.0)
        replies = [
            await ask(gateway.port, target="/dashboard", headers={"Cookie": cookie})
            for cookie in cookies
        ]

    assert {reply.status for reply in replies} == {302, 401} - {302}


async def test_an_outage_of_the_store_is_no_guess(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    config = base_config(upstream.port)
    config["redis"] = IMPATIENT
    async with opened(config=config) as gateway:
        await gateway.app.store.close()
        replies = await guesses(gateway, times=6)

    assert {reply.status for reply in replies} == {503}


@pytest.mark.parametrize(
    ("guesser", "other", "status"),
    [
        ("192.0.2.1", "192.0.2.2", 401),
        ("192.0.2.1", "::ffff:192.0.2.1", 429),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 401),
    ],
)
async def test_the_address_is_the_forwarded_one_and_for_ipv6_its_network(
    opened: Opened, guesser: str, other: str, status: int
) -> None:
    async with opened() as gateway:
        await guesses(gateway, times=5, **from_(guesser))
        (reply,) = await guesses(gateway, times=1, **from_(other))

    assert reply.status == status


async def test_a_forged_address_does_not_avoid_the_limit(
    opened: Opened, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    config["server"]["guessing"] = FEW
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        replies = [
            (await guesses(gateway, times=1, **from_(f"192.0.2.{n}")))[0].status
            for n in range(6)
        ]

    assert replies == [401] * 3 + [429] * 3


async def test_after_a_while_an_attempt_comes_back(opened: Opened) -> None:
    async with opened(window="3s") as gateway:
        await guesses(gateway, times=3)
        statuses: list[int] = []
        while 429 not in statuses or statuses[-1] == 429:
            statuses.append((await guesses(gateway, times=1))[0].status)

    assert statuses[-1] == 401


@pytest.mark.parametrize("exempt", [["127.0.0.1"], ["::1", "127.0.0.0/8"]])
async def test_an_exempt_network_is_never_limited(
    opened: Opened, exempt: list[str]
) -> None:
    async with opened(exempt=exempt) as gateway:
        replies = await guesses(gateway, times=8)

    assert {reply.status for reply in replies} == {401}


async def test_the_limit_can_be_switched_off_and_on_by_a_reload(
    opened: Opened,
) -> None:
    async with opened() as gateway:
        await guesses(gateway, times=4)
        document = yaml.safe_load(gateway.path.read_text())
        for guessing, status in ((None, 401), (FEW, 429)):
            document["server"]["guessing"] = guessing
            gateway.path.write_text(yaml.safe_dump(document))
            assert await gateway.app.reload()

            (reply,) = await guesses(gateway, times=1)

            assert reply.status == status


async def test_a_flood_is_one_line_in_the_log_and_counted(opened: Opened) -> None:
    async with opened() as gateway:
        await guesses(gateway, times=30)
        await posts(gateway, times=30)
        lines = [
            line
            for line in await gateway.logged()
            if line.get("message", line.get("event")) == "too many failed attempts"
        ]
        body, _ = gateway.app._reporter.process.exposition("")

    assert sorted((line["kind"], line["client"]) for line in lines) == [
        ("session", "127.0.0.1"),
        ("sign_in", "127.0.0.1"),
    ]
    metrics = body.decode()
    for kind in ("session", "sign_in"):
        name = "gateway_failed_attempts_total"
        assert f'{name}{{kind="{kind}",outcome="failed"}} 3.0' in metrics
        assert f'{name}{{kind="{kind}",outcome="refused"}} 27.0' in metrics
    assert 'reason="too_many_attempts",' in metrics


# Sessions of an app


async def test_guessed_ids_of_an_apps_sessions_are_limited_too(
    opened: Opened, upstream: RecordingUpstream, redis: Server
) -> None:
    await written(redis, {"user": {"id": "u_1"}})
    async with opened(config=custom_config(upstream.port)) as gateway:
        statuses = [
            (
                await ask(
                    gateway.port,
                    target="/dashboard",
                    headers=PROGRAM | {"Cookie": f"sid={n:0{len(SID)}d}"},
                )
            ).status
            for n in range(5)
        ]
        valid = await ask(gateway.port, target="/dashboard", headers=PROGRAM | MINE)

    assert statuses == [401] * 3 + [429] * 2
    assert valid.status == 200


async def test_forged_signatures_are_limited_too(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    config = custom_config(upstream.port)
    config["sessions"] = {"format": "express-session", "secrets": ["s" * 32]}
    async with opened(config=config) as gateway:
        replies = [
            await ask(
                gateway.port,
                target="/dashboard",
                headers=PROGRAM | {"Cookie": f"connect.sid=s%3A{'a' * 32}.{n:043d}"},
            )
            for n in range(5)
        ]

    assert [reply.status for reply in replies] == [401] * 3 + [429] * 2
    assert replies[0].json()["reason"] == "bad_signature"


# Passwords


FAILURES = [
    pytest.param(answers(401), "/auth/login", id="401"),
    pytest.param(answers(200), "/auth/login", id="the form again"),
    pytest.param(answers(302, "Location: /auth/login?e=1"), "/auth/login", id="back"),
    pytest.param(answers(200), "/auth/reset", id="an auth-redirect route"),
    pytest.param(answers(401), "/session", id="a public route: 401"),
    pytest.param(answers(422), "/session", id="a public route: 422"),
    pytest.param(
        answers(303, "Location: http://gw.test/auth/login#again"),
        "/session",
        id="a public route: back to the form",
    ),
]


@pytest.mark.parametrize(("answer", "target"), FAILURES)
async def test_an_address_that_guesses_passwords_is_answered_429(
    opened: Opened, upstream: RecordingUpstream, answer: Answer, target: str
) -> None:
    upstream.answer = answer
    async with opened() as gateway:
        allowed = await posts(gateway, target=target)
        (refused,) = await posts(gateway, 1, target)

    assert 429 not in [reply.status for reply in allowed]
    assert refused.status == 429
    assert refused.json()["reason"] == "too_many_attempts"
    assert refused.one("Retry-After")
    assert len(upstream.seen) == 3


HARMLESS = [
    pytest.param(SIGNS_IN, "/auth/login", id="signs in"),
    pytest.param(SIGNS_IN, "/session", id="signs in on a public route"),
    pytest.param(answers(500), "/auth/login", id="the app's fault"),
    pytest.param(answers(200), "/contact", id="another form"),
    pytest.param(answers(404), "/nothing", id="nothing there"),
    pytest.param(answers(302, "Location: /thanks"), "/contact", id="a redirect"),
    pytest.param(
        answers(302, "Location: https://evil.test/auth/login"),
        "/contact",
        id="elsewhere",
    ),
]


@pytest.mark.parametrize(("answer", "target"), HARMLESS)
async def test_what_is_no_failed_sign_in_is_not_counted(
    opened: Opened, upstream: RecordingUpstream, answer: Answer, target: str
) -> None:
    upstream.answer = answer
    async with opened() as gateway:
        replies = await posts(gateway, 8, target)

    assert 429 not in [reply.status for reply in replies]


async def test_an_upstream_that_is_away_is_no_failed_sign_in(opened: Opened) -> None:
    async with opened(config=base_config(free_port())) as gateway:
        replies = await posts(gateway, 6)

    assert {reply.status for reply in replies} == {502}


async def test_looking_at_the_sign_in_page_is_no_attempt(opened: Opened) -> None:
    async with opened() as gateway:
        await posts(gateway, 4)

        assert (await ask(gateway.port, target="/auth/login")).status == 200


async def test_guesses_at_the_same_time_are_not_more_than_the_limit(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    go = asyncio.Event()

    async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await answers(401)(_seen, writer)

    upstream.answer = slow
    async with opened() as gateway:
        requested = [asyncio.create_task(posts(gateway, 1)) for _ in range(20)]
        await until(lambda: sum(task.done() for task in requested) == 17)
        go.set()
        replies = [reply for task in requested for reply in await task]

    assert sorted(reply.status for reply in replies) == [401] * 3 + [429] * 17


def all_came(upstream: RecordingUpstream, count: int) -> bool:
    return len(upstream.complete) == count


async def test_a_guess_whose_answer_is_not_waited_for_counts(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    over = asyncio.Event()

    async def never(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await over.wait()

    upstream.answer = never
    async with opened() as gateway:
        for n in range(1, 4):
            _reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(
                b"POST /auth/login HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1\r\n\r\nx"
            )
            await until(partial(all_came, upstream, n))
            writer.close()
            await writer.wait_closed()
        (reply,) = await posts(gateway, 1)
        over.set()

    assert reply.status == 429


async def test_a_success_does_not_forgive_what_failed_before(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    async with opened() as gateway:
        upstream.answer = answers(401)
        await posts(gateway, 2)
        upstream.answer = SIGNS_IN
        await posts(gateway, 1)
        upstream.answer = answers(401)
        statuses = [reply.status for reply in await posts(gateway, 2)]

    assert statuses == [401, 429]


@pytest.mark.parametrize("lives_on", [True, False])
async def test_a_sign_in_to_an_app_that_keeps_the_sessions_is_recognised(
    opened: Opened, upstream: RecordingUpstream, redis: Server, lives_on: bool
) -> None:
    await written(redis, {"user": {"id": "u_1"}})
    visitor = "f" + SID[1:]
    await written(redis, {"visits": 1}, f"sess:{visitor}")

    async def signs_in(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if lives_on:  # the same id, and no new cookie
            await written(redis, {"user": {"id": "u_1"}}, f"sess:{visitor}")
            await answers(200)(seen, writer)
        else:
            await answers(200, f"Set-Cookie: sid={SID}; Path=/")(seen, writer)

    async with opened(config=custom_config(upstream.port)) as gateway:
        mine = {"Cookie": f"sid={visitor}"}
        upstream.answer = answers(401)
        failed = await posts(gateway, 2, headers=mine)
        upstream.answer = signs_in
        good = await posts(gateway, 1, headers=mine)
        await written(redis, {"visits": 1}, f"sess:{visitor}")
        upstream.answer = answers(401)
        last = await posts(gateway, 2, headers=mine)

    assert [reply.status for reply in failed + good] == [401, 401, 200]
    assert [reply.status for reply in last] == [401, 429]


# The admin token


async def test_a_guessed_admin_token_is_limited_and_the_right_one_passes(
    opened: Opened, upstream: RecordingUpstream
) -> None:
    config = base_config(upstream.port)
    admin = free_port()
    config["server"]["admin"] = f"127.0.0.1:{admin}"
    url = f"http://127.0.0.1:{admin}/admin/sessions/{SID}"
    async with opened(config=config), aiohttp.ClientSession() as client:
        statuses: list[int] = []
        for token in ("x", "y", "z", "w", ADMIN_TOKEN):
            headers = {"Authorization": f"Bearer {token}"}
            async with client.get(url, headers=headers) as answer:
                statuses.append(answer.status)
                limited = answer.status == 429
                assert bool(answer.headers.get("Retry-After")) is limited

    assert statuses == [401, 401, 401, 429, 404]
