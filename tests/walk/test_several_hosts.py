"""Several hosts, one sign-in: the way back leads to the app that was asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.servers import Server
from tests.walk.harness import (
    Gateway,
    RecordingUpstream,
    Reply,
    base_config,
    connected,
    running_gateway,
)

AUTH, WIKI = "auth.example.test", "wiki.example.test"


def config_of(port: int) -> dict[str, Any]:
    config = base_config(port)
    config["server"]["public_url"] = f"http://{AUTH}"
    config["sessions"]["cookie"] = {"domain": "example.test"}
    config["sign_in"] = {
        "url": f"http://{AUTH}/login",
        "home": "/home",
        "no_tenant": f"http://{AUTH}/choose",
        "step_up": f"http://{AUTH}/login?again=1",
        "allowed_return_urls": ["https://*.partner.test"],
    }
    rule = "protected"
    config["routes"] = [
        {
            "match": {"host": AUTH, "path": "/**"},
            "rule": "auth-redirect",
            "upstream": "web",
        },
        {"match": {"host": WIKI, "path": "/**"}, "rule": rule, "upstream": "web"},
        {
            "match": {"host": "*.tenants.test", "path": "/**"},
            "rule": rule,
            "upstream": "web",
        },
        {
            "match": {"host": WIKI, "path": "/vault"},
            "rule": rule,
            "require": {"authenticated_within": "1s"},
            "upstream": "web",
        },
        {
            "match": {"host": WIKI, "path": "/team"},
            "rule": rule,
            "require": {"tenant": True},
            "upstream": "web",
        },
        {"match": "/any/**", "rule": rule, "upstream": "web"},
    ]
    return config


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    async with running_gateway(
        config_of(upstream.port), tmp_path, redis.url
    ) as running:
        yield running


async def sent(
    gateway: Gateway,
    host: str,
    target: str,
    cookie: str = "",
    body: bytes | None = None,
) -> Reply:
    lines = [
        f"{'GET' if body is None else 'POST'} {target} HTTP/1.1",
        f"Host: {host}",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: same-origin",
        *([f"Cookie: {cookie}"] if cookie else []),
        *([] if body is None else [f"Content-Length: {len(body)}"]),
    ]
    async with connected(gateway.port) as client:
        await client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return await client.reply("GET")


def back_of(reply: Reply) -> str:
    location = urlsplit(reply.one("Location") or "")
    return parse_qs(location.query)["return_to"][0]


BACK = [
    pytest.param(WIKI, "/a?b=c", f"http://{WIKI}/a?b=c", id="a-route's-host"),
    pytest.param("x.tenants.test", "/a", "http://x.tenants.test/a", id="wildcard"),
    # hostile: a Host that no route names is not repeated
    pytest.param("evil.test", "/any/a", f"http://{AUTH}/any/a", id="unknown-host"),
    pytest.param(f"{WIKI}:8080", "/a", f"http://{AUTH}/a", id="another-port"),
]


@pytest.mark.parametrize(("host", "target", "back"), BACK)
async def test_the_way_back_is_absolute_from_another_host(
    gateway: Gateway, host: str, target: str, back: str
) -> None:
    reply = await sent(gateway, host, target)

    assert (reply.status, back_of(reply)) == (302, back)
    assert (reply.one("Location") or "").startswith(f"http://{AUTH}/login?")


async def test_who_is_signed_in_is_led_back_to_the_app(gateway: Gateway) -> None:
    challenge = await sent(gateway, WIKI, "/a?u=http://x")
    location = urlsplit(challenge.one("Location") or "")

    cookie = await gateway.sign_in()
    reply = await sent(gateway, AUTH, f"{location.path}?{location.query}", cookie)

    assert reply.one("Location") == f"http://{WIKI}/a?u=http:%2F%2Fx"


PLACES = [
    (f"http://{WIKI}/x", True),
    ("http://a.tenants.test/", True),
    ("https://a.partner.test/x", True),
    (f"http://{AUTH}/", True),
    ("/x", True),
    ("https://a.b.partner.test/", False),
    ("https://partner.test/", False),
    ("http://tenants.test/", False),
    (f"https://{WIKI}/x", False),
    (f"http://{WIKI}:81/", False),
    (f"http://{WIKI}.evil.test/", False),
    (f"http://evil.test/{WIKI}", False),
    (f"http://{WIKI}@evil.test/", False),
]


@pytest.mark.parametrize(("place", "safe"), PLACES)
async def test_a_return_address_is_checked_everywhere(
    gateway: Gateway, place: str, safe: bool
) -> None:
    cookie = await gateway.sign_in()
    wanted = quote(place, safe="")
    form = f"return_to={wanted}".encode()

    signed_in = await sent(gateway, AUTH, f"/login?return_to={wanted}", cookie)
    switched = await sent(
        gateway, WIKI, "/.gateway/tenant", cookie, b"tenant_id=t_blue&" + form
    )
    signed_out = await sent(gateway, WIKI, "/.gateway/logout", cookie, form)

    assert signed_in.one("Location") == (place if safe else "/home")
    assert switched.status == signed_out.status == (303 if safe else 400)
    if safe:
        assert switched.one("Location") == signed_out.one("Location") == place


async def test_step_up_and_the_choice_of_a_tenant_lead_back_too(
    gateway: Gateway,
) -> None:
    member = await gateway.sign_in()
    lonely = await gateway.sign_in(tenants={}, active_tenant=None)
    team = await sent(gateway, WIKI, "/team", lonely)

    assert back_of(team) == f"http://{WIKI}/team"
    # The page is reached by a signed-in user, and is no way home.
    page = urlsplit(team.one("Location") or "")
    chosen = await sent(gateway, AUTH, f"{page.path}?{page.query}", lonely)
    assert chosen.status == 200
    assert (await sent(gateway, AUTH, "/choose-not", member)).status == 302


async def test_a_sign_in_page_that_is_protected_is_no_circle(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_of(upstream.port)
    config["routes"][0]["rule"] = "protected"
    async with running_gateway(config, tmp_path, redis.url) as gateway:
        reply = await sent(gateway, AUTH, "/login")
        elsewhere = await sent(gateway, WIKI, "/login")

    assert (reply.status, elsewhere.status) == (401, 302)
