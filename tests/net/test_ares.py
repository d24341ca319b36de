"""One look-up: what servers may answer, or not, and when it is over."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.net.ares import Addresses, LookupFailed, NameNotFound, look_up
from tests.dns_server import AAAA, A, DnsServer, How, dns_server
from tests.servers import PATIENCE, SOON


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def looked_up(
    server: DnsServer, name: str, timeout: float = PATIENCE
) -> Addresses:
    return await look_up(name, servers=[server.address], timeout=timeout)


async def test_a_name_has_all_its_addresses_ipv6_first_and_the_least_ttl() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", "::1", "127.0.0.3", ttl=7)

        found = await looked_up(server, "app.test")

        assert found == Addresses(hosts=("::1", *found.hosts[1:]), ttl=7.0)
        assert sorted(found.hosts[1:]) == ["127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize(("kind", "address"), [(A, "127.0.0.2"), (AAAA, "::1")])
async def test_a_lost_answer_for_one_family_does_not_delay_the_other(
    kind: int, address: str
) -> None:
    async with dns_server() as server:
        server.put("app.test", address, only=(kind,))
        began = time.monotonic()

        found = await looked_up(server, "app.test")

        assert found.hosts == (address,)
        assert time.monotonic() - began < SOON


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", how=How.TRUNCATE)

        found = await looked_up(server, "app.test")

        assert found.hosts == ("127.0.0.2",)
        assert ("app.test", A, "tcp") in server.requested


async def test_a_name_that_does_not_exist_is_not_a_failure_to_find_out() -> None:
    async with dns_server() as server:
        server.put("empty.test")

        for name in ("none.test", "empty.test"):
            with pytest.raises(NameNotFound):
                await looked_up(server, name)


@pytest.mark.parametrize("how", [How.SERVFAIL, How.GARBAGE])
async def test_a_server_that_fails_is_a_failure_to_find_out(how: How) -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2", how=how)

        with pytest.raises(LookupFailed) as caught:
            await looked_up(server, "app.test")

        assert not isinstance(caught.value, NameNotFound)


@pytest.mark.parametrize(
    "name",
    ["a..test", "x" * 64 + ".test", ".", "", "a b", "ä", "\0", "\ud800", "x" * 5000],
)
async def test_what_is_no_name_is_a_failure_and_nothing_else(name: str) -> None:
    async with dns_server() as server:
        with pytest.raises(LookupFailed):
            await looked_up(server, name)


async def test_a_look_up_ends_at_its_time_out_and_leaves_nothing_behind() -> None:
    loop = asyncio.get_running_loop()
    async with dns_server() as server:
        server.put("hang.test", how=How.HANG)
        server.put("app.test", "127.0.0.2")
        await looked_up(server, "app.test")
        before = descriptors()

        with pytest.raises(LookupFailed, match=r"no answer within 0\.2 s"):
            await looked_up(server, "hang.test", timeout=0.2)

        # The channel is freed by a thread of the library, a moment later.
        until = loop.time() + PATIENCE
        while descriptors() > before and loop.time() < until:
            await asyncio.sleep(0.01)
        assert descriptors() <= before
        requested = server.count("hang.test")
        await looked_up(server, "app.test")
        assert server.count("hang.test") == requested


async def test_a_name_that_hangs_delays_no_other_name_at_the_same_server() -> None:
    async with dns_server() as server:
        server.put("hang.test", how=How.HANG)
        server.put("app.test", "127.0.0.2")
        hanging = [
            asyncio.ensure_future(looked_up(server, "hang.test")) for _ in range(50)
        ]
        while server.count("hang.test") < 50:
            await asyncio.sleep(0)

        began = time.monotonic()
        for _ in range(20):
            await looked_up(server, "app.test")

        assert time.monotonic() - began < SOON
        assert not any(each.done() for each in hanging)
        for each in hanging:
            each.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_server_that_is_down_gives_way_to_the_next() -> None:
    async with dns_server() as server:
        server.put("app.test", "127.0.0.2")

        found = await look_up(
            "app.test", servers=["127.0.0.1:9", server.address], timeout=PATIENCE
        )

        assert found.hosts == ("127.0.0.2",)


async def test_localhost_needs_no_server() -> None:
    found = await look_up("localhost", servers=["127.0.0.1:9"], timeout=PATIENCE)

    assert "127.0.0.1" in found.hosts
