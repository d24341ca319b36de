"""Names and their addresses: one look-up at a time, kept, stale, refused."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest

from gateway.net import resolver as module
from gateway.net.ares import LookupFailed, NameNotFound
from gateway.net.resolver import AVOID, DnsSettings, Resolver
from tests.dns_server import DnsServer, How, dns_server
from tests.servers import PATIENCE, SOON


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def resolver_of(
    server: DnsServer, clock: Clock | None = None, **settings: float
) -> Resolver:
    wanted = {"timeout": PATIENCE, **settings}
    return Resolver(DnsSettings(servers=(server.address,), **wanted), clock=clock)


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not found():
            await asyncio.sleep(0.001)


async def test_all_who_wait_for_a_name_share_one_look_up() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2")
        resolver = resolver_of(server)

        found = await asyncio.gather(*(resolver.resolve("app.test") for _ in range(99)))

        assert set(found) == {("127.0.0.2",)}
        assert server.count("app.test") == 1


@pytest.mark.parametrize(
    ("ttl", "kept"), [(0, 1), (1, 1), (7, 7), (30, 30), (86400, 30)]
)
async def test_addresses_are_kept_for_their_ttl_within_bounds(
    ttl: int, kept: int
) -> None:
    clock = Clock()
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", ttl=ttl)
        resolver = resolver_of(server, clock)
        await resolver.resolve("app.test")
        server.put("app.test", "127.0.0.3", ttl=ttl)

        clock.now += kept - 0.1
        before = await resolver.resolve("app.test")
        clock.now += 0.2
        after = await resolver.resolve("app.test")
        await until(lambda: server.count("app.test") == 2)
        if after == before:  # the answer took longer than 50 ms
            await until(lambda: resolver.refresh("app.test") == ("127.0.0.3",))

        assert before == ("127.0.0.2",)
        assert await resolver.resolve("app.test") == ("127.0.0.3",)
        await resolver.close()


@pytest.mark.parametrize("how", [How.HANG, How.SERVFAIL])
async def test_old_addresses_are_used_while_a_look_up_hangs_or_fails(how: How) -> None:
    clock = Clock()
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", ttl=5)
        resolver = resolver_of(server, clock, timeout=0.2, stale=600.0)
        await resolver.resolve("app.test")
        server.put("app.test", how=how)

        clock.now += 6
        began = time.monotonic()
        assert await resolver.resolve("app.test") == ("127.0.0.2",)
        assert time.monotonic() - began < SOON
        clock.now += 590
        assert await resolver.resolve("app.test") == ("127.0.0.2",)
        clock.now += 100
        with pytest.raises(LookupFailed):
            await resolver.resolve("app.test")
        await resolver.close()


async def test_a_name_that_is_gone_has_no_old_addresses() -> None:
    clock = Clock()
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", ttl=5)
        resolver = resolver_of(server, clock)
        await resolver.resolve("app.test")
        del server.zone["app.test"]
        clock.now += 6

        await until(lambda: resolver.refresh("app.test") == ())

        with pytest.raises(NameNotFound):
            await resolver.resolve("app.test")


async def test_what_is_not_found_is_remembered_for_a_moment() -> None:
    clock = Clock()
    async with dns_server() as server:
        resolver = resolver_of(server, clock)
        for _ in range(5):
            with pytest.raises(NameNotFound):
                await resolver.resolve("app.test")
        requested = server.count("app.test")
        server.put("app.test", "127.0.0.2")

        clock.now += module.NOT_FOUND_TTL + 0.1
        found = await resolver.resolve("app.test")

        assert requested == 1
        assert found == ("127.0.0.2",)


async def test_a_caller_that_leaves_does_not_end_the_look_up() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2")
        server.held = asyncio.Event()
        resolver = resolver_of(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await resolver.resolve("app.test")
        server.held.set()

        assert await resolver.resolve("app.test") == ("127.0.0.2",)
        assert server.count("app.test") == 1


async def test_so_many_may_wait_for_one_name_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    async with dns_server() as server:
        server.put("hang.test", how=How.HANG)
        server.put("app.test", "127.0.0.2")
        resolver = resolver_of(server)
        waiting = [
            asyncio.ensure_future(resolver.resolve("hang.test")) for _ in range(3)
        ]
        await asyncio.sleep(0)

        with pytest.raises(LookupFailed, match="too many"):
            await resolver.resolve("hang.test")

        assert await resolver.resolve("app.test") == ("127.0.0.2",)
        await resolver.close()
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(each, LookupFailed)


async def test_the_names_that_are_remembered_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 3)
    async with dns_server() as server:
        resolver = resolver_of(server)
        for number in range(10):
            server.put(f"app{number}.test", "127.0.0.2")
            await resolver.resolve(f"app{number}.test")

        assert len(resolver._names) == 3


async def test_addresses_take_turns_and_families_alternate() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", "127.0.0.3", "::1", "::2")
        resolver = resolver_of(server)

        found = [await resolver.resolve("app.test") for _ in range(4)]

        assert {each[0] for each in found} == {"::1", "::2"}
        assert {each[1] for each in found} == {"127.0.0.2", "127.0.0.3"}
        assert all(len(each) == 4 for each in found)


async def test_without_turns_the_order_is_the_same_whatever_the_server_shuffles() -> (
    None
):
    clock = Clock()
    async with dns_server() as server:
        settings = DnsSettings(servers=(server.address,), timeout=PATIENCE)
        orders = set()
        for hosts in (("127.0.0.3", "127.0.0.2"), ("127.0.0.2", "127.0.0.3")):
            server.put("redis.test", *hosts)
            resolver = Resolver(settings, clock=clock, in_turn=False)
            orders |= {await resolver.resolve("redis.test") for _ in range(3)}

        assert orders == {("127.0.0.2", "127.0.0.3")}


async def test_an_address_to_avoid_is_tried_last_for_a_while() -> None:
    clock = Clock()
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", "127.0.0.3", ttl=86400)
        resolver = resolver_of(server, clock, max_ttl=3600.0)
        await resolver.resolve("app.test")
        resolver.avoid("app.test", ["127.0.0.2"])

        during = {(await resolver.resolve("app.test"))[0] for _ in range(4)}
        clock.now += AVOID + 1
        after = {(await resolver.resolve("app.test"))[0] for _ in range(4)}

        assert during == {"127.0.0.3"}
        assert after == {"127.0.0.2", "127.0.0.3"}


async def test_a_name_whose_addresses_are_dead_is_looked_up_before_its_ttl() -> None:
    clock = Clock()
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", ttl=3600)
        resolver = resolver_of(server, clock)
        await resolver.resolve("app.test")
        server.put("app.test", "127.0.0.3", ttl=3600)
        resolver.expire("app.test")

        clock.now += 1.1

        await until(lambda: resolver.refresh("app.test") == ("127.0.0.3",))


def asked_again(server: DnsServer, before: int) -> bool:
    return server.count("app.test") > before


async def test_a_name_that_fails_and_works_again_is_reported_once_each() -> None:
    clock, received = Clock(), []
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", ttl=1)
        settings = DnsSettings(servers=(server.address,), timeout=PATIENCE)
        resolver = Resolver(
            settings, clock=clock, on_change=lambda *what: received.append(what)
        )
        for how in (How.ANSWER, How.SERVFAIL, How.SERVFAIL, How.ANSWER, How.ANSWER):
            server.put("app.test", "127.0.0.2", ttl=1, how=how)
            clock.now += 5
            requested = server.count("app.test")
            await resolver.resolve("app.test")
            await until(partial(asked_again, server, requested))
            await until(lambda: resolver._names["app.test"].task is None)

        assert received == [
            ("app.test", "DNS server returned general failure"),
            ("app.test", None),
        ]


async def test_a_closed_resolver_looks_nothing_up() -> None:
    async with dns_server() as server:
        resolver = resolver_of(server)
        await resolver.close()

        with pytest.raises(LookupFailed, match="closed"):
            await resolver.resolve("app.test")
