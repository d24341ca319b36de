"""Several apps behind one gateway, each told in its own headers and under its own prefix."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.sessions.record import Identity
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Reply,
    Seen,
    ask,
    base_config,
    running_gateway,
)

ZOE = Identity(
    id="u_zoe", traits={"name": "Zo\u00eb", "email": "z@x"}, roles=("a,admin", "b")
)


@pytest.fixture
async def apps(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = base_config(upstream.port)
    url = f"http://127.0.0.1:{upstream.port}"
    config["upstreams"] |= {
        "grafana": {
            "url": url,
            "identity_headers": "grafana",
            "identity_encoding": "utf-8",
        },
        "wiki": {
            "url": url,
            "identity_headers": {
                "X-Wiki": "{identity.roles}",
                "X-Big": "{identity.traits.big}",
            },
            "identity_lists": "json",
            "strip_prefix": "/wiki",
        },
        "raw": {"url": url, "strip_prefix": "/raw", "restore_prefix": False},
    }
    config["routes"] += [
        {"match": f"/{name}/**", "rule": "protected", "upstream": name}
        for name in ("grafana", "wiki", "raw")
    ]
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


async def asked(
    apps: Gateway,
    path: str,
    identity: Identity = ZOE,
    more: Mapping[str, str] | None = None,
) -> Reply:
    cookie = {"Cookie": await apps.sign_in(identity=identity)}
    return await ask(apps.port, "GET", path, BROWSER | cookie | dict(more or {}))


async def test_each_app_gets_the_identity_in_its_own_headers(
    apps: Gateway, upstream: RecordingUpstream
) -> None:
    forged = {"X-Wiki": "root", "X-WEBAUTH-USER": "root", "X_Wiki": "root"}
    await asked(apps, "/grafana/x", more=forged)
    grafana = upstream.last
    await asked(apps, "/wiki/x", more=forged)
    wiki = upstream.last
    await asked(apps, "/dashboard", more=forged)
    web = upstream.last

    assert grafana.one("X-WEBAUTH-USER") == "z@x"
    assert grafana.one("X-WEBAUTH-NAME") == "Zo\u00eb".encode().decode("latin-1")
    assert grafana.one("X-WEBAUTH-GROUPS") == "a%2Cadmin,b"
    assert grafana.one("X-Auth-User-Id") is None
    assert grafana.all("X-Wiki") + grafana.all("X_Wiki") == []
    assert wiki.one("X-Wiki") == '["a,admin","b"]'
    assert wiki.all("X-WEBAUTH-USER") == []
    assert web.one("X-Auth-Role") == "a%2Cadmin,b"
    assert web.all("X-Wiki") + web.all("X-WEBAUTH-USER") == []


async def test_a_header_that_cannot_be_sent_is_logged_once(apps: Gateway) -> None:
    big = Identity(id="u", traits={"big": "x" * 9000})
    for _ in range(3):
        await asked(apps, "/wiki/x", big)

    lines = [
        line
        for line in await apps.logged()
        if line["message"] == "identity header not sent"
    ]
    assert [(line["upstream"], line["header"]) for line in lines] == [("wiki", "X-Big")]
    assert "x" * 100 not in str(lines)


async def test_an_app_below_a_prefix_is_reached_at_its_own_links(
    apps: Gateway, upstream: RecordingUpstream
) -> None:
    async def answer(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: /login?next=/x\r\nContent-Length: 0\r\n"
            b"Set-Cookie: wiki=1; Path=/; HttpOnly\r\nSet-Cookie: b=2\r\n\r\n"
        )

    upstream.answer = answer
    reply = await asked(apps, "/wiki/page", more={"X-Forwarded-Prefix": "/evil"})
    seen = upstream.last
    plain = await asked(apps, "/raw/page")

    assert (seen.target, seen.one("X-Forwarded-Prefix")) == ("/page", "/wiki")
    assert reply.one("Location") == "/wiki/login?next=/x"
    assert reply.all("Set-Cookie") == ["wiki=1; Path=/wiki; HttpOnly", "b=2"]
    assert upstream.last.one("X-Forwarded-Prefix") == "/raw"
    assert plain.one("Location") == "/login?next=/x"
    await asked(apps, "/dashboard")
    assert upstream.last.one("X-Forwarded-Prefix") is None


@pytest.mark.parametrize("sign", ["%2F", "%25", ";"])
async def test_a_refused_path_is_explained_in_the_log(apps: Gateway, sign: str) -> None:
    reply = await asked(apps, f"/wiki/a{sign}b")

    (line,) = [line for line in await apps.logged() if "error.message" in line]
    assert reply.status == 400
    assert f"a{sign}b" not in reply.body.decode()
    assert "path_allows" not in reply.body.decode()
    assert sign in line["error.message"]
    assert "path_allows" in line["error.message"]
