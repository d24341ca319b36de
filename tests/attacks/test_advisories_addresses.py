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
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
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
    the_rig: Rig, advisory: str
) -> None:
    the_rig.forget()

    await the_rig.get("/open", CLAIMS[advisory])

    assert the_rig.last.one("X-Forwarded-For") == "127.0.0.1"
    stated = [value for _, value in the_rig.last.headers]
    assert not [value for value in stated if value in CLAIMS[advisory].values()]
    line = [
        each for each in await the_rig.gateway.logged() if "client.address" in each
    ][-1]
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
async def test_x4_a_host_that_is_none_is_refused(the_rig: Rig, host: str) -> None:
    the_rig.forget()

    assert refused(await the_rig.get("/open", host=host), 400)
    assert the_rig.seen == []


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Proto", "X_Forwarded_Proto", "X-Forwarded-Ssl"]
)
async def test_x5_the_scheme_is_that_of_the_connection(the_rig: Rig, name: str) -> None:
    the_rig.forget()

    await the_rig.get("/open", {name: "https"})

    assert the_rig.last.one("X-Forwarded-Proto") == "http"


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "Forwarded"]
)
async def test_x8_no_link_leads_to_a_host_that_a_client_named(
    the_rig: Rig, name: str
) -> None:
    the_rig.forget()
    evil = {name: "host=evil.test" if name == "Forwarded" else "evil.test"}

    sent = await the_rig.get("/dashboard", [*BROWSER.items(), *evil.items()])
    await the_rig.get("/open", evil)

    assert sent.status == 302
    assert (sent.one("Location") or "").startswith("/auth/login?")
    assert "evil" not in str(sent.headers) + sent.body.decode()
    assert the_rig.last.one("X-Forwarded-Host") == "gw.test"
    assert "evil" not in str(the_rig.last.headers)


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
async def test_a_host_is_matched_in_every_spelling(the_rig: Rig, advisory: str) -> None:
    for host in HOSTS[advisory]:
        the_rig.forget()

        reply = await the_rig.get("/open", host=host)

        assert (reply.status, the_rig.seen) == (401, []), host


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
async def test_x16_there_is_one_host(the_rig: Rig, field: bytes) -> None:
    the_rig.forget()

    replies = await the_rig.raw(b"GET /open HTTP/1.1\r\n" + field + b"\r\n\r\n")

    assert [reply.status for reply in replies] == [400]
    assert the_rig.upstream.seen == []


@pytest.mark.parametrize(
    "target",
    [
        b"http://other/static/x",
        b"http://gw.test/static/x",
        b"HTTP://gw.test/",
        b"file:///x",
    ],
)
async def test_x17_an_absolute_target_is_refused(the_rig: Rig, target: bytes) -> None:
    the_rig.forget()

    replies = await the_rig.raw(
        b"GET " + target + b" HTTP/1.1\r\nHost: gw.test\r\n\r\n"
    )

    assert [reply.status for reply in replies] == [400]
    assert the_rig.upstream.seen == []


async def test_x18_no_header_is_a_path_prefix(the_rig: Rig) -> None:
    the_rig.forget()
    evil = ("X-Forwarded-Prefix", "//evil.test")
    script = ("X-Script-Name", "//evil.test")

    sent = await the_rig.get("/dashboard", [*BROWSER.items(), evil, script])
    await the_rig.get("/open", [evil, script])

    assert (sent.one("Location") or "").startswith("/auth/login?")
    assert "evil" not in str(sent.headers) + str(the_rig.last.headers)
