"""Nobody is sent elsewhere: every place that redirects, every published shape."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from gateway.http.target import Target, parse_target
from tests.http.return_addresses import ALLOWED, SHAPES
from tests.servers import Server
from tests.walk.harness import (
    BROWSER,
    Gateway,
    RecordingUpstream,
    Reply,
    a_session,
    ask,
    base_config,
    running_gateway,
)

VALUES = sorted({value for shape in SHAPES.values() for value in shape if value})


@pytest.fixture
async def gateway(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> AsyncIterator[Gateway]:
    config = base_config(upstream.port)
    config["sign_in"]["allowed_return_urls"] = list(ALLOWED[:2])
    config["routes"] += [
        {
            "match": "/vault/**",
            "rule": "protected",
            "require": {"authenticated_within": "1s"},
            "upstream": "web",
        },
        {
            "match": "/tenants-only/**",
            "rule": "protected",
            "require": {"tenant": True},
            "upstream": "web",
        },
    ]
    async with running_gateway(config, tmp_path, redis.url) as running:
        yield running


def form(**fields: str) -> bytes:
    return "&".join(f"{n}={quote(v, safe='')}" for n, v in fields.items()).encode()


async def signed_out(gateway: Gateway, value: str) -> Reply:
    cookie = {"Cookie": await gateway.sign_in()}
    body = form(return_to=value)
    return await ask(gateway.port, "POST", "/.gateway/logout", BROWSER | cookie, body)


async def switched(gateway: Gateway, value: str) -> Reply:
    cookie = {"Cookie": await gateway.sign_in()}
    body = form(tenant_id="t_blue", return_to=value)
    return await ask(gateway.port, "POST", "/.gateway/tenant", BROWSER | cookie, body)


async def signed_out_by_the_sdk(gateway: Gateway, value: str) -> Reply:
    cookie = {"Cookie": await gateway.sign_in()}
    flow = await ask(
        gateway.port, "GET", "/.gateway/self-service/logout/browser", cookie
    )
    url = urlsplit(flow.json()["logout_url"])
    target = f"{url.path}?{url.query}&return_to={quote(value, safe='')}"
    return await ask(gateway.port, "GET", target, BROWSER | cookie)


async def planned_by_the_sdk(gateway: Gateway, value: str) -> Reply:
    cookie = {"Cookie": await gateway.sign_in()}
    target = f"/.gateway/self-service/logout/browser?return_to={quote(value, safe='')}"
    return await ask(gateway.port, "GET", target, cookie)


@pytest.mark.parametrize(
    "place", [signed_out, switched, signed_out_by_the_sdk, planned_by_the_sdk]
)
async def test_what_leads_elsewhere_is_a_400_and_changes_nothing(
    gateway: Gateway, place: Callable[[Gateway, str], Awaitable[Reply]]
) -> None:
    for value in VALUES:
        reply = await place(gateway, value)

        assert (reply.status, reply.one("Location")) == (400, None), value
        assert not reply.all("Set-Cookie"), value
        assert b"evil" not in reply.body, value


async def test_who_is_signed_in_already_goes_home_instead(gateway: Gateway) -> None:
    cookie = {"Cookie": await gateway.sign_in()}

    for value in VALUES:
        target = f"/auth/login?return_to={quote(value, safe='')}"
        reply = await ask(gateway.port, "GET", target, BROWSER | cookie)

        assert (reply.status, reply.one("Location")) == (302, "/dashboard"), value


@pytest.mark.parametrize("prefix", ["", "/dashboard", "/vault", "/tenants-only"])
async def test_a_request_itself_never_becomes_an_address_elsewhere(
    gateway: Gateway, upstream: RecordingUpstream, prefix: str
) -> None:
    """Whatever is asked for, the redirect leads to our page, and from there here."""
    anonymous = {"Cookie": await gateway.sign_in(tenants={}, active_tenant=None)}
    stale = await gateway.sign_in(a_session(time.time() - 3600))
    whose = {"/tenants-only": anonymous, "/vault": {"Cookie": stale}}.get(prefix, {})
    redirects = 0
    for value in VALUES:
        target = f"{prefix}{value}"
        if not target.startswith("/") or any(c in target for c in " \t\n\v\x7f"):
            continue
        if not target.isascii():
            continue
        reply = await ask(gateway.port, "GET", target, BROWSER | whose)

        location = reply.one("Location")
        if location is None:
            assert reply.status in {200, 400, 404}, target
            continue
        redirects += 1
        found = urlsplit(location)
        assert (found.scheme, found.netloc) == ("", ""), location
        assert found.path in {"/auth/login", "/auth/onboarding"}
        (back,) = parse_qs(found.query)["return_to"]
        assert back.startswith(prefix)
        assert isinstance(parse_target(back), Target)
        assert not back.startswith(("//", "/\\"))
    assert redirects or not prefix
    assert not [seen for seen in upstream.seen if seen.target.startswith("//")]


async def test_addresses_of_our_own_and_listed_ones_are_gone_to(
    gateway: Gateway,
) -> None:
    for value in ("/bye?x=1", "http://gw.test/bye", "https://portal.example.com/a"):
        out = await signed_out(gateway, value)
        turned = await switched(gateway, value)
        sdk = await signed_out_by_the_sdk(gateway, value)

        assert [r.one("Location") for r in (out, turned, sdk)] == [value] * 3
        assert {r.status for r in (out, turned, sdk)} == {303}
