"""What is away, slow, broken or hostile around the gateway, and what callers hear."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.reasons import ROWS, Reason
from gateway.sessions.cookie import new_token
from gateway.sessions.record_json import serialise
from tests.servers import PATIENCE, SOON, Server, free_port, valkey_server
from tests.sessions.opened import opened
from tests.sessions.samples import the_session
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    PROGRAM,
    Gateway,
    Line,
    RecordingUpstream,
    Reply,
    a_session,
    ask,
    base_config,
    connected,
    once_it_is_back,
    running_gateway,
    sign_in_header,
    stage,
)

KEPT = "gateway:session:"


@pytest.fixture
async def impatient(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    """A gateway that does not wait long for the store."""
    config = base_config(upstream.port) | {"redis": IMPATIENT}
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


@contextlib.contextmanager
def frozen(redis: Server) -> Iterator[None]:
    redis.freeze()
    try:
        yield
    finally:
        redis.thaw()
        # It is back when it answers, not when the signal is sent.
        assert redis.command_line("PING") == b"PONG"


async def timed(port: int, *what: Any, **how: Any) -> tuple[float, Reply]:
    began = time.monotonic()
    reply = await ask(port, *what, **how)
    return time.monotonic() - began, reply


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, reply.body
    assert int(reply.one("Retry-After") or 0) > 0
    assert reply.all("Set-Cookie") == []
    assert reply.one("Location") is None


# The session store


PROTECTED = [
    ("GET", "/dashboard"),
    ("POST", "/dashboard"),
    ("GET", "/admin"),
    ("GET", "/api/notes"),
    ("POST", "/.gateway/logout"),
    ("POST", "/.gateway/tenant"),
]


@pytest.mark.parametrize(("method", "target"), PROTECTED)
@pytest.mark.parametrize("caller", [BROWSER, PROGRAM], ids=["browser", "program"])
async def test_a_store_that_hangs_is_a_503_at_once_and_logs_no_user_out(
    impatient: Gateway,
    upstream: RecordingUpstream,
    redis: Server,
    method: str,
    target: str,
    caller: dict[str, str],
) -> None:
    cookie = {"Cookie": await impatient.sign_in()}

    with frozen(redis):
        took, reply = await timed(impatient.port, method, target, caller | cookie)
    after = await once_it_is_back(impatient.port, "GET", "/dashboard", PROGRAM | cookie)

    assert_unavailable(reply)
    assert took < SOON
    if caller is PROGRAM:
        assert reply.json()["reason"] == "store_unavailable"
    else:
        assert reply.one("Content-Type") == "text/html; charset=utf-8"
    if target == "/.gateway/logout":
        # Not done, it said; but what was asked for follows as soon as it can.
        assert after.status == 401
        assert after.json()["reason"] == "session_revoked"
        return
    assert after.status == 200
    assert [seen.target for seen in upstream.complete] == ["/dashboard"]


@pytest.mark.parametrize("target", ["/", "/static/x.css"])
async def test_a_store_that_hangs_leaves_public_routes_open_unauthenticated(
    impatient: Gateway, upstream: RecordingUpstream, redis: Server, target: str
) -> None:
    cookie = {"Cookie": await impatient.sign_in()}

    with frozen(redis):
        took, reply = await timed(impatient.port, "GET", target, BROWSER | cookie)

    assert reply.status == 200
    assert took < SOON
    assert reply.all("Set-Cookie") == []
    reported = {name.lower() for name, _ in upstream.last.headers}
    # A route that ignores sessions does not say why there is none.
    status = None if target.startswith("/static") else "unavailable"
    assert upstream.last.one("X-Auth-Status") == status
    assert {n for n in reported if n.startswith("x-auth-")} <= {"x-auth-status"}
    assert reported.isdisjoint({"cookie", "authorization"})


async def test_a_request_without_a_cookie_needs_no_store(
    gateway: Gateway, redis: Server
) -> None:
    with frozen(redis):
        refused = await ask(gateway.port, "GET", "/dashboard", PROGRAM)
        sign_in = await ask(gateway.port, "GET", "/auth/login", BROWSER)

    assert refused.status == 401
    assert sign_in.status == 200


async def test_an_outage_is_decided_in_time_for_many_at_once(
    impatient: Gateway, redis: Server
) -> None:
    # One after the other they would take twice as long as is waited here.
    cookies = [await impatient.sign_in() for _ in range(50)]

    with frozen(redis):
        outcomes = await asyncio.gather(
            *(
                timed(impatient.port, "GET", "/dashboard", {"Cookie": cookie})
                for cookie in cookies
            )
        )

    assert {reply.status for _, reply in outcomes} == {503}
    assert max(took for took, _ in outcomes) < SOON


async def test_a_store_that_refuses_connections_is_a_503_from_the_start(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    config = base_config(upstream.port)
    anonymous = f"redis://127.0.0.1:{free_port()}/0"
    cookie = {"Cookie": f"gateway_session={'A' * 43}"}

    async with running_gateway(config, tmp_path, anonymous) as gateway:
        took, protected = await timed(gateway.port, "GET", "/dashboard", cookie)
        public = await ask(gateway.port, "GET", "/", cookie)

    assert_unavailable(protected)
    assert took < SOON
    assert public.status == 200


async def test_a_store_that_died_and_came_back_is_used_again(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    listening = asyncio.Event()
    config = base_config(upstream.port)

    with valkey_server(tmp_path) as own:
        async with running_gateway(config, tmp_path, own.url) as gateway:
            old = {"Cookie": await gateway.sign_in()}
            own.stop()
            during = await ask(gateway.port, "GET", "/dashboard", old)
            gateway.app.store.watch(lambda _key, _reason: None, listening.set)
            own.start_again()
            lost = await ask(gateway.port, "GET", "/dashboard", PROGRAM | old)
            new = await gateway.sign_in()
            found = await ask(gateway.port, "GET", "/dashboard", {"Cookie": new})
            async with asyncio.timeout(PATIENCE):
                await listening.wait()

    assert_unavailable(during)
    # Its memory is gone, and it says so: that is an answer.
    assert (lost.status, lost.json()["reason"]) == (401, "unknown_session")
    assert found.status == 200


# Hostile records


def a_document(**changes: Any) -> dict[str, Any]:
    now = time.time()
    document: dict[str, Any] = json.loads(serialise(a_session(now)))
    return document | changes


def without(name: str) -> bytes:
    document = a_document()
    del document[name]
    return json.dumps(document).encode()


def but(**changes: Any) -> bytes:
    return json.dumps(a_document(**changes)).encode()


RECORDS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "not json": lambda: b'a:1:{s:2:"id"}',
    "pickle": lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "nul": lambda: b"\0" * 100,
    "not utf-8": lambda: but().replace(b"grace", b"gr\xffce"),
    "null": lambda: b"null",
    "a list": lambda: b"[]",
    "a number": lambda: b"1e999",
    "a string": lambda: b'"id"',
    "two documents": lambda: but() * 2,
    "cut off": lambda: but()[:-1],
    "huge": lambda: but(extra="x" * (1 << 20)),
    "deep": lambda: b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep within": lambda: but(extra=json.loads("[" * 200 + "]" * 200)),
    "NaN": lambda: but().replace(b'"active": true', b'"active": NaN'),
    "infinite": lambda: but(expires_at=float("inf")),
    "no id": lambda: without("id"),
    "no active": lambda: without("active"),
    "no expires_at": lambda: without("expires_at"),
    "no identity": lambda: without("identity"),
    "id a number": lambda: but(id=7),
    "active a string": lambda: but(active="true"),
    "active a number": lambda: but(active=1),
    "expires_at a number": lambda: but(expires_at=9e99),
    "expires_at no date": lambda: but(expires_at="tomorrow"),
    "expires_at the year 99999": lambda: but(expires_at="99999-01-01T00:00:00Z"),
    "identity a string": lambda: but(identity="u_grace"),
    "identity without id": lambda: but(identity={"roles": ["admin"]}),
    "identity with a null id": lambda: but(identity={"id": None}),
    "roles a string": lambda: but(identity={"id": "u", "roles": "admin"}),
    "roles of numbers": lambda: but(identity={"id": "u", "roles": [1]}),
    "traits a list": lambda: but(identity={"id": "u", "traits": []}),
    "tenants a list": lambda: but(tenants=["t_acme"]),
    "tenant a string": lambda: but(tenants={"t_acme": "owner"}),
    "active tenant a list": lambda: but(active_tenant_id=["t_acme"]),
}


async def cookie_for(gateway: Gateway) -> tuple[str, str]:
    token = new_token(os.urandom(32))
    return f"{gateway.app.runtime.rules.cookie.name}={token.value}", token.key


@pytest.mark.parametrize("name", RECORDS)
async def test_bytes_that_are_no_session_sign_no_user_in(
    gateway: Gateway, upstream: RecordingUpstream, redis: Server, name: str
) -> None:
    cookie, key = await cookie_for(gateway)
    redis.command_line("SET", KEPT + key, RECORDS[name]())

    replies = [
        await ask(gateway.port, "GET", target, PROGRAM | {"Cookie": cookie})
        for target in ("/dashboard", "/admin", "/dashboard")
    ]
    public = await ask(gateway.port, "GET", "/", {"Cookie": cookie})

    assert [reply.status for reply in replies] == [401, 401, 401]
    assert {reply.json()["reason"] for reply in replies} == {"session_unreadable"}
    assert public.status == 200
    assert_anonymous_and_told_once(await gateway.logged(), upstream, key)


@pytest.mark.parametrize(
    "command",
    [("RPUSH", "x"), ("HSET", "id", "x"), ("SADD", "x"), ("ZADD", "1", "x")],
    ids=lambda command: command[0],
)
async def test_a_key_of_another_type_signs_no_user_in(
    gateway: Gateway, upstream: RecordingUpstream, redis: Server, command: Sequence[str]
) -> None:
    cookie, key = await cookie_for(gateway)
    good = {"Cookie": await gateway.sign_in()}
    redis.command_line(command[0], KEPT + key, *command[1:])

    # In one turn of the loop with good ones, whose answers are not to suffer.
    replies = await asyncio.gather(
        ask(gateway.port, "GET", "/dashboard", PROGRAM | {"Cookie": cookie}),
        ask(gateway.port, "GET", "/dashboard", PROGRAM | good),
        ask(gateway.port, "GET", "/", {"Cookie": cookie}),
    )

    assert [reply.status for reply in replies] == [401, 200, 200]
    assert not [line for line in await gateway.logged() if line["log.level"] == "error"]


def assert_anonymous_and_told_once(
    lines: list[dict[str, Any]], upstream: RecordingUpstream, key: str
) -> None:
    reported = {name.lower() for name, _ in upstream.last.headers}
    assert {name for name in reported if name.startswith("x-auth-")} == {
        "x-auth-status"
    }
    assert upstream.last.one("X-Auth-Status") == "unavailable"
    logged = [
        line
        for line in lines
        if line["log.level"] in {"warning", "error"}
        and line["message"] != "configuration warning"
    ]
    assert [line["message"] for line in logged] == ["unreadable session record"]
    assert key not in json.dumps(logged), "the key is the way to the session"


HOSTILE = 'a"b\r\nX-Auth-Role: admin\r\n\r\nGET /evil HTTP/1.1\r\n\0é\u2028😀'


async def test_a_hostile_identity_stays_within_its_header(
    gateway: Gateway, upstream: RecordingUpstream, redis: Server
) -> None:
    cookie, key = await cookie_for(gateway)
    record = but(
        identity={"id": "u_grace", "traits": {"email": HOSTILE}, "roles": ["member"]}
    )
    redis.command_line("SET", KEPT + key, record)

    reply = await ask(gateway.port, "GET", "/dashboard", {"Cookie": cookie})

    assert reply.status in {200, 401}
    assert upstream.errors == []
    for seen in upstream.seen:
        assert seen.target == "/dashboard"
        assert seen.one("X-Auth-Role") == "member"
        assert "\r" not in (seen.one("X-Auth-Email") or "")


# The upstream


@asynccontextmanager
async def before(
    script: Callable[[Line], Any],
    folder: Path,
    redis: Server,
    *,
    timeouts: dict[str, str] | None = None,
    store: dict[str, str] | None = None,
) -> AsyncIterator[Gateway]:
    async with stage(script) as playing:
        config = base_config(playing.port)
        config["redis"] |= store or {}
        config["upstreams"]["web"]["timeouts"] = timeouts or {}
        async with running_gateway(config, folder, redis.url) as gateway:
            yield gateway


BIG = b"X-Big: " + b"x" * 100_000
ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "garbage": b"\x16\x03\x01\x02 not http at all\r\n\r\n",
    "http/0.9": b"<h1>hello</h1>\r\n\r\n",
    "http/2": b"HTTP/2 200\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status 99": b"HTTP/1.1 099 Low\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 High\r\nContent-Length: 0\r\n\r\n",
    "a 101 that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + BIG + b"\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 500 + b"\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\n",
    "a coding we did not offer": b"HTTP/1.1 200 OK\r\n"
    b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "a folded length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 0\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a field without colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
    "100 for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_that_cannot_be_passed_on_is_a_502_and_sent_for_once(
    tmp_path: Path, redis: Server, name: str, method: str
) -> None:
    times = 0

    async def upstream(line: Line) -> None:
        nonlocal times
        await line.request()
        times += 1
        with contextlib.suppress(ConnectionError):
            await line.send(ANSWERS[name])

    async with before(upstream, tmp_path, redis) as gateway:
        body = b"once" if method == "POST" else b""
        reply = await ask(gateway.port, method, "/", PROGRAM, body)

    assert reply.status == 502
    assert reply.json()["reason"] == "upstream_bad_answer"
    assert reply.json()["detail"] == ROWS[Reason.UPSTREAM_BAD_ANSWER].sentence
    assert times == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_upstream_that_does_not_answer_in_time_is_a_504(
    tmp_path: Path, redis: Server, method: str
) -> None:
    times = 0

    async def upstream(line: Line) -> None:
        nonlocal times
        await line.request()
        times += 1
        await line.gone()

    short = {"response_headers": "300ms"}
    async with before(upstream, tmp_path, redis, timeouts=short) as gateway:
        body = b"once" if method == "POST" else b""
        reply = await ask(gateway.port, method, "/", PROGRAM, body)

    assert (reply.status, reply.json()["reason"]) == (504, "upstream_timeout")
    assert times == 1


async def test_an_upstream_that_refuses_connections_is_a_502(
    tmp_path: Path, redis: Server
) -> None:
    config = base_config(free_port())
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reported = await ask(gateway.port, "POST", "/", PROGRAM, b"once")
        shown = await ask(gateway.port, "GET", "/", BROWSER)

    assert (reported.status, reported.json()["reason"]) == (502, "upstream_unreachable")
    assert shown.status == 502
    assert shown.one("Content-Type") == "text/html; charset=utf-8"
    assert b"cannot be reached" in shown.body


@pytest.mark.parametrize(
    ("method", "body", "status", "times"),
    [("GET", b"", 200, 2), ("HEAD", b"", 200, 2), ("POST", b"once", 502, 1),
     ("POST", b"", 502, 1), ("PUT", b"once", 502, 1), ("DELETE", b"", 502, 1),
     ("GET", b"once", 502, 1)],
)  # fmt: skip
async def test_only_what_is_safe_is_sent_again_when_a_kept_connection_was_closing(
    tmp_path: Path,
    redis: Server,
    method: str,
    body: bytes,
    status: int,
    times: int,
) -> None:
    targets: list[str] = []

    async def upstream(line: Line) -> None:
        while True:
            seen = await line.request()
            targets.append(seen.target)
            if targets == ["/first", "/second"]:
                return  # closes without an answer
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with before(upstream, tmp_path, redis) as gateway:
        await ask(gateway.port, "GET", "/first")
        reply = await ask(gateway.port, method, "/second", PROGRAM, body)

    assert reply.status == status
    assert targets == ["/first"] + ["/second"] * times


async def test_a_client_that_sends_too_slowly_for_the_upstream_is_a_408(
    tmp_path: Path, redis: Server
) -> None:
    async def upstream(line: Line) -> None:
        await line.head()
        await line.gone()

    async with stage(upstream) as playing:
        config = base_config(playing.port)
        config["upstreams"]["web"]["timeouts"] = {"idle": "200ms"}
        async with (
            running_gateway(config, tmp_path, redis.url) as gateway,
            connected(gateway.port) as client,
        ):
            await client.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
            )
            reply = await client.reply()
            await asyncio.wait_for(asyncio.gather(*playing.played), PATIENCE)

    assert (reply.status, reply.json()["reason"]) == (408, "request_timeout")


# The sign-in hand-off

GOOD = {"identity": {"id": "u_grace", "traits": {}, "roles": ["member"]}}
HAND_OFFS = {
    "empty": [("X-Gateway-Sign-In", "")],
    "not base64": [("X-Gateway-Sign-In", "{}")],
    "not json": [("X-Gateway-Sign-In", "bm90IGpzb24")],
    "a list": [("X-Gateway-Sign-In", "W10")],
    "nobody": [("X-Gateway-Sign-In", sign_in_header({}))],
    "an id that is a list": [("X-Gateway-Sign-In", sign_in_header({"identity": {"id": [1]}}))],
    "roles in one string": [
        ("X-Gateway-Sign-In", sign_in_header({"identity": {"id": "u", "roles": "admin"}}))
    ],
    "a tenant that is not his": [
        ("X-Gateway-Sign-In", sign_in_header(GOOD | {"active_tenant_id": "t_acme"}))
    ],
    "tenants in a list": [("X-Gateway-Sign-In", sign_in_header(GOOD | {"tenants": ["t"]}))],
    "an aal of its own": [("X-Gateway-Sign-In", sign_in_header(GOOD | {"aal": "aal9"}))],
    "too long": [
        ("X-Gateway-Sign-In", sign_in_header(GOOD | {"extra": "x" * 60_000}))
    ],
    "twice": [("X-Gateway-Sign-In", sign_in_header(GOOD))] * 2,
    "in and out": [
        ("X-Gateway-Sign-In", sign_in_header(GOOD)), ("X-Gateway-Sign-Out", "this")
    ],
    "out of something": [("X-Gateway-Sign-Out", "everything")],
}  # fmt: skip


def handing(fields: Sequence[tuple[str, str]]) -> Callable[[Line], Any]:
    async def upstream(line: Line) -> None:
        await line.request()
        lines = [f"{name}: {value}" for name, value in fields]
        head = "\r\n".join(["HTTP/1.1 200 OK", *lines, "Content-Length: 2", "", "ok"])
        await line.send(head.encode())

    return upstream


def kept(redis: Server) -> int:
    found = redis.command_line("KEYS", KEPT + "*")
    assert isinstance(found, list)
    return len(found)


@pytest.mark.parametrize("name", HAND_OFFS)
async def test_a_hand_off_that_cannot_be_read_signs_no_user_in_or_out(
    tmp_path: Path, redis: Server, name: str
) -> None:
    async with before(handing(HAND_OFFS[name]), tmp_path, redis) as gateway:
        cookie = {"Cookie": await gateway.sign_in()}
        count = kept(redis)
        reply = await ask(gateway.port, "GET", "/auth/login?refresh=true", cookie)
        again = await ask(gateway.port, "GET", "/.gateway/nothing", cookie)
        still = await gateway.own_store.load(gateway.key_of(cookie["Cookie"]))

    assert reply.status == 502
    assert reply.json()["reason"] == "upstream_bad_answer"
    assert reply.all("Set-Cookie") + again.all("Set-Cookie") == []
    assert kept(redis) == count
    still = the_session(still)
    assert still.active


@pytest.mark.parametrize(
    "fields",
    [[("X-Gateway-Sign-In", sign_in_header(GOOD))], [("X-Gateway-Sign-Out", "all")]],
    ids=["in", "out"],
)
async def test_a_hand_off_while_the_store_is_away_is_a_503_and_no_cookie(
    tmp_path: Path, redis: Server, fields: Sequence[tuple[str, str]]
) -> None:
    async with before(handing(fields), tmp_path, redis, store=IMPATIENT) as gateway:
        cookie = {"Cookie": await gateway.sign_in()}
        with frozen(redis):
            took, reply = await timed(gateway.port, "POST", "/", cookie)
        async with opened(redis.url) as store, asyncio.timeout(PATIENCE):
            still = await store.load(gateway.key_of(cookie["Cookie"]))
            # What an app asked to be ended follows as soon as the store is back.
            while "Out" in fields[0][0] and the_session(still).active:
                await asyncio.sleep(0.02)
                still = await store.load(gateway.key_of(cookie["Cookie"]))

    assert_unavailable(reply)
    # The look-up of the public route, and then the hand-off: two outages.
    assert took < SOON
    assert reply.body != b"ok"
    still = the_session(still)
    assert still.active is ("Out" not in fields[0][0])


@pytest.mark.parametrize(
    "fields",
    [[("X-Gateway-Sign-In", sign_in_header(GOOD))], [("X-Gateway-Sign-Out", "all")],
     [("x-gateway-sign-in", "junk")]],
)  # fmt: skip
async def test_a_hand_off_from_who_may_not_is_taken_off_and_logged(
    tmp_path: Path, redis: Server, fields: Sequence[tuple[str, str]]
) -> None:
    async with stage(handing(fields)) as playing:
        config = base_config(playing.port)
        async with running_gateway(config, tmp_path, redis.url) as gateway:
            cookie = {"Cookie": await gateway.sign_in()}
            count = kept(redis)
            reply = await ask(gateway.port, "GET", "/api/notes", cookie)
            lines = await gateway.logged()

    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.all("Set-Cookie") == []
    assert not [n for n, _ in reply.headers if n.lower().startswith("x-gateway")]
    assert kept(redis) == count
    assert [line for line in lines if line["event.dataset"] == "gateway.audit"]
