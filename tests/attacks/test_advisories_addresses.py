"""Advisories of class X: who is calling from where, and by which name."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.rig import (
    Rig,
    advisory_config,
    advisory_rig,
    recording,
    refused,
    rig,
)
from tests.servers import Server
from tests.walk.harness import BROWSER, base_config

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    async with advisory_rig(redis, tmp_path_factory.mktemp("addresses")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    """A gateway that trusts the proxy from which all of these requests come."""
    server = base_config(0)["server"] | {"trusted_proxies": ["127.0.0.0/8"]}
    folder = tmp_path_factory.mktemp("behind")
    async with advisory_rig(redis, folder, server=server) as running:
        yield running


CLAIMS = {
    "X1": {"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1"},
    "X6": {"X-Forwarded-For": "192.168.0.9", "X-Envoy-Internal": "true"},
    "X9": {
        "X-Forwarded-For": "10.0.0.1",
        "True-Client-IP": "10.0.0.1",
        "CF-Connecting-IP": "10.0.0.1",
        "X-Real-IP": "10.0.0.1",
        "X-Client-IP": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
    },
}


@pytest.mark.parametrize("advisory", CLAIMS)
async def test_a_direct_client_does_not_choose_its_address(
    house: Rig, advisory: str
) -> None:
    house.forget()

    await house.get("/open", CLAIMS[advisory])

    assert house.last.one("X-Forwarded-For") == "127.0.0.1"
    said = [value for _, value in house.last.headers]
    assert not [value for value in said if value in CLAIMS[advisory].values()]
    line = [each for each in await house.gateway.logged() if "client.address" in each][
        -1
    ]
    assert line["client.address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "chain", ["a", "10.0.0.999", "", ", ,", "unknown", "[::1", "::1%x"]
)
async def test_x2_an_address_that_is_none_skips_nothing(
    behind: Rig, chain: str
) -> None:
    behind.forget()

    for target in ("/dashboard", "/admin", "/api/x"):
        reply = await behind.get(target, {"X-Forwarded-For": chain})
        assert reply.status in {400, 401}, target
    assert behind.seen == []

    reply = await behind.get("/open", {"X-Forwarded-For": chain})
    assert reply.status == 400 or behind.last.one("X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize("host", ["a;for=1.2.3.4", "a, b", 'a";for="b', "a b", "a,b"])
async def test_x4_a_host_that_is_none_is_refused(house: Rig, host: str) -> None:
    house.forget()

    assert refused(await house.get("/open", host=host), 400)
    assert house.seen == []


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-Ssl"]
)
async def test_x5_the_scheme_is_that_of_the_connection(house: Rig, name: str) -> None:
    house.forget()

    await house.get("/open", {name: "https"})

    assert house.last.one("X-Forwarded-Proto") == "http"


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "Forwarded"]
)
async def test_x8_no_link_leads_to_a_host_that_a_client_named(
    house: Rig, name: str
) -> None:
    house.forget()
    evil = {name: "host=evil.test" if name == "Forwarded" else "evil.test"}

    sent = await house.get("/dashboard", [*BROWSER.items(), *evil.items()])
    await house.get("/open", evil)

    assert sent.status == 302
    assert (sent.one("Location") or "").startswith("/auth/login?")
    assert "evil" not in str(sent.headers) + sent.body.decode()
    assert house.last.one("X-Forwarded-Host") == "gw.test"
    assert "evil" not in str(house.last.headers)


async def test_x10_a_mapped_address_is_the_address_itself(
    redis: Server, tmp_path: Path
) -> None:
    async with recording() as upstream:
        config = advisory_config(upstream.port)
        config["server"]["trusted_proxies"] = ["127.0.0.0/8", "10.0.0.0/8"]
        async with rig(config, upstream, tmp_path, redis) as running:
            for chain in ("192.0.2.1, ::ffff:10.0.0.7", "192.0.2.1, 10.0.0.7"):
                running.forget()
                await running.get("/open", {"X-Forwarded-For": chain})
                line = [
                    each
                    for each in await running.gateway.logged()
                    if "client.address" in each
                ][-1]
                assert line["client.address"] == "192.0.2.1", chain


HOSTS = {
    "X12": ["Secret.test", "SECRET.TEST", "sEcReT.tEsT"],
    "X13": ["secret.test:8080", "secret.test:80", "SECRET.test:1"],
    "X14": ["Secret.Test", "secret.test.", "SECRET.TEST.:80"],
}


@pytest.mark.parametrize("advisory", HOSTS)
async def test_a_host_is_matched_in_every_spelling(house: Rig, advisory: str) -> None:
    for host in HOSTS[advisory]:
        house.forget()

        reply = await house.get("/open", host=host)

        assert (reply.status, house.seen) == (401, []), host


@pytest.mark.parametrize("advisory", ["X14"])
async def test_a_host_without_a_route_gets_nothing(
    redis: Server, tmp_path: Path, advisory: str
) -> None:
    async with recording() as upstream:
        config = base_config(upstream.port)
        config["routes"] = [
            {"match": {"host": "app.test", "path": "/**"}, "rule": "public"}
            | {"upstream": "web"}
        ]
        async with rig(config, upstream, tmp_path, redis) as running:
            known = await running.get("/", host="App.Test")
            others = [
                await running.get("/", host=host)
                for host in ("other.test", "app.test.evil", "xapp.test", "127.0.0.1")
            ]

    assert known.status == 200
    assert {reply.status for reply in others} <= {404, 421}
    assert [seen.target for seen in running.past] == ["/"]


@pytest.mark.parametrize(
    "field", [b"Host:", b"Host: ", b"X-Host: gw.test", b"Host: a, b"]
)
async def test_x16_there_is_one_host(house: Rig, field: bytes) -> None:
    house.forget()

    replies = await house.raw(b"GET /open HTTP/1.1\r\n" + field + b"\r\n\r\n")

    assert [reply.status for reply in replies] == [400]
    assert house.upstream.seen == []


@pytest.mark.parametrize(
    "target",
    [
        b"http://other/static/x",
        b"http://gw.test/static/x",
        b"HTTP://gw.test/",
        b"file:///x",
    ],
)
async def test_x17_an_absolute_target_is_refused(house: Rig, target: bytes) -> None:
    house.forget()

    replies = await house.raw(b"GET " + target + b" HTTP/1.1\r\nHost: gw.test\r\n\r\n")

    assert [reply.status for reply in replies] == [400]
    assert house.upstream.seen == []


async def test_x18_no_header_is_a_path_prefix(house: Rig) -> None:
    house.forget()
    evil = ("X-Forwarded-Prefix", "//evil.test")
    script = ("X-Script-Name", "//evil.test")

    sent = await house.get("/dashboard", [*BROWSER.items(), evil, script])
    await house.get("/open", [evil, script])

    assert (sent.one("Location") or "").startswith("/auth/login?")
    assert "evil" not in str(sent.headers) + str(house.last.headers)
