"""Access tokens that npm's `oidc-provider` issues to a program, as JWT (RFC 9068)."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.oidc.real import SECRET, RealProvider
from tests.oidc.test_real_provider import config_of
from tests.servers import Server
from tests.walk.harness import Gateway, RecordingUpstream, ask, running_gateway

pytestmark = [pytest.mark.needs("node", "npm"), pytest.mark.walk]

API = "https://api.example.com"


@pytest.fixture
async def gateway(
    real: RealProvider, upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = config_of(
        real, upstream.port, accept={"audience": API}, identity={"roles": "{groups}"}
    )
    for route in config["routes"]:
        if route["match"] == "/api/**":
            route["credentials"] = ["cookie", "bearer"]
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


async def issued(real: RealProvider, **more: str) -> str:
    """Get an access token as a program does: by client credentials."""
    form = {"grant_type": "client_credentials", "scope": "items"} | more
    basic = b64encode(f"job:{SECRET}".encode()).decode()
    headers = {
        "Authorization": f"Basic {basic}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode(form).encode()
    reply = await ask(real.port, "POST", "/token", headers, body, host=real.host)
    assert reply.status == 200, reply.body
    token: str = reply.json()["access_token"]
    return token


async def reached(gateway: Gateway, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    reply = await ask(gateway.port, "GET", "/api/notes", headers)
    return reply.status, "" if reply.status == 200 else reply.json()["reason"]


async def test_a_program_reaches_the_api_and_only_with_the_token_for_it(
    gateway: Gateway, real: RealProvider, upstream: RecordingUpstream
) -> None:
    assert await reached(gateway, await issued(real, resource=API)) == (200, "")
    assert upstream.last.one("X-Auth-User-Id") == "job"
    assert upstream.last.one("X-Auth-Role") == "staff"
    assert upstream.last.one("X-Auth-Tenant-Id") == "acme"

    other = await issued(real, resource="https://other.example.com")
    assert await reached(gateway, other) == (401, "token_invalid")
    opaque = await issued(real, scope="")
    assert await reached(gateway, opaque) == (401, "malformed")


async def test_a_rotation_of_its_keys_is_no_error(
    gateway: Gateway, real: RealProvider
) -> None:
    old = await issued(real, resource=API)
    assert await reached(gateway, old) == (200, "")
    await real.control("rotate")

    assert await reached(gateway, await issued(real, resource=API)) == (200, "")
    assert await reached(gateway, old) == (200, "")
