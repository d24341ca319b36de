"""Ends of access tokens of providers, in Redis: what they mean, and how long they stay."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.provider_link import LogoutMark, ProviderLink, ProviderLogout
from gateway.sessions.provider_token import EVERY_TOKEN, LONGEST_LIFE, TokenFacts
from gateway.sessions.redis.record_keys import (
    identity_end_key,
    logout_marks,
    token_end_key,
)
from gateway.sessions.redis.store import RedisStore
from tests.servers import PATIENCE, Server, free_port, valkey_server
from tests.sessions.opened import documented_acl, opened
from tests.sessions.samples import NOW

LINK = ProviderLink(issuer="https://id.example", subject="a:b", session_id="s")
FACTS = TokenFacts(key="jwt:ab12", identity_id="u:1", link=LINK, issued_at=NOW)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    with valkey_server(folder, port=free_port()) as server:
        server.command_line(
            *("ACL", "SETUSER", "gateway", "on", ">pw", *documented_acl())
        )
        yield server


@pytest.fixture(autouse=True)
def empty(valkey: Server) -> None:
    valkey.command_line("FLUSHALL")


def limited(server: Server) -> str:
    return f"redis://gateway:pw@127.0.0.1:{server.port}/0"


async def test_one_token_ends_and_no_other(valkey: Server) -> None:
    async with opened(limited(valkey)) as store:
        assert not await store.token_ends.has_ended(FACTS)
        await store.token_ends.end_token(FACTS.key, 300.0)

        assert await store.token_ends.has_ended(FACTS)
        assert not await store.token_ends.has_ended(replace(FACTS, key="jwt:ab13"))
    left = await asyncio.to_thread(
        valkey.command_line, "PTTL", token_end_key("jwt:ab12")
    )
    assert 0 < left <= 360_000


async def test_those_of_an_identity_end_that_were_issued_until_then(
    valkey: Server,
) -> None:
    async with opened(limited(valkey)) as store:
        await store.token_ends.end_identity("u:1", NOW)

        for later, ended in ((-100, True), (0, True), (60, True), (61, False)):
            facts = replace(FACTS, issued_at=NOW + later)
            assert await store.token_ends.has_ended(facts) is ended
        assert not await store.token_ends.has_ended(replace(FACTS, identity_id="u"))
    left = await asyncio.to_thread(valkey.command_line, "PTTL", identity_end_key("u:1"))
    assert left > LONGEST_LIFE * 1000


@pytest.mark.parametrize(
    ("subject", "sid", "ended"),
    [("a:b", None, True), (None, "s", True), ("a:b", "s", True), ("a:b", "t", False)],
)
async def test_a_logout_of_the_provider_ends_them(
    valkey: Server, subject: str | None, sid: str | None, ended: bool
) -> None:
    logout = ProviderLogout(
        issuer=LINK.issuer, subject=subject, session_id=sid, issued_at=NOW
    )
    async with opened(limited(valkey)) as store:
        mark = LogoutMark(issued_at=NOW, received_at=NOW + 5)
        await store.logouts.mark_logout(logout, mark, 5000.0)

        assert await store.token_ends.has_ended(FACTS) is ended
        later = replace(FACTS, issued_at=NOW + 1)
        assert not await store.token_ends.has_ended(later)


async def test_an_older_logout_that_comes_later_takes_nothing_back(
    valkey: Server,
) -> None:
    facts = replace(FACTS, issued_at=NOW - 50.25)
    async with opened(limited(valkey)) as store:
        for at, received, keep in ((0.0, 1.0, 5000.0), (-200.0, 2.0, 960.0)):
            logout = ProviderLogout(
                issuer=LINK.issuer, subject="a:b", session_id=None, issued_at=NOW + at
            )
            mark = LogoutMark(issued_at=NOW + at, received_at=NOW + received)
            await store.logouts.mark_logout(logout, mark, keep)

        assert await store.token_ends.has_ended(facts)
    async with opened(limited(valkey)) as other:
        assert await other.token_ends.has_ended(facts)
        marks = await other.logouts.find_marks(LINK)
    assert marks == [LogoutMark(issued_at=NOW, received_at=NOW + 2.0)]
    left = await asyncio.to_thread(valkey.command_line, "PTTL", logout_marks(LINK)[0])
    assert left > 4_900_000


async def test_an_earlier_end_of_an_identity_takes_nothing_back(valkey: Server) -> None:
    async with opened(limited(valkey)) as store:
        await store.token_ends.end_identity("u:1", NOW + 0.123456)
        await store.token_ends.end_identity("u:1", NOW - 500)
    raw = await asyncio.to_thread(valkey.command_line, "GET", identity_end_key("u:1"))
    assert float(raw) == NOW + 0.123456


async def test_ends_of_tokens_are_written_again_on_a_server_that_lacks_them(
    tmp_path: Path,
) -> None:
    logout = ProviderLogout(
        issuer=LINK.issuer, subject="a:b", session_id=None, issued_at=NOW
    )
    by_provider = replace(FACTS, key="jwt:other", identity_id="another")
    kinds = (FACTS, replace(FACTS, key="jwt:x"), by_provider)
    with valkey_server(tmp_path, port=free_port()) as server:
        async with opened(server.tcp_url) as store, opened(server.tcp_url) as other:
            notices = asyncio.Queue[str]()
            other.watch(lambda key, _reason: notices.put_nowait(key), None)
            async with asyncio.timeout(PATIENCE):
                while not server.command_line("PUBSUB", "CHANNELS"):
                    await asyncio.sleep(0)
                await store.token_ends.end_token(FACTS.key, 3600.0)
                await store.token_ends.end_identity("u:1", NOW)
                mark = LogoutMark(issued_at=NOW, received_at=NOW)
                await store.logouts.mark_logout(logout, mark, 5000.0)
                for _ in range(3):
                    await notices.get()
                assert await other.token_ends.has_ended(FACTS)
            await store.close()
            # What was written is lost with the server; nothing was saved.
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start_again)
            for facts in kinds:
                assert await _ended(other, facts)
        async with opened(server.tcp_url) as third:
            for facts in kinds:
                assert await third.token_ends.has_ended(facts)


async def _ended(store: RedisStore, facts: TokenFacts) -> bool:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await store.token_ends.has_ended(facts)
            except StoreUnavailable:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "raw", ["", "x", "null", "[]", "{}", '"a"', "[1]", '"nan"', "true", "nan"]
)
async def test_a_mark_that_cannot_be_read_ends(valkey: Server, raw: str) -> None:
    for name in (identity_end_key("u:1"), logout_marks(LINK)[0]):
        valkey.command_line("SET", name, raw)
        async with opened(limited(valkey)) as store:
            assert await store.token_ends.has_ended(FACTS)
        valkey.command_line("DEL", name)


async def test_the_end_of_an_identity_is_kept_where_tokens_are_accepted(
    valkey: Server,
) -> None:
    async with opened(limited(valkey)) as store:
        await store.end_all("u:1", NOW, None)
        assert not await store.token_ends.has_ended(FACTS)
        store.takes_provider_tokens = lambda: True
        await store.end_all("u:1", NOW, None, tokens=False)
        assert not await store.token_ends.has_ended(FACTS)
        await store.end_all("u:1", NOW, "a session that stays")
        assert await store.token_ends.has_ended(FACTS)


async def test_watchers_are_notified(valkey: Server) -> None:
    ended: list[str] = []
    async with opened(limited(valkey)) as other, opened(limited(valkey)) as store:
        ready, came = asyncio.Event(), asyncio.Event()

        def on_ended(key: str, _reason: str) -> None:
            ended.append(key)
            came.set()

        other.watch(on_ended, ready.set)
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
            await store.token_ends.end_token(FACTS.key, 60.0)
            await came.wait()
    assert ended == [EVERY_TOKEN]
