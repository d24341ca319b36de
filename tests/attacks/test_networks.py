"""A route for some networks only, through real sockets: who gets in, and how."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PATIENCE, Server
from tests.walk.harness import (
    BROWSER,
    IMPATIENT,
    PROGRAM,
    RecordingUpstream,
    ask,
    base_config,
    parse,
    running_gateway,
)

pytestmark = pytest.mark.walk

OFFICE = "192.0.2.0/24"


def office(port: int, *, trusted: bool = True, **route: Any) -> dict[str, Any]:
    """A configuration whose only route is for the office."""
    config = base_config(port)
    config["server"]["trusted_proxies"] = ["127.0.0.1"] if trusted else []
    config["routes"] = [
        {
            "match": "/**",
            "rule": "public",
            "upstream": "web",
            "require": {"networks": [OFFICE]},
        }
        | route
    ]
    return config


@pytest.mark.parametrize(
    ("trusted", "headers", "status"),
    [
        (True, {"X-Forwarded-For": "192.0.2.9"}, 200),
        (True, {"Forwarded": 'for="192.0.2.9:4711"'}, 200),
        (True, {"X-Forwarded-For": "::ffff:192.0.2.9"}, 200),
        (True, {"X-Forwarded-For": "192.0.2.9, 198.51.100.7"}, 403),
        (True, {"X-Forwarded-For": "198.51.100.7"}, 403),
        (True, {"X-Forwarded-For": "192.0.2.9, unknown"}, 403),
        (True, {"X-Forwarded-Proto": "https"}, 403),
        (True, {}, 403),
        (False, {"X-Forwarded-For": "192.0.2.9"}, 403),
        (False, {"Forwarded": "for=192.0.2.9"}, 403),
        (False, {"X-Real-IP": "192.0.2.9"}, 403),
    ],
)
async def test_only_a_client_of_the_network_reaches_the_upstream(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    trusted: bool,
    headers: dict[str, str],
    status: int,
) -> None:
    config = office(upstream.port, trusted=trusted)

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await ask(gateway.port, headers=PROGRAM | headers)

    assert reply.status == status
    assert len(upstream.seen) == (status == 200)
    if status == 403:
        assert reply.json()["reason"] == "network_not_allowed"


@pytest.mark.parametrize("rule", ["public", "protected", "admin-only", "auth-redirect"])
async def test_no_rule_lets_a_client_of_another_network_in(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, rule: str
) -> None:
    config = office(upstream.port, rule=rule, preflight="pass")

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        requested = [
            await ask(gateway.port, headers=headers, method=method)
            for method, headers in (
                ("GET", BROWSER),
                ("GET", BROWSER | {"Cookie": cookie}),
                ("POST", PROGRAM),
                (
                    "OPTIONS",
                    {"Origin": "http://x", "Access-Control-Request-Method": "PUT"},
                ),
                (
                    "GET",
                    {
                        "Connection": "Upgrade",
                        "Upgrade": "websocket",
                        "Sec-WebSocket-Version": "13",
                        "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==",
                        "Cookie": cookie,
                    },
                ),
            )
        ]

    assert [reply.status for reply in requested] == [403] * 5
    assert upstream.seen == []
    assert b"<html" in requested[0].body
    assert all(reply.all("Set-Cookie") == [] for reply in requested)


async def test_a_client_of_another_network_is_refused_without_asking_redis(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = office(upstream.port, rule="protected")
    config["redis"] = IMPATIENT
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        cookie = await gateway.sign_in()
        await gateway.app.store.close()

        reply = await ask(gateway.port, headers=PROGRAM | {"Cookie": cookie})

    assert reply.status == 403


async def test_a_hidden_route_answers_another_network_as_if_there_were_none(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = office(upstream.port, forbidden="404")

    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await ask(gateway.port, headers=PROGRAM)

    assert (reply.status, reply.json()["reason"]) == (404, "no_route")


@pytest.mark.parametrize(
    ("field", "status"), [("X-Forwarded-For: 192.0.2.9\r\n", 200), ("", 403)]
)
async def test_behind_a_unix_socket_the_proxy_must_name_the_client(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    field: str,
    status: int,
) -> None:
    socket = tmp_path / "gateway.sock"
    config = office(upstream.port, trusted=False)
    config["server"]["listen"] = ["127.0.0.1:0", f"unix:{socket}"]

    async with running_gateway(config, tmp_path, redis.url):
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(
            f"GET / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n{field}\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            raw = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert parse(raw, "GET").status == status
