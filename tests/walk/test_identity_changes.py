"""A change of an identity, as its open sessions meet it: real Redis, real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.servers import PATIENCE, Server, free_port
from tests.walk.harness import (
    ADMIN_TOKEN,
    PROGRAM,
    Gateway,
    RecordingUpstream,
    ask,
    base_config,
    running_gateway,
    sign_in_header,
)
from tests.walk.test_websocket import dial


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    await asyncio.to_thread(redis.command_line, "FLUSHALL")

    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        config = base_config(upstream.port)
        config["server"]["admin"] = f"127.0.0.1:{free_port()}"
        live = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config["upstreams"]["live"] = {"url": live}
        config["routes"] += [
            {
                "match": "/owners/**",
                "rule": "protected",
                "require": {"tenant_roles": ["owner"]},
                "upstream": "live",
            },
            {"match": "/live/**", "rule": "protected", "upstream": "live"},
            {"match": "/open/**", "rule": "public", "upstream": "live"},
            {
                "match": "/editors/**",
                "rule": "protected",
                "require": {"roles": ["editor"]},
                "upstream": "web",
            },
        ]
        async with running_gateway(config, tmp_path, redis.url) as running:
            yield running


async def change(gateway: Gateway, body: dict[str, Any]) -> dict[str, Any]:
    admin = gateway.app.loaded.config.server.admin
    async with (
        aiohttp.ClientSession() as client,
        client.patch(
            f"http://{admin}/admin/identities/u_grace",
            json=body,
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def get(gateway: Gateway, target: str, cookie: str) -> Any:
    return await ask(gateway.port, "GET", target, PROGRAM | {"Cookie": cookie})


async def test_the_next_request_has_the_new_roles_and_memberships(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    phone, laptop = await gateway.sign_in(), await gateway.sign_in()
    for cookie in (phone, laptop):
        assert (await get(gateway, "/editors/x", cookie)).status == 403
        assert (await get(gateway, "/api/x", cookie)).status == 200
        token = upstream.last.present("Authorization").partition(" ")[2]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["tenant_id"] == "t_acme"

    found = await change(gateway, {"roles": ["editor"], "remove_tenant": "t_acme"})

    assert found == {"changed": 2, "unchanged": 0}
    for cookie in (phone, laptop):
        assert (await get(gateway, "/editors/x", cookie)).status == 200
        assert upstream.last.one("X-Auth-Role") == "editor"
        assert upstream.last.one("X-Auth-Tenant-Id") is None
        refused = await get(gateway, "/api/x", cookie)
        assert (refused.status, refused.json()["reason"]) == (403, "tenant_missing")
    audited = [
        line
        for line in await gateway.logged()
        if line.get("event.action") == "user_updated"
    ]
    assert len(audited) == 1
    assert audited[0]["user.target.id"] == "u_grace"
    assert audited[0]["gateway.changed"] == ["roles", "tenants"]
    assert audited[0]["gateway.count"] == 2
    assert "grace@example.com" not in json.dumps(audited)


async def test_websockets_that_would_not_be_let_in_any_more_end_and_no_others(
    gateway: Gateway,
) -> None:
    cookie, other = (
        await gateway.sign_in(),
        await gateway.sign_in(active_tenant="t_blue"),
    )
    async with (
        dial(gateway, "/owners/x", cookie) as owner,
        dial(gateway, "/live/x", cookie) as of_acme,
        dial(gateway, "/open/x", cookie) as public_of_acme,
        dial(gateway, "/live/x", other) as of_blue,
        dial(gateway, "/open/x", None) as anonymous,
    ):
        tenants = {"t_acme": {"role": "member"}, "t_blue": {"role": "member"}}
        await change(gateway, {"tenants": tenants})
        await asyncio.wait_for(owner.wait_closed(), PATIENCE)
        for ws in (of_acme, public_of_acme, of_blue, anonymous):
            await ws.send("still here")
            assert await ws.recv() == "still here"
        await change(gateway, {"remove_tenant": "t_acme"})
        await asyncio.wait_for(of_acme.wait_closed(), PATIENCE)
        await asyncio.wait_for(public_of_acme.wait_closed(), PATIENCE)
        for ws in (of_blue, anonymous):
            await ws.send("still here")
            assert await ws.recv() == "still here"

    assert (owner.close_code, owner.close_reason) == (1008, "tenant_role_missing")
    assert (of_acme.close_code, of_acme.close_reason) == (1008, "not_a_member")
    assert public_of_acme.close_reason == "not_a_member"


async def test_an_app_has_the_other_sessions_follow(
    gateway: Gateway, upstream: RecordingUpstream
) -> None:
    async def signs_in(_seen: Any, writer: asyncio.StreamWriter) -> None:
        document = {
            "identity": {
                "id": "u_grace",
                "roles": ["editor"],
                "updated_at": "2027-01-15T08:00:00Z",
            },
            "tenants": {"t_blue": {"name": "Blue", "role": "owner"}},
            "everywhere": True,
        }
        writer.write(
            b"HTTP/1.1 204 No Content\r\nX-Gateway-Sign-In: "
            + sign_in_header(document).encode()
            + b"\r\n\r\n"
        )

    tablet, phone = await gateway.sign_in(), await gateway.sign_in()
    upstream.answer = signs_in
    answer = await get(gateway, "/auth-done", phone)
    assert answer.status == 204

    found = (await get(gateway, "/.gateway/sessions/whoami", tablet)).json()

    identity = found["identity"]
    assert identity["metadata_public"] == {
        "roles": ["editor"],
        "tenants": {"t_blue": {"name": "Blue", "role": "owner"}},
        "active_tenant_id": None,
    }
    assert identity["updated_at"] == "2027-01-15T08:00:00Z"
    assert "created_at" not in identity
    assert (await get(gateway, "/.gateway/sessions/whoami", phone)).status == 401
