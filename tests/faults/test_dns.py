"""DNS that hangs, fails, moves or lies: what it delays, and what it must not."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConnectFailed, UpstreamError
from gateway.net.resolver import DnsSettings, Resolver
from gateway.proxy.health import IN_A_ROW
from gateway.proxy.target import TargetAddress
from gateway.proxy.tls import client_ssl_context
from tests.dns_server import DnsServer, How, dns_server
from tests.proxy.certificates import Authority
from tests.proxy.support import OK, Peer, client_of, get, scripted
from tests.servers import (
    PATIENCE,
    SOON,
    Server,
    free_port,
    sentinel_server,
    valkey_server,
)
from tests.walk.harness import Gateway, ask, base_config, running_gateway, until

pytestmark = pytest.mark.walk


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey"), port=free_port()) as server:
        yield server


class Backend:
    """Answers on one address and port; counts requests and connections."""

    def __init__(self) -> None:
        self.requests = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def stop(self) -> None:
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()


@asynccontextmanager
async def backends(*hosts: str) -> AsyncIterator[Any]:
    """One backend on each address, all on one port."""
    port = free_port()
    started = []
    for host in hosts:
        backend = Backend()
        backend.server = await asyncio.start_server(backend.serve, host, port)
        started.append(backend)
    try:
        yield port, *started
    finally:
        for backend in started:
            backend.stop()


@asynccontextmanager
async def gateway_with(
    server: DnsServer,
    folder: Path,
    redis_url: str,
    port: int,
    *,
    names: Sequence[str] = ("app",),
    **dns: str,
) -> AsyncIterator[Gateway]:
    config = base_config(port)
    config["dns"] = {"servers": server.address, **dns}
    config["upstreams"] |= {
        name: {"url": f"http://{name}.test:{port}", "timeouts": {"connect": "1s"}}
        for name in names
    }
    config["routes"] = [
        {"match": f"/{name}/**", "rule": "public", "upstream": name} for name in names
    ] + [{"match": "/mine/**", "rule": "protected", "upstream": names[0]}]
    async with running_gateway(config, folder, redis_url) as gateway:
        yield gateway


async def test_a_name_that_hangs_takes_no_other_name_and_no_session_with_it(
    redis: Server, tmp_path: Path
) -> None:
    url = f"redis://redis.test:{redis.port}/0"
    async with backends("127.0.0.1") as (port, _), dns_server() as server:
        server.put("app.test", "127.0.0.1", ttl=1)
        server.put("late.test", "127.0.0.1")
        server.put("redis.test", "127.0.0.1", ttl=1)
        server.put("ghost.test", how=How.HANG)
        names = ("app", "ghost", "late")
        async with gateway_with(server, tmp_path, url, port, names=names) as gateway:
            cookie = {"Cookie": await gateway.sign_in()}
            assert (await ask(gateway.port, "GET", "/mine/x", cookie)).status == 200
            ghosts = [
                asyncio.ensure_future(ask(gateway.port, "GET", f"/ghost/{number}"))
                for number in range(60)
            ]
            await until(lambda: server.count("ghost.test"))

            began = time.monotonic()
            statuses = []
            for _ in range(5):
                statuses.append((await ask(gateway.port, "GET", "/late/x")).status)
                statuses.append((await ask(gateway.port, "GET", "/app/x")).status)
                redis.command_line("CLIENT", "KILL", "TYPE", "normal")
                reply = await ask(gateway.port, "GET", "/mine/x", cookie)
                statuses.append(reply.status)
            took = time.monotonic() - began
            ghosted = await asyncio.gather(*ghosts)

            assert statuses == [200] * 15
            assert took < SOON
            assert {reply.status for reply in ghosted} == {502}
            # One look-up for all of them; c-ares asks a server that is silent again.
            assert server.count("ghost.test") <= 6


async def test_a_name_that_moves_is_followed_while_the_old_server_still_answers(
    redis: Server, tmp_path: Path
) -> None:
    async with (
        backends("127.0.0.1", "127.0.0.2") as (port, old, new),
        dns_server() as server,
    ):
        server.put("app.test", "127.0.0.1", ttl=1)
        async with gateway_with(server, tmp_path, redis.url, port) as gateway:
            assert (await ask(gateway.port, "GET", "/app/x")).status == 200
            server.put("app.test", "127.0.0.2", ttl=1)

            statuses = set()
            async with asyncio.timeout(PATIENCE):
                while not new.requests:
                    statuses.add((await ask(gateway.port, "GET", "/app/x")).status)
            before = old.requests
            for _ in range(20):
                statuses.add((await ask(gateway.port, "GET", "/app/x")).status)

            assert statuses == {200}
            assert old.requests == before


async def test_a_name_that_moves_from_a_dead_server_loses_a_second_of_requests(
    redis: Server, tmp_path: Path
) -> None:
    """Though its TTL is an hour: who refuses is looked up before."""
    async with (
        backends("127.0.0.1", "127.0.0.2") as (port, old, new),
        dns_server() as server,
    ):
        server.put("app.test", "127.0.0.1", ttl=3600)
        async with gateway_with(
            server, tmp_path, redis.url, port, max_ttl="1h"
        ) as gateway:
            assert (await ask(gateway.port, "GET", "/app/x")).status == 200
            server.put("app.test", "127.0.0.2", ttl=3600)
            old.stop()

            began = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                while (await ask(gateway.port, "GET", "/app/x")).status != 200:
                    await asyncio.sleep(0.01)

            assert new.requests == 1
            assert time.monotonic() - began < SOON


@pytest.mark.parametrize("how", [How.HANG, How.SERVFAIL, How.GARBAGE])
async def test_without_dns_what_was_known_goes_on(
    redis: Server, tmp_path: Path, how: How
) -> None:
    """New connections, too, to the upstream and to Redis, beyond the TTL."""
    url = f"redis://redis.test:{redis.port}/0"
    async with backends("127.0.0.1") as (port, app), dns_server() as server:
        server.put("app.test", "127.0.0.1", ttl=1)
        server.put("redis.test", "127.0.0.1", ttl=1)
        async with gateway_with(server, tmp_path, url, port) as gateway:
            cookie = {"Cookie": await gateway.sign_in()}
            assert (await ask(gateway.port, "GET", "/mine/x", cookie)).status == 200
            for name in ("app.test", "redis.test"):
                server.put(name, how=how)
            seen = len(server.requested)
            statuses = set()
            async with asyncio.timeout(PATIENCE):
                while len(server.requested) < seen + 4:
                    redis.command_line("CLIENT", "KILL", "TYPE", "normal")
                    for writer in list(app.writers):
                        writer.close()
                    reply = await ask(gateway.port, "GET", "/mine/x", cookie)
                    statuses.add(reply.status)

            assert statuses == {200}


async def test_an_unknown_name_is_refused_at_once_and_comes_back_soon(
    redis: Server, tmp_path: Path
) -> None:
    async with (
        backends("127.0.0.1") as (port, _),
        dns_server() as server,
        gateway_with(server, tmp_path, redis.url, port) as gateway,
    ):
        for _ in range(5):
            assert (await ask(gateway.port, "GET", "/app/x")).status == 502
        requested = server.count("app.test")
        server.put("app.test", "127.0.0.1")
        async with asyncio.timeout(SOON):
            while (await ask(gateway.port, "GET", "/app/x")).status != 200:
                await asyncio.sleep(0.01)

        assert requested == 1


async def test_a_dead_address_before_a_good_one_loses_nothing(
    redis: Server, tmp_path: Path
) -> None:
    """For an upstream and for Redis, whose time-out is short."""
    url = f"redis://redis.test:{redis.port}/0"
    async with backends("127.0.0.1") as (port, _), dns_server() as server:
        for name in ("app.test", "redis.test"):
            server.put(name, "127.0.0.9", "::1", "127.0.0.1")
        async with gateway_with(server, tmp_path, url, port) as gateway:
            cookie = {"Cookie": await gateway.sign_in()}
            for _ in range(6):
                redis.command_line("CLIENT", "KILL", "TYPE", "normal")
                reply = await ask(gateway.port, "GET", "/mine/x", cookie)
                assert reply.status == 200


async def test_an_address_that_closes_without_a_response_is_avoided_like_a_dead_one() -> (
    None
):
    """One name, two addresses: the upstream has one target, which stays."""

    async def closing(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def answering(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"Content", b"Connection: close\r\nContent"))
        writer.close()

    port = free_port()
    bad = await asyncio.start_server(closing, "127.0.0.2", port)
    good = await asyncio.start_server(answering, "127.0.0.3", port)
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", "127.0.0.3", ttl=3600)
        resolver = Resolver(DnsSettings(servers=(server.address,)))
        target = TargetAddress(scheme="http", host="app.test", port=port)
        outcomes: list[int | None] = []
        async with client_of(target, resolver=resolver) as client:
            for _ in range(40):
                try:
                    outcomes.append((await get(client)).status)
                except UpstreamError:
                    outcomes.append(None)
    bad.close()
    good.close()

    assert outcomes.count(None) == IN_A_ROW
    assert outcomes[-20:] == [200] * 20


async def test_a_sentinel_and_the_name_that_it_announces_are_looked_up(
    tmp_path: Path,
) -> None:
    """The name of the Sentinel exists only at our server; `localhost` in no DNS."""
    with (
        valkey_server(tmp_path, port=free_port()) as master,
        sentinel_server(
            tmp_path, "mymaster", master.port, host="localhost", names=True
        ) as sentinel,
    ):
        url = f"redis+sentinel://sentinel.test:{sentinel.port}/mymaster"
        async with backends("127.0.0.1") as (port, _), dns_server() as server:
            server.put("app.test", "127.0.0.1")
            server.put("sentinel.test", "127.0.0.1")
            async with gateway_with(server, tmp_path, url, port) as gateway:
                cookie = {"Cookie": await gateway.sign_in()}
                reply = await ask(gateway.port, "GET", "/mine/x", cookie)

            assert reply.status == 200
            assert server.count("sentinel.test")


async def test_the_names_that_nodes_of_a_cluster_announce_are_looked_up(
    tmp_path: Path,
) -> None:
    port = free_port()
    options = (
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        *("--cluster-announce-hostname", "node.test"),
        *("--cluster-preferred-endpoint-type", "hostname"),
    )
    with valkey_server(tmp_path, *options, port=port) as node:
        node.command_line("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await until(lambda: b"cluster_state:ok" in node.command_line("CLUSTER", "INFO"))
        url = f"redis+cluster://seed.test:{port}"
        async with backends("127.0.0.1") as (app_port, _), dns_server() as server:
            for name in ("app.test", "seed.test", "node.test"):
                server.put(name, "127.0.0.1")
            async with gateway_with(server, tmp_path, url, app_port) as gateway:
                cookie = {"Cookie": await gateway.sign_in()}
                reply = await ask(gateway.port, "GET", "/mine/x", cookie)

            assert reply.status == 200
            assert server.count("seed.test")
            assert server.count("node.test")


async def test_an_https_upstream_is_verified_by_its_name_not_its_address(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "app.test"))

    async def answering(peer: Peer) -> None:
        await peer.answer(OK)

    async with scripted(answering, ssl=context) as upstream, dns_server() as server:
        for name in ("app.test", "other.test"):
            server.put(name, "127.0.0.1")
        resolver = Resolver(DnsSettings(servers=(server.address,)))
        ours = client_ssl_context(authority.path, None, None)
        good, other = (
            client_of(
                replace(upstream.address, host=name),
                resolver=resolver,
                ssl_context=ours,
            )
            for name in ("app.test", "other.test")
        )
        async with good as client:
            assert (await get(client)).status == 200
        async with other as client:
            with pytest.raises(ConnectFailed):
                await get(client)
