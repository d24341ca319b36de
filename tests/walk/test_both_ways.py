"""A request that waits is handled as one that does not: the same steps, the same outcome."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.proxy.upstream import Upstream
from gateway.server import request_reader
from gateway.sessions.redis.client import RedisClient
from tests.walk.harness import (
    BROWSER,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    Reply,
    an_admin,
    ask,
)

TARGETS = (
    "/", "/dashboard/a?b=c", "/admin/x", "/auth/login", "/auth/onboarding", "/api/notes",
    "/.gateway/nothing", "/.gateway/account", "/.gateway/session", "/a/../b", "/dashboard/%2F",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
# Each of them differs in every request.
IDS = frozenset(("x-request-id", "date", "traceparent"))
TIMES = ("@timestamp", "duration", "trace.id", "request.id", "client.port")


def wait_for_everything(patch: pytest.MonkeyPatch) -> None:
    """Let no look-up be sent without a task, no connection be idle, no body be whole."""
    patch.setattr(RedisClient, "send_now", lambda *_: None)
    patch.setattr(Upstream, "begin", lambda *_, **__: None)
    patch.setattr(request_reader, "read_plain", lambda *_: None)


def same(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(n, v) for n, v in headers if n.lower() not in IDS]


def replied(reply: Reply) -> tuple[Any, ...]:
    body = reply.body
    for given in reply.all("X-Request-Id"):
        body = body.replace(given.encode(), b"")
    return reply.status, same(reply.headers), body


def logged(line: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in line.items() if not n.endswith(TIMES)}


async def test_a_request_that_waits_ends_as_one_that_does_not(
    gateway: Gateway, upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(8)
    callers = [
        "",
        await gateway.sign_in(),
        await gateway.sign_in(**an_admin()),
        await gateway.sign_in(tenants={}, active_tenant=None),
        f"gateway_session={'A' * 43}",
        "gateway_session=short",
    ]
    warm = [await ask(gateway.port, "GET", "/dashboard", {"Cookie": callers[1]})]
    assert [reply.status for reply in warm] == [200]
    statuses = set()
    for _ in range(120):
        method, target = chance.choice(METHODS), chance.choice(TARGETS)
        headers = chance.choice((BROWSER, PROGRAM)) | {"Cookie": chance.choice(callers)}
        body = b"" if method in {"GET", "HEAD"} else chance.choice((b"", b"a=1"))
        found = []
        for waits in (False, True):
            before = len(upstream.complete), len(await gateway.logged())
            with monkeypatch.context() as patch:
                if waits:
                    wait_for_everything(patch)
                reply = await ask(gateway.port, method, target, headers, body)
                lines = (await gateway.logged())[before[1] :]
            seen = [
                (each.method, each.target, same(each.headers), each.body)
                for each in upstream.complete[before[0] :]
            ]
            found.append((replied(reply), seen, [logged(line) for line in lines]))
        assert found[0] == found[1]
        statuses.add(found[0][0][0])
    assert {200, 302, 303, 400, 401, 403, 404, 405} <= statuses
