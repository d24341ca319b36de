"""Every rule, every kind of caller: what comes back, on the wire."""

from pathlib import Path

import pytest

from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    an_admin,
    ask,
)


async def cookie_of(gateway: Gateway, who: str) -> dict[str, str]:
    match who:
        case "anonymous":
            return {}
        case "member":
            return {"Cookie": await gateway.sign_in()}
        case "admin":
            return {"Cookie": await gateway.sign_in(**an_admin())}
        case "homeless":
            return {"Cookie": await gateway.sign_in(tenants={}, active_tenant=None)}
        case "unknown":
            return {"Cookie": f"gateway_session={'A' * 43}"}
        case "malformed":
            return {"Cookie": "gateway_session=short"}
        case _:
            raise AssertionError(who)


LOGIN = "/auth/login?return_to=%s&reason=%s"
TABLE = [
    ("anonymous", BROWSER, "GET", "/", 200, None),
    ("anonymous", PROGRAM, "POST", "/", 200, None),
    ("member", BROWSER, "GET", "/", 200, None),
    (
        "anonymous",
        BROWSER,
        "GET",
        "/dashboard/a?b=c",
        302,
        LOGIN % ("/dashboard/a%3Fb%3Dc", "no_session"),
    ),
    (
        "anonymous",
        BROWSER,
        "POST",
        "/dashboard",
        303,
        LOGIN % ("/dashboard", "no_session"),
    ),
    ("anonymous", PROGRAM, "GET", "/dashboard", 401, None),
    (
        "unknown",
        BROWSER,
        "GET",
        "/dashboard",
        302,
        LOGIN % ("/dashboard", "unknown_session"),
    ),
    ("malformed", PROGRAM, "GET", "/dashboard", 401, None),
    ("member", BROWSER, "GET", "/dashboard", 200, None),
    ("member", BROWSER, "GET", "/admin", 403, None),
    ("member", PROGRAM, "GET", "/admin/x", 403, None),
    ("admin", BROWSER, "GET", "/admin/x", 200, None),
    ("anonymous", BROWSER, "GET", "/auth/login", 200, None),
    ("member", BROWSER, "GET", "/auth/login", 302, "/dashboard"),
    ("member", BROWSER, "GET", "/auth/login?return_to=/admin/x", 302, "/admin/x"),
    (
        "member",
        BROWSER,
        "GET",
        "/auth/login?return_to=//evil.example",
        302,
        "/dashboard",
    ),
    ("member", PROGRAM, "POST", "/auth/login", 403, None),
    ("member", BROWSER, "GET", "/auth/login?refresh=true", 200, None),
    ("homeless", BROWSER, "GET", "/auth/onboarding", 200, None),
    ("anonymous", BROWSER, "GET", "/api/notes", 401, None),
    ("member", PROGRAM, "GET", "/api/notes", 200, None),
    ("homeless", PROGRAM, "GET", "/api/notes", 403, None),
    (
        "homeless",
        BROWSER,
        "GET",
        "/api/notes",
        302,
        "/auth/onboarding?return_to=/api/notes&reason=tenant_missing",
    ),
    ("anonymous", PROGRAM, "GET", "/.gateway/nothing", 404, None),
    ("anonymous", PROGRAM, "GET", "/.gateway/logout", 405, None),
]


@pytest.mark.parametrize(
    ("who", "caller", "method", "target", "status", "location"),
    [
        pytest.param(
            *row,
            id=f"{row[0]}-{'browser' if row[1] is BROWSER else 'program'}-{row[2]}-{row[3]}",
        )
        for row in TABLE
    ],
)
async def test_the_answer_is_that_of_the_table(
    gateway: Gateway,
    upstream: RecordingUpstream,
    who: str,
    caller: dict[str, str],
    method: str,
    target: str,
    status: int,
    location: str | None,
) -> None:
    cookie = await cookie_of(gateway, who)

    reply = await ask(gateway.port, method, target, caller | cookie)

    assert reply.status == status, reply.body
    assert reply.one("Location") == location
    if status == 200:
        assert reply.json()["target"] in {target, target.removeprefix("/api")}
    assert len(upstream.complete) == (1 if status == 200 else 0)
    if status == 401:
        assert reply.one("WWW-Authenticate") == 'Session realm="gw.test"'
    if status >= 400 and caller is PROGRAM:
        problem = reply.json()
        assert reply.one("Content-Type") == "application/problem+json"
        assert problem["status"] == status
        assert problem["request_id"] == reply.one("X-Request-Id")


async def test_a_host_that_no_route_names_is_misdirected(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    from tests.walk.harness import base_config, running_gateway

    config = base_config(upstream.port)
    config["routes"] = [
        {
            "match": {"host": "gw.test", "path": "/a/**"},
            "rule": "public",
            "upstream": "web",
        }
    ]
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        ours = await ask(gateway.port, "GET", "/a")
        nothing = await ask(gateway.port, "GET", "/b", PROGRAM)
        foreign = await ask(gateway.port, "GET", "/a", PROGRAM, host="evil.test")

        assert (ours.status, nothing.status, foreign.status) == (200, 404, 421)
        assert foreign.json()["reason"] == "misdirected"
