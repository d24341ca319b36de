"""Advisories of class S: cookies, sessions and how they end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.sessions.record import Identity
from tests.attacks.rig import (
    Rig,
    advisory_config,
    advisory_rig,
    body_of,
    recording,
    refused,
    rig,
)
from tests.servers import PATIENCE, Server, free_port, valkey_server
from tests.sessions.samples import the_session
from tests.walk.harness import (
    ADMIN_TOKEN,
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Seen,
    a_session,
    answer_ok,
    ask,
    base_config,
    sign_in_header,
)

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

NAME = "gateway_session"
GRACE = {"identity": {"id": "u_grace", "roles": ["member"]}}
GUARDED = ["/dashboard", "/admin", "/api/x", "/second-factor"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    server = base_config(0)["server"] | {"admin": f"127.0.0.1:{free_port()}"}
    folder = tmp_path_factory.mktemp("sessions")
    async with advisory_rig(redis, folder, server=server) as running:
        yield running


def saying(*fields: str) -> Any:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{field}\r\n" for field in fields)
        writer.write(f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()

    return answer


def public_id(the_rig: Rig) -> str:
    found = the_rig.last.one("X-Auth-Session-Id")
    assert found
    return found


GARBAGE = [
    "x", "", "=", '""', "%00", "a" * 43, "a" * 44, "gs_" + "a" * 43, "A" * 4000, "{}",
    "null", "true", "undefined", "../../x", "' OR 1=1 --", "%n%n%n%s", "a b c", "*", "[a]",
]  # fmt: skip


@pytest.mark.parametrize("advisory", ["S1", "N30"])
async def test_a_malformed_cookie_is_refused_and_asks_nothing_odd_of_the_store(
    the_rig: Rig, redis: Server, advisory: str
) -> None:
    the_rig.forget()
    before = set(redis.command_line("KEYS", "*"))
    for value in [*GARBAGE, "$3 GET", "gateway:session:*"]:
        for target in GUARDED:
            reply = await the_rig.get(target, {"Cookie": f"{NAME}={value}"})
            assert reply.status == 401, (value, target)
    assert the_rig.seen == []
    assert set(redis.command_line("KEYS", "*")) == before


@pytest.mark.parametrize("advisory", ["S2", "A20"])
async def test_a_store_that_does_not_answer_is_neither_a_success_nor_a_sign_out(
    tmp_path: Path, advisory: str
) -> None:
    with valkey_server(tmp_path) as own:
        async with recording() as upstream:
            config = advisory_config(upstream.port)
            config["redis"] = IMPATIENT
            async with rig(config, upstream, tmp_path, own) as running:
                cookie = {"Cookie": await running.gateway.sign_in()}
                own.freeze()
                replies = [await running.get(target, cookie) for target in GUARDED]
                own.thaw()

                assert {reply.status for reply in replies} == {503}
                for reply in replies:
                    assert reply.one("Retry-After")
                    assert not reply.all("Set-Cookie")
                assert running.seen == []
                async with asyncio.timeout(PATIENCE):
                    while (
                        after := await running.get("/dashboard", cookie)
                    ).status == 503:
                        continue
                assert after.status == 200


async def test_s4_an_id_that_a_client_chose_is_no_session_and_an_old_one_is_over(
    the_rig: Rig, redis: Server
) -> None:
    the_rig.forget()
    chosen = "c" * 43
    expired = await the_rig.gateway.sign_in(a_session(time.time() - 90_000))
    before = set(redis.command_line("KEYS", "*"))

    invented = await the_rig.get("/open", {"Cookie": f"{NAME}={chosen}"})
    guarded = await the_rig.get("/dashboard", {"Cookie": f"{NAME}={chosen}"})
    replayed = await the_rig.get("/dashboard", {"Cookie": expired})

    assert invented.status == 200
    assert the_rig.last.one("X-Auth-User-Id") is None
    assert (guarded.status, replayed.status) == (401, 401)
    assert set(redis.command_line("KEYS", "*")) == before
    assert the_rig.targets == ["/open"]


async def test_s5_a_sign_in_begins_a_session_with_a_new_id(the_rig: Rig) -> None:
    the_rig.forget()
    planted = await the_rig.gateway.sign_in()
    await the_rig.get("/dashboard", {"Cookie": planted})
    old = public_id(the_rig)
    the_rig.upstream.answer = saying(f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")

    reply = await ask(
        the_rig.port, "POST", "/auth/login?refresh=true", BROWSER | {"Cookie": planted}
    )

    fresh = (reply.one("Set-Cookie") or "").partition(";")[0]
    the_rig.upstream.answer = answer_ok
    assert fresh
    assert fresh != planted
    after = await the_rig.get("/dashboard", {"Cookie": fresh})
    assert after.status == 200
    assert public_id(the_rig) != old
    assert (await the_rig.get("/dashboard", {"Cookie": planted})).status == 401


async def test_s9_after_a_refusal_nothing_of_the_upstream_is_sent(the_rig: Rig) -> None:
    the_rig.forget()
    the_rig.upstream.answer = saying("X-Protected: content")
    body = b"a=b" * 1000
    requested = [
        ("POST", "/dashboard", BROWSER),
        ("POST", "/admin", PROGRAM),
        ("GET", "/dashboard", BROWSER | {"Cookie": f"{NAME}=gone"}),
    ]

    for method, target, headers in requested:
        payload = body if method == "POST" else b""
        reply = await ask(the_rig.port, method, target, headers, payload)

        assert reply.status in {302, 303, 401}
        assert "x-protected" not in str(reply.headers).lower()
    assert the_rig.seen == []


async def test_s10_what_a_session_may_do_is_read_again(the_rig: Rig) -> None:
    cookie = await the_rig.gateway.sign_in(
        identity=Identity(id="u_ada", traits={}, roles=("admin",))
    )
    key = the_rig.gateway.key_of(cookie)
    store = the_rig.gateway.own_store
    first = await the_rig.get("/admin", {"Cookie": cookie})
    session = the_session(await store.load(key))
    lesser = Identity(id="u_ada", traits={}, roles=("member",))

    assert await store.replace(key, session, replaced(session, identity=lesser))

    second = await the_rig.get("/admin", {"Cookie": cookie})
    assert (first.status, second.status) == (200, 403)


@pytest.mark.parametrize("advisory", ["S12", "S14"])
async def test_a_session_that_was_ended_is_refused_at_the_next_request(
    the_rig: Rig, advisory: str
) -> None:
    the_rig.forget()
    cookie = await the_rig.gateway.sign_in()
    await the_rig.get("/dashboard", {"Cookie": cookie})
    match advisory:
        case "S12":
            ended = await the_rig.administer(
                "DELETE", f"/admin/sessions/{public_id(the_rig)}"
            )
        case _:
            ended = await the_rig.get(
                "/.gateway/logout", {"Cookie": cookie}, method="POST"
            )
    the_rig.forget()

    replies = [await the_rig.get(target, {"Cookie": cookie}) for target in GUARDED]

    assert ended.status in {200, 204, 303}
    assert {reply.status for reply in replies} == {401}
    assert the_rig.seen == []


async def test_s13_a_token_names_its_own_session(the_rig: Rig) -> None:
    claims = []
    for _ in range(2):
        cookie = await the_rig.gateway.sign_in()
        await the_rig.get("/dashboard", {"Cookie": cookie})
        stated = body_of(the_rig.last.one("X-Auth-Assertion") or "")
        assert stated["sid"] == public_id(the_rig)
        claims.append(stated)

    assert claims[0]["sid"] != claims[1]["sid"]
    assert claims[0]["jti"] != claims[1]["jti"]


async def test_s17_expiry_is_checked_when_a_session_is_used(
    the_rig: Rig, redis: Server
) -> None:
    cookie = await the_rig.gateway.sign_in(a_session(time.time() - 86_390))
    key = f"gateway:session:{the_rig.gateway.key_of(cookie)}"
    record = json.loads(redis.command_line("GET", key))
    assert (await the_rig.get("/dashboard", {"Cookie": cookie})).status == 200
    record["expires_at"] = "2020-01-01T00:00:00Z"
    redis.command_line("SET", key, json.dumps(record))  # and no TTL: nothing reaps it

    reply = await the_rig.get("/dashboard", {"Cookie": cookie})

    assert (reply.status, reply.json()["reason"]) == (401, "session_expired")


async def test_s18_requests_at_the_same_time_never_share_an_identity(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    people = {}
    for number in range(20):
        identity = Identity(id=f"u_{number}", traits={}, roles=("member",))
        people[number] = await the_rig.gateway.sign_in(identity=identity)

    async def many(number: int) -> None:
        for turn in range(10):
            await the_rig.get(f"/dashboard/{number}/{turn}", {"Cookie": people[number]})

    await asyncio.gather(*(many(number) for number in people))

    assert len(the_rig.targets) == 200
    for seen in the_rig.seen:
        who = f"u_{seen.target.split('/')[2]}"
        assert seen.one("X-Auth-User-Id") == who
        assert body_of(seen.one("X-Auth-Assertion") or "")["sub"] == who


async def test_s20_a_cookie_of_one_answer_is_in_no_other_request(the_rig: Rig) -> None:
    the_rig.forget()
    the_rig.upstream.answer = saying("Set-Cookie: up=1; Path=/")
    first = await the_rig.get("/open/a", {"Cookie": "who=ann"})
    the_rig.upstream.answer = answer_ok

    await the_rig.get("/open/b", {"Cookie": "who=bob"})
    await the_rig.get("/open/c")

    assert first.all("Set-Cookie") == ["up=1; Path=/"]
    assert [seen.one("Cookie") for seen in the_rig.seen] == ["who=ann", "who=bob", None]


async def test_s21_two_session_cookies_are_no_session(the_rig: Rig) -> None:
    the_rig.forget()
    one, two = await the_rig.gateway.sign_in(), await the_rig.gateway.sign_in()
    for headers in (
        [("Cookie", f"{one}; {two}")],
        [("Cookie", f"{one}; {NAME}=b"), ("Cookie", two)],
        [("Cookie", one), ("Cookie", one)],
    ):
        reply = await the_rig.get("/dashboard", headers)
        assert (reply.status, reply.json()["reason"]) == (401, "malformed")
    assert the_rig.seen == []

    await the_rig.get("/open", [("Cookie", f"{one}; {two}")])
    assert the_rig.last.one("X-Auth-User-Id") is None
    assert NAME not in (the_rig.last.one("Cookie") or "")


async def test_s22_a_refusal_asks_no_other_server_with_the_clients_credentials(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    secret = {"Authorization": "Bearer client-secret", "Cookie": f"{NAME}=x; own=1"}

    for headers in (BROWSER, PROGRAM):
        for target in ("/dashboard", "/admin", "/nowhere/../x", "/api/x"):
            await ask(the_rig.port, "GET", target, headers | secret)

    assert the_rig.upstream.seen == []


WRONG = [
    "",
    ADMIN_TOKEN[:-1],
    ADMIN_TOKEN + "0",
    ADMIN_TOKEN.upper(),
    ADMIN_TOKEN[1:],
]


@pytest.mark.parametrize("token", WRONG)
async def test_s24_nothing_but_the_whole_admin_token_is_accepted(
    the_rig: Rig, token: str
) -> None:
    reply = await the_rig.administer("GET", "/admin/identities/u_grace/sessions", token)
    whole = await the_rig.administer("GET", "/admin/identities/u_grace/sessions")

    assert (reply.status, whole.status) == (401, 200)


async def test_s25_an_extension_that_loses_against_a_sign_out_revives_nothing(
    redis: Server, tmp_path: Path
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target == "/dashboard/slow":
            entered.set()
            await leave.wait()
        await answer_ok(seen, writer)

    sessions = {"lifespan": "2h", "extend_within": "119m"}
    async with advisory_rig(redis, tmp_path, sessions=sessions) as running:
        running.upstream.answer = slow
        session = a_session(time.time() - 86_400 + 600)
        cookie = {"Cookie": await running.gateway.sign_in(session)}
        racing = asyncio.create_task(running.get("/dashboard/slow", cookie))
        await entered.wait()
        gone = await running.get("/.gateway/logout", cookie, method="POST")
        leave.set()
        await racing

        after = [await running.get("/dashboard", cookie) for _ in range(3)]

    assert gone.status in {204, 303}
    assert {reply.status for reply in after} == {401}


async def test_s26_a_cookie_that_was_planted_is_worthless_after_the_sign_in(
    the_rig: Rig,
) -> None:
    the_rig.forget()
    attackers = await the_rig.gateway.sign_in(
        identity=Identity(id="u_mallory", traits={}, roles=("member",))
    )
    the_rig.upstream.answer = saying(f"X-Gateway-Sign-In: {sign_in_header(GRACE)}")
    reply = await ask(
        the_rig.port,
        "POST",
        "/auth/login?refresh=true",
        BROWSER | {"Cookie": attackers},
    )
    the_rig.upstream.answer = answer_ok
    victims = (reply.one("Set-Cookie") or "").partition(";")[0]

    stolen = await the_rig.get("/dashboard", {"Cookie": attackers})
    await the_rig.get("/dashboard", {"Cookie": victims})

    assert refused(stolen, 401)
    assert the_rig.last.one("X-Auth-User-Id") == "u_grace"
