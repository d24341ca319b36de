"""Sessions that apps write, through the running gateway: real sockets, real Redis.

The genuine records of every library are put into Redis as they were, and the clock
of the gateway stands where it stood when they were written.
"""

import asyncio
from pathlib import Path

import pytest

from tests.servers import Server
from tests.sessions.formats.scenarios import SCENARIOS, Scenario
from tests.sessions.formats.test_fixtures import STRICTER
from tests.walk.external import (
    MINE,
    SID,
    cookie,
    custom_config,
    dump,
    gateway_for,
    put_again,
    sets_a_cookie,
    written,
)
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    ask,
    once_it_is_back,
    running_gateway,
)

ALL = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.id)
BY_ID = {scenario.id: scenario for scenario in SCENARIOS}


@ALL
async def test_a_genuine_session_is_allowed_and_sent_to_the_app(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        reply = await ask(gateway.port, "GET", "/dashboard", cookie(scenario.cookie))

        assert reply.status == 200
        assert reply.all("Set-Cookie") == []
        assert upstream.last.one("X-Auth-User-Id") == str(scenario.expected["user_id"])
        assert upstream.last.one("Cookie") == scenario.cookie.decode()


@ALL
async def test_a_tampered_cookie_is_unauthenticated_and_a_genuine_one_is_its_user_s(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        for variant, (raw, library_accepts) in scenario.tampered.items():
            before = len(upstream.seen)

            reply = await ask(gateway.port, "GET", "/dashboard", cookie(raw) | PROGRAM)

            accepted = library_accepts and variant not in STRICTER
            assert reply.status == (200 if accepted else 401), variant
            # Only of two cookies of one name, which no later sign-in could replace.
            assert bool(reply.all("Set-Cookie")) == ("duplicate" in variant), variant
            assert all("Max-Age=0" in line for line in reply.all("Set-Cookie")), variant
            assert len(upstream.seen) == before + accepted, variant


# --- an end that holds


ENDABLE = pytest.mark.parametrize(
    "scenario",
    [
        BY_ID[name]
        for name in (
            "better_auth/default",
            "express_session/passport_default",
            "flask_session/msgpack_default",
            "django/core_redis_pickle",
            "starsessions/default",
            "authjs_upstash/default",
            "lucia/sha256_recipe",
        )
    ],
    ids=lambda each: each.library,
)
ORIGIN = {"Origin": "http://gw.test"}


@ENDABLE
async def test_a_signed_out_user_stays_out_though_the_app_writes_the_record_again(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    mine = cookie(scenario.cookie)
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        reply = await ask(gateway.port, "POST", "/.gateway/logout", mine | ORIGIN)

        assert reply.status == 303
        cleared = [each for each in reply.all("Set-Cookie") if "Max-Age=0" in each]
        name = scenario.settings.cookie_name
        assert any(each.startswith(f"{name}=; Path=/") for each in cleared)
        # A request in flight writes back what it has read before.
        await asyncio.to_thread(put_again, redis, scenario)
        reply = await ask(gateway.port, "GET", "/dashboard", mine | PROGRAM)
        assert (reply.status, reply.json()["reason"]) == (401, "session_revoked")
        assert not upstream.seen


@ENDABLE
async def test_a_revoked_session_s_cookie_does_not_reach_the_app_on_open_pages(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    mine = {"Cookie": f"theme=dark; {scenario.cookie.decode()}; lang=en"}
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        await ask(gateway.port, "POST", "/.gateway/logout", mine | ORIGIN)

        reply = await ask(gateway.port, "GET", "/", mine)

        assert reply.status == 200
        seen = upstream.last.one("Cookie") or ""
        assert seen.startswith("theme=dark; ")
        assert seen.endswith("; lang=en")
        assert f"{scenario.settings.cookie_name}=" not in seen
        assert upstream.last.one("X-Auth-User-Id") is None


@ENDABLE
async def test_the_app_s_keys_are_not_touched(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    mine = cookie(scenario.cookie)
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        before = await asyncio.to_thread(dump, redis, scenario)
        await ask(gateway.port, "GET", "/dashboard", mine)
        await ask(gateway.port, "DELETE", "/.gateway/sessions", mine | ORIGIN)
        await ask(gateway.port, "POST", "/.gateway/logout", mine | ORIGIN)

        assert await asyncio.to_thread(dump, redis, scenario) == before
        keys = redis.command_line("KEYS", "*")
        theirs = {key.encode() for key in scenario.redis.keys}
        assert isinstance(keys, list)
        assert all(key.startswith(b"gateway:") for key in {*keys} - theirs)


# --- what apps, and others, leave in Redis


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({}, "no_session", id="a-guest"),
        pytest.param({"user": {"id": None}}, "no_session", id="signed-out"),
        pytest.param({"user": {"id": {}}}, "session_unreadable", id="no-id"),
        pytest.param(b"", "session_unreadable", id="nothing-in-it"),
        pytest.param(b"\xff" * 100, "session_unreadable", id="no-text"),
        pytest.param(b'{"user": {"id": NaN}}', "session_unreadable", id="nan"),
        pytest.param(
            b'{"user": {"id": "a"}, "user": {"id": "b"}}',
            "session_unreadable",
            id="twice",
        ),
        pytest.param(
            b'{"user": {"id": "\\ud800"}}', "session_unreadable", id="lone-surrogate"
        ),
        pytest.param(
            b'{"user":' + b"[" * 8000 + b"]" * 8000 + b"}",
            "session_unreadable",
            id="deep",
        ),
        pytest.param(
            {"user": {"id": "u"}, "more": "x" * 16384},
            "session_unreadable",
            id="too-large",
        ),
        pytest.param(
            {"user": {"id": "u", "banned": True}}, "session_revoked", id="banned"
        ),
    ],
)
async def test_what_is_no_session_admits_no_request(
    custom: Gateway,
    upstream: RecordingUpstream,
    redis: Server,
    value: object,
    reason: str,
) -> None:
    await written(redis, value)

    reply = await ask(custom.port, "GET", "/dashboard", MINE | PROGRAM)

    assert (reply.status, reply.json()["reason"]) == (401, reason)
    assert not upstream.seen
    # Only what is certainly over takes its cookie with it.
    assert bool(reply.all("Set-Cookie")) is (reason == "session_revoked")


@pytest.mark.parametrize(
    "command",
    [
        ("HSET", f"sess:{SID}", "user", "u"),
        ("RPUSH", f"sess:{SID}", "u"),
        ("SADD", f"sess:{SID}", "u"),
    ],
    ids=lambda command: command[0],
)
async def test_a_key_of_another_type_is_unauthenticated(
    custom: Gateway, redis: Server, command: tuple[str, ...]
) -> None:
    await asyncio.to_thread(redis.command_line, *command)

    reply = await ask(custom.port, "GET", "/dashboard", MINE | PROGRAM)

    assert (reply.status, reply.json()["reason"]) == (401, "session_unreadable")


async def test_a_session_that_redis_does_not_know_keeps_its_cookie(
    custom: Gateway, upstream: RecordingUpstream
) -> None:
    """The app may know it from elsewhere: its cookie is not ours to take."""
    refused = await ask(custom.port, "GET", "/dashboard", MINE | BROWSER)
    passed = await ask(custom.port, "GET", "/", MINE)

    assert refused.status == 302
    assert "reason=unknown_session" in (refused.one("Location") or "")
    assert refused.all("Set-Cookie") == []
    assert passed.status == 200
    assert upstream.last.one("Cookie") == f"sid={SID}"


async def test_ten_megabytes_never_come(custom: Gateway, redis: Server) -> None:
    await written(redis, b'{"user": {"id": "u"}, "more": "' + b"x" * 10_000_000 + b'"}')
    before = await asyncio.to_thread(sent_by, redis)

    reply = await ask(custom.port, "GET", "/dashboard", MINE | PROGRAM)

    assert reply.json()["reason"] == "session_unreadable"
    assert await asyncio.to_thread(sent_by, redis) - before < 100_000


def sent_by(redis: Server) -> int:
    stats = redis.command_line("INFO", "stats")
    assert isinstance(stats, bytes)
    found = dict(line.split(b":", 1) for line in stats.splitlines() if b":" in line)
    return int(found[b"total_net_output_bytes"])


async def test_when_redis_is_away_no_user_is_signed_out(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    await written(redis, {"user": {"id": "u"}})
    config = custom_config(upstream.port) | {"redis": IMPATIENT}
    async with running_gateway(config, tmp_path, redis.url) as custom:
        before = await once_it_is_back(custom.port, "GET", "/dashboard", MINE)
        assert before.status == 200
        upstream.answer = sets_a_cookie(f"sid={'f' * 32}; Path=/")
        redis.freeze()
        try:
            closed = await ask(custom.port, "GET", "/dashboard", MINE | PROGRAM)
            open_ = await ask(custom.port, "GET", "/", MINE)
        finally:
            redis.thaw()

    assert (closed.status, closed.json()["reason"]) == (503, "store_unavailable")
    assert closed.all("Set-Cookie") == []
    # It could not be found out whether it was revoked, so the app does not see it;
    # and what the app then takes for a new visitor may not replace it.
    assert open_.status == 200
    assert upstream.last.one("Cookie") is None
    assert open_.all("Set-Cookie") == []


async def test_the_app_s_own_cookies_pass_as_it_wrote_them(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    lines = (
        f"sid={SID}; Path=/; HttpOnly; SameSite=Lax; Priority=High",
        "sid.sig=abc; path=/; expires=Wed, 21 Oct 2037 07:28:00 GMT",
        "theme=dark",
    )
    upstream.answer = sets_a_cookie(*lines)
    await written(redis, {"user": {"id": "u"}})

    reply = await ask(custom.port, "GET", "/dashboard", MINE)

    assert tuple(reply.all("Set-Cookie")) == lines


@pytest.mark.parametrize(
    "sent",
    [
        f"a=1; sid={SID}; sid={'f' * 32}",
        f"a=1, sid={SID}; sid={'f' * 32}",
        f'sid="{SID}"; a=1',
    ],
    ids=["twice", "behind-a-comma", "quoted"],
)
async def test_what_two_parsers_could_read_two_ways_reaches_no_app(
    custom: Gateway, upstream: RecordingUpstream, redis: Server, sent: str
) -> None:
    await written(redis, {"user": {"id": "u"}})

    refused = await ask(custom.port, "GET", "/dashboard", {"Cookie": sent} | PROGRAM)
    passed = await ask(custom.port, "GET", "/", {"Cookie": sent})

    assert (refused.status, refused.json()["reason"]) == (401, "malformed")
    assert passed.status == 200
    assert upstream.last.one("Cookie") is None


async def test_a_bearer_token_next_to_the_cookie_is_two_credentials(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """Better Auth's bearer plugin would take it in place of the cookie."""
    scenario = BY_ID["better_auth/default"]
    both = cookie(scenario.cookie) | {"Authorization": "Bearer somebody-else"}
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        refused = await ask(gateway.port, "GET", "/dashboard", both | PROGRAM)
        passed = await ask(gateway.port, "GET", "/", both)

        assert (refused.status, refused.json()["reason"]) == (401, "two_credentials")
        assert passed.status == 200
        seen = upstream.last.one("Cookie") or ""
        assert f"{scenario.settings.cookie_name}=" not in seen


async def test_what_only_looks_like_a_preflight_brings_no_session_to_the_app(
    custom: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    await written(redis, {"user": {"id": "u"}})
    requested = {
        "Cookie": f"theme=dark; sid={SID}",
        "Origin": "http://elsewhere.test",
        "Access-Control-Request-Method": "POST",
    }

    reply = await ask(custom.port, "OPTIONS", "/api/orders", requested)

    assert reply.status == 200
    assert upstream.last.one("Cookie") == "theme=dark"


# --- what is kept between two requests


@ENDABLE
async def test_the_plan_of_a_session_holds_until_its_record_changes(
    scenario: Scenario, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    async with gateway_for(scenario, upstream, redis, tmp_path) as gateway:
        plans = gateway.app.runtime.rules.session_plans
        made = []
        for _ in range(2):
            reply = await ask(
                gateway.port, "GET", "/dashboard", cookie(scenario.cookie)
            )
            assert reply.status == 200
            made.append(list(plans.values()))

        assert len(made[0]) == 1
        assert made[0][0] is made[1][0]

        redis.command_line("FLUSHALL")
        reply = await ask(gateway.port, "GET", "/dashboard", cookie(scenario.cookie))
        assert reply.status != 200
