"""Every raw request of tests/vectors/http_cases.json, with a marker right behind it.

The marker is written together with the case, so a gateway that ends the case at another
byte than it should reads the marker as something else. It is answered, or the connection
is closed: what else comes of the case is what `expect` says.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.rig import MARKER, Rig, recording, rig
from tests.servers import Server
from tests.walk.harness import Reply, base_config, connected
from tests.walk.test_corpus import (
    BODIES,
    CASES,
    DECIDED,
    HALF_CLOSED,
    assert_canonical,
    assert_echoes_nothing,
    is_refusal,
    of,
)

pytestmark = [pytest.mark.walk, pytest.mark.asyncio(loop_scope="module")]

SAYS_CLOSE = {"hop-strip-cookie", "hop-strip-identity", "pipeline-after-close"}
WAYS = ["at once", "in two", "byte by byte"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def the_rig(redis: Server, tmp_path_factory: Any) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("cases")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(recording())
        config = base_config(upstream.port)
        config["identity_headers"] = {"X-Auth-User": "{identity.id}"}
        config["routes"] = [
            {"match": "/**", "rule": "public", "upstream": "web"},
            {"match": "/evil/**", "rule": "protected", "upstream": "web"},
            {"match": {"host": "closed", "path": "/**"}, "rule": "protected"}
            | {"upstream": "web"},
        ]
        async with rig(config, upstream, folder, redis) as running:
            yield running
    # Also of what arrived after its test had ended.
    assert not [seen.target for seen in running.past if "evil" in seen.target]


def pieces_of(raw: bytes, way: str) -> Sequence[bytes]:
    match way:
        case "at once":
            return [raw]
        case "in two":
            middle = raw.find(b"\r\n\r\n") + 2
            return [raw[:middle], raw[middle:]]
        case _:
            return [raw[at : at + 1] for at in range(len(raw))]


async def outcome(the_rig: Rig, name: str, way: str) -> list[Reply]:
    """Send a case and its marker; give the answers until the connection closes."""
    the_rig.forget()
    raw = base64.b64decode(CASES[name]["raw_b64"])
    async with connected(the_rig.port) as client:
        if name in HALF_CLOSED:  # a marker would be the rest of the body
            await client.send(*pieces_of(raw, way))
            client.end()
            assert await client.silence() == b""
            return []
        replies: list[Reply] = []
        try:
            await client.send(*pieces_of(raw + MARKER, way))
            while not replies or replies[-1].one("Connection") != "close":
                replies.append(await client.reply())
            assert await client.silence() == b""
        except ConnectionError:
            # TCP resets a connection that was closed with bytes still on their way.
            assert way == "byte by byte"
    return replies


def assert_sound(the_rig: Rig) -> None:
    """Hold for every case: nothing hidden arrived, and all in one spelling."""
    assert not [seen for seen in the_rig.seen if "evil" in seen.target]
    assert all("without sending complete" in each for each in the_rig.upstream.errors)
    for wire in the_rig.upstream.wire:
        assert_canonical(bytes(wire))


def markers(the_rig: Rig) -> int:
    return sum(seen.target == "/marker" for seen in the_rig.upstream.complete)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", of("reject_400", "no_forward"))
async def test_what_two_could_read_differently_is_refused_with_all_behind_it(
    the_rig: Rig, name: str, way: str
) -> None:
    replies = await outcome(the_rig, name, way)

    assert the_rig.targets == []
    assert markers(the_rig) == 0
    assert len(replies) == 1 or name in HALF_CLOSED or way == "byte by byte"
    for reply in replies:
        assert is_refusal(reply)
        assert_echoes_nothing(reply)
    assert_sound(the_rig)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", of("single_request"))
async def test_what_can_be_read_in_one_way_arrives_once_and_the_marker_after_it(
    the_rig: Rig, name: str, way: str
) -> None:
    replies = await outcome(the_rig, name, way)

    assert {reply.status for reply in replies} == {200}
    assert the_rig.targets == ["/"]
    assert the_rig.seen[0].body == BODIES.get(name, b"")
    # Where trailers may have been, no request is read any more: it is closed.
    chunked = the_rig.seen[0].one("Transfer-Encoding") is not None
    assert markers(the_rig) == len(replies) - 1
    assert len(replies) == 2 or chunked
    assert_sound(the_rig)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", of("normalize"))
async def test_what_is_odd_arrives_canonical_or_not_at_all(
    the_rig: Rig, name: str, way: str
) -> None:
    replies = await outcome(the_rig, name, way)

    decided = DECIDED[name]
    if name in SAYS_CLOSE and the_rig.targets == []:
        decided = []  # more came in the same read: refused as pipeline-after-close
    assert the_rig.targets == decided
    if decided:
        assert [reply.status for reply in replies[: len(decided)]] == [200] * len(
            decided
        )
        assert the_rig.seen[0].body == BODIES.get(name, b"")
    else:
        assert replies or way == "byte by byte"
        for reply in replies:
            assert_echoes_nothing(reply)
    if name in SAYS_CLOSE:
        assert markers(the_rig) == 0
    for seen in the_rig.seen:
        for field in ("X-Sum", "X-Auth-User", "X_Auth_User", "HTTP2-Settings"):
            assert not seen.all(field)
    assert_sound(the_rig)


@pytest.mark.parametrize("name", CASES)
async def test_behind_a_session_nothing_of_a_case_arrives_and_the_marker_is_refused(
    the_rig: Rig, name: str
) -> None:
    the_rig.forget()
    raw = base64.b64decode(CASES[name]["raw_b64"])
    closed = raw.replace(b"Host: a\r\n", b"Host: closed\r\n")
    marker = MARKER.replace(b"Host: gw.test", b"Host: closed")
    async with connected(the_rig.port) as client:
        await client.send(closed + (b"" if name in HALF_CLOSED else marker))
        if name in HALF_CLOSED:
            client.end()
        rest = await client.silence()

    opens = closed == raw  # its Host is what the case is about
    assert opens or the_rig.upstream.seen == []
    assert opens or b"HTTP/1.1 200" not in rest
    assert_sound(the_rig)
