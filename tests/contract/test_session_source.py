"""What every source of sessions promises, whoever writes them: looked up, and ended."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.cookie import new_token
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import credential_of_id
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import Session
from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url
from gateway.sessions.store import (
    SessionCredential,
    SessionSource,
    SessionStore,
)
from tests.contract.conftest import STORES
from tests.memory_store import MemoryStore
from tests.servers import PATIENCE, Server
from tests.sessions.samples import NOW, a_session

PROFILE = compile_format(
    FormatSettings(
        format="json",
        cookie_name="sid",
        profile={"id": "[0-9a-f]{32}", "key": "s:{id}", "identity": "$.id"},
    )
)


# An app's sessions are in Redis; our own may be in this process.
KINDS = [
    (server, kind)
    for server in STORES
    for kind in ("own", "app's")
    if (server, kind) != ("memory", "app's")
]
pytestmark = pytest.mark.parametrize(("server", "kind"), KINDS, indirect=["server"])


@dataclass
class Subject:
    """A source, and how somebody signs in: gives what the cookie would hold."""

    source: SessionSource
    sign_in: Callable[[int], Awaitable[SessionCredential]]


@pytest.fixture
async def subject(server: "Server | None", kind: str) -> AsyncIterator[Subject]:
    if server is not None:
        await asyncio.to_thread(server.command_line, "FLUSHALL")
    if kind == "own":
        store: SessionStore = (
            MemoryStore()
            if server is None
            else RedisStore(parse_redis_url(server.url), timeout=30)
        )

        async def sign_in(number: int) -> SessionCredential:
            token = new_token(number.to_bytes(32, "big"))
            await store.create(token.key, a_session(id=f"s{number}"), NOW)
            return token

        yield Subject(store, sign_in)
        await store.close()
        return
    assert server is not None
    apps = ExternalStore(parse_redis_url(server.url), timeout=30, remember=3600)

    async def write(number: int) -> SessionCredential:
        sid = f"{number:032x}"
        record = json.dumps({"id": "u_ada"})
        await asyncio.to_thread(
            server.command_line, "SET", f"s:{sid}", record, "EX", "600"
        )
        credential = credential_of_id(PROFILE, sid)
        assert credential is not None
        return credential

    yield Subject(apps, write)
    await apps.close()


async def alive(subject: Subject, held: SessionCredential) -> bool:
    found = await subject.source.look_up(held, NOW)
    return isinstance(found, Session) and found.active


async def test_one_that_ended_is_distinguished_from_one_that_lives(
    subject: Subject,
) -> None:
    held = await subject.sign_in(1)
    await subject.source.end(held.key, NOW)
    other = await subject.sign_in(2)

    assert not await alive(subject, held)
    assert await alive(subject, other)


async def test_a_session_is_looked_up_and_asked_for_again(subject: Subject) -> None:
    held = await subject.sign_in(1)

    found = await subject.source.look_up(held, NOW)
    again = await subject.source.refresh(held.key, NOW)

    assert isinstance(found, Session)
    assert isinstance(again, Session)
    assert found.identity.id == again.identity.id == "u_ada"


async def test_an_end_is_for_the_next_look_and_given_once(subject: Subject) -> None:
    held = await subject.sign_in(1)
    assert await alive(subject, held)

    ended = await subject.source.end(held.key, NOW, "signed_out")
    again = await subject.source.end(held.key, NOW)

    assert ended is not None
    assert (ended.active, ended.ended_reason) == (False, "signed_out")
    assert again is None
    assert not await alive(subject, held)


async def test_all_sessions_of_a_user_end_except_one(subject: Subject) -> None:
    held = [await subject.sign_in(number) for number in (1, 2, 3)]
    assert all([await alive(subject, each) for each in held])

    count = await subject.source.end_all("u_ada", NOW, held[1].key)
    anonymous = await subject.source.end_all("another user", NOW, None)

    assert (count, anonymous) == (2, 0)
    assert [await alive(subject, each) for each in held] == [False, True, False]


async def test_an_end_is_published(subject: Subject) -> None:
    received: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.Event()
    subject.source.watch(lambda key, _: received.put_nowait(key), listening.set)
    await asyncio.wait_for(listening.wait(), PATIENCE)
    held = [await subject.sign_in(number) for number in (1, 2)]
    assert all([await alive(subject, each) for each in held])

    await subject.source.end(held[0].key, NOW)
    first = await asyncio.wait_for(received.get(), PATIENCE)
    await subject.source.end_all("u_ada", NOW, None)
    second = await asyncio.wait_for(received.get(), PATIENCE)
    while second == first:  # two notifications are allowed
        second = await asyncio.wait_for(received.get(), PATIENCE)

    assert (first, second) == (held[0].key, held[1].key)


async def test_a_late_watcher_is_called_since_it_listens(
    subject: Subject,
) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    subject.source.watch(lambda _key, _reason: None, first.set)
    await asyncio.wait_for(first.wait(), PATIENCE)
    subject.source.watch(lambda _key, _reason: None, second.set)
    await asyncio.wait_for(second.wait(), PATIENCE)


async def test_a_closed_source_cannot_say(subject: Subject) -> None:
    held = await subject.sign_in(1)
    await subject.source.ping()
    if isinstance(subject.source, MemoryStore):
        return
    await subject.source.close()

    with pytest.raises(StoreUnavailable):
        await subject.source.look_up(held, NOW)
    with pytest.raises(StoreUnavailable):
        await subject.source.end(held.key, NOW)
