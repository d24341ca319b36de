"""Upstreams that refuse, close, reset, hang, talk nonsense or fail: who is spared."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
from gateway.proxy.health import IN_A_ROW, TargetChange
from gateway.proxy.upstream import Upstream
from tests.proxy.support import (
    OK,
    Peer,
    Pieces,
    Script,
    ScriptedUpstream,
    client_of,
    get,
    scripted,
)
from tests.servers import PATIENCE, free_port, valkey_server
from tests.walk.harness import ask, base_config, running_gateway

pytestmark = pytest.mark.walk


async def closes(peer: Peer) -> None:
    await peer.head()


async def closes_at_once(peer: Peer) -> None:
    pass


async def resets(peer: Peer) -> None:
    await peer.head()
    peer.reset()


async def hangs(peer: Peer) -> None:
    await peer.head()
    await peer.rest()


async def garbles(peer: Peer) -> None:
    await peer.answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def never_ends_its_head(peer: Peer) -> None:
    await peer.head()
    peer.write(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 0123456789\r\n" * 40_000)
    await peer.rest()


async def resets_in_its_body(peer: Peer) -> None:
    await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 9)
    await peer.writer.drain()
    peer.close()


async def ends_in_a_chunk(peer: Peer) -> None:
    await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx")


def fails(status: int) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.answer(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    return script


async def works(peer: Peer) -> None:
    while True:
        await peer.answer(OK)


class Clock:
    """The pool's clock; a request that hangs moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


BAD = [
    closes, closes_at_once, resets, hangs, garbles, never_ends_its_head,
    resets_in_its_body, ends_in_a_chunk, fails(500), fails(502), fails(503),
]  # fmt: skip
NAMES = [
    "closes", "closes_at_once", "resets", "hangs", "garbles", "never_ends_its_head",
    "resets_in_its_body", "ends_in_a_chunk", "500", "502", "503",
]  # fmt: skip


class Pair:
    """A target that plays `script`, and one that works, behind one upstream."""

    def __init__(
        self,
        client: Upstream,
        bad: ScriptedUpstream,
        good: ScriptedUpstream,
        clock: Clock,
        changes: list[TargetChange],
        script: list[Script],
    ) -> None:
        self.script = script
        self.client, self.bad, self.good = client, bad, good
        self.clock, self.changes = clock, changes
        self.sent = 0

    async def one(self, method: str = "GET") -> bool:
        """Send one request; return whether it was served."""
        self.sent += 1
        head = f"{method} /{self.sent} HTTP/1.1\r\nHost: app\r\n"
        head += "Content-Length: 0\r\n\r\n" if method == "POST" else "\r\n"
        request = asyncio.ensure_future(
            get(self.client, head.encode(), method, retriable=method == "GET")
        )
        try:
            while not (await asyncio.wait({request}, timeout=0.1))[0]:
                self.clock.now += 6.0  # beyond the time-out of a response
            response = request.result()
            while await response.read():
                pass
        except UpstreamError:
            return False
        return response.status < 500

    async def until_ejected(self, method: str = "GET") -> int:
        """Send requests until the bad target is ejected; return the failures."""
        failed = 0
        async with asyncio.timeout(PATIENCE):
            while not self.changes:
                failed += not await self.one(method)
        return failed

    def arrived(self) -> list[bytes]:
        heads = b"".join(self.bad.received + self.good.received)
        found: list[bytes] = re.findall(rb"(?:GET|POST) /(\d+) ", heads)
        return found


@pytest.fixture
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    clock = Clock()
    changes: list[TargetChange] = []
    script: list[Script] = [request.param]

    async def bad_script(peer: Peer) -> None:
        await script[0](peer)

    async with (
        scripted(bad_script) as bad,
        scripted(works) as good,
        client_of(
            bad,
            good,
            clock=clock,
            response_timeout=5.0,
            idle_timeout=5.0,
            on_change=changes.append,
        ) as client,
    ):
        yield Pair(client, bad, good, clock, changes, script)


@pytest.mark.parametrize("pair", BAD, ids=NAMES, indirect=True)
async def test_a_bad_target_fails_five_requests_and_no_more(
    pair: Pair,
) -> None:
    failed = await pair.until_ejected()
    requested = len(pair.bad.peers)

    served = [await pair.one() for _ in range(20)]

    assert failed == IN_A_ROW
    assert all(served)
    assert len(pair.bad.peers) == requested
    assert [change.ejected for change in pair.changes] == [True]
    arrived = pair.arrived()
    assert len(arrived) == len(set(arrived)), "a request was sent twice"


@pytest.mark.parametrize("pair", BAD, ids=NAMES, indirect=True)
async def test_one_request_probes_it_and_one_success_takes_it_back(
    pair: Pair,
) -> None:
    await pair.until_ejected()

    pair.clock.now += 1.5
    probed = [await pair.one() for _ in range(6)]
    assert probed.count(False) == 1
    pair.script[0] = works
    pair.clock.now += 60.0
    served = [await pair.one() for _ in range(12)]

    assert all(served)
    assert pair.changes[-1].ejected is False
    assert not any(one.down for one in pair.client.stats())
    before = len(pair.arrived())
    for _ in range(4):
        await pair.one()
    assert len(pair.arrived()) == before + 4


@pytest.mark.parametrize(
    "pair", [closes, fails(503)], ids=["closes", "503"], indirect=True
)
async def test_no_post_probes_and_none_is_sent_twice(
    pair: Pair,
) -> None:
    failed = await pair.until_ejected("POST")
    requested = pair.bad.received

    pair.clock.now += 1.5
    served = [await pair.one("POST") for _ in range(10)]

    assert failed == IN_A_ROW
    assert all(served)
    assert pair.bad.received == requested
    arrived = pair.arrived()
    assert len(arrived) == len(set(arrived)) == pair.sent


@pytest.mark.parametrize(
    "pair", [fails(404), fails(501)], ids=["404", "501"], indirect=True
)
async def test_a_fault_of_the_request_ejects_no_target(
    pair: Pair,
) -> None:
    for _ in range(40):
        await pair.one()

    assert pair.changes == []


@pytest.mark.parametrize(
    "script", [closes, hangs, fails(500)], ids=["closes", "hangs", "500"]
)
async def test_never_all_targets_are_ejected(script: Script) -> None:
    clock = Clock()
    changes: list[TargetChange] = []
    async with (
        scripted(script) as one,
        scripted(script) as two,
        scripted(script) as three,
        client_of(
            one, two, three, clock=clock, response_timeout=5.0, on_change=changes.append
        ) as client,
    ):
        pair = Pair(client, one, two, clock, changes, [script])
        for _ in range(20):
            await pair.one()
            assert not all(each.ejected for each in client._pool._backends)

    assert len(one.peers) + len(two.peers) + len(three.peers) > 0


async def test_a_target_that_closes_as_the_body_is_written_gets_each_upload_once() -> (
    None
):
    async def closes_early(peer: Peer) -> None:
        await peer.head()
        await peer.exactly(1000)
        peer.reset()

    async def takes_all(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.exactly(200_000)
            peer.write(OK)

    changes: list[TargetChange] = []
    outcomes: list[int | None] = []
    async with (
        scripted(closes_early) as bad,
        scripted(takes_all) as good,
        client_of(bad, good, on_change=changes.append) as client,
    ):
        for number in range(40):
            head = f"POST /{number} HTTP/1.1\r\nContent-Length: 200000\r\n\r\n"
            body = Pieces(*[b"x" * 20_000] * 10)
            try:
                response = await client.send(
                    head.encode(), method="POST", body=body, retriable=False
                )
            except UpstreamError:
                outcomes.append(None)
            else:
                outcomes.append(response.status)

    assert outcomes.count(None) == IN_A_ROW
    assert outcomes.count(200) == 40 - IN_A_ROW
    assert [change.ejected for change in changes] == [True]
    arrived = re.findall(rb"POST /(\d+) ", b"".join(bad.received + good.received))
    assert len(arrived) == len(set(arrived)) == 40


async def test_a_target_that_fails_now_and_then_stays() -> None:
    turn = 0

    async def sometimes(peer: Peer) -> None:
        nonlocal turn
        while True:
            turn += 1
            await peer.head()
            if turn % IN_A_ROW == 0:
                return
            peer.write(OK)

    changes: list[TargetChange] = []
    async with (
        scripted(sometimes) as one,
        scripted(works) as two,
        client_of(one, two, on_change=changes.append) as client,
    ):
        pair = Pair(client, one, two, Clock(), changes, [sometimes])
        for _ in range(60):
            await pair.one()

    assert changes == []


async def test_a_client_that_leaves_is_no_failure_of_the_target() -> None:
    changes: list[TargetChange] = []
    async with (
        scripted(hangs) as one,
        scripted(hangs) as two,
        client_of(one, two, on_change=changes.append) as client,
    ):
        for number in range(30):
            requested = asyncio.ensure_future(get(client))
            async with asyncio.timeout(PATIENCE):
                while len(one.peers) + len(two.peers) <= number:
                    await asyncio.sleep(0)
            requested.cancel()
            await asyncio.gather(requested, return_exceptions=True)

    assert changes == []


async def test_a_kept_connection_ends_with_its_life() -> None:
    clock = Clock()
    async with (
        scripted(works) as upstream,
        client_of(upstream, clock=clock, lifetime=60.0, keepalive=1000.0) as client,
    ):
        for _ in range(3):
            await get(client)
        assert len(upstream.peers) == 1
        clock.now += 61.0

        for _ in range(3):
            await get(client)

        assert len(upstream.peers) == 2


async def test_ejections_are_logged_and_counted(tmp_path: Path) -> None:
    refusing = f"http://127.0.0.1:{free_port()}"
    with valkey_server(tmp_path) as redis:
        async with scripted(closes) as bad, scripted(works) as good:
            config = base_config(good.address.port)
            config["upstreams"]["web"]["url"] = [
                str(bad.address), str(good.address), refusing,
            ]  # fmt: skip
            async with running_gateway(config, tmp_path, redis.url) as gateway:
                statuses = [(await ask(gateway.port)).status for _ in range(40)]
                text = gateway.app._reporter.process.exposition("")[0].decode()
                lines = [
                    line
                    for line in await gateway.logged()
                    if line["message"] == "upstream target ejected"
                ]

    assert statuses.count(502) == IN_A_ROW
    assert statuses.count(200) == 40 - IN_A_ROW
    assert 'ejections_total{cause="no_response",upstream="web"} 1.0' in text
    assert 'ejections_total{cause="connect",upstream="web"} 1.0' in text
    assert 'gateway_upstream_targets_ejected{upstream="web"} 2.0' in text
    assert {line["target"]: line["cause"] for line in lines} == {
        str(bad.address): "no_response",
        refusing: "connect",
    }
