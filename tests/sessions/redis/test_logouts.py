"""What providers ended, in Redis: under the documented rights, for a bounded time."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.sessions.provider_link import (
    MARK_LIFETIME,
    LogoutMark,
    ProviderLink,
    ProviderLogout,
)
from gateway.sessions.redis.record_keys import (
    link_keys,
    logout_marks,
    logout_marks_of,
    logout_token_key,
)
from tests.servers import Server, free_port, valkey_server
from tests.sessions.opened import documented_acl, opened
from tests.sessions.samples import NOW, a_key, a_session

LINK = ProviderLink(issuer="https://id.example", subject="a:b", session_id="s")
ENDED = ProviderLogout(
    issuer=LINK.issuer, subject="a:b", session_id=None, issued_at=NOW
)
MARK = LogoutMark(issued_at=NOW, received_at=NOW)
FACTS = {"issuer": LINK.issuer, "subject": "a:b", "session_id": "s", "issued_at": NOW}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    with valkey_server(folder, port=free_port()) as server:
        server.command_line(
            *("ACL", "SETUSER", "gateway", "on", ">pw", *documented_acl())
        )
        yield server


def limited(server: Server) -> str:
    return f"redis://gateway:pw@127.0.0.1:{server.port}/0"


async def test_the_documented_rights_are_enough_and_nothing_is_kept_for_ever(
    valkey: Server,
) -> None:
    async with opened(limited(valkey)) as store:
        session = replace(a_session(), extra={"provider": FACTS})
        await store.create(a_key(), session, NOW)
        await store.logouts.mark_logout(ENDED, MARK)
        assert await store.logouts.note_use(LINK.issuer, "j", 60)
        listed = await store.logouts.list_linked(ENDED)

    assert [key for key, _ in listed] == [a_key()]
    left = {
        name: await asyncio.to_thread(valkey.command_line, "PTTL", name)
        for name in (
            *link_keys(LINK),
            *logout_marks_of(ENDED),
            logout_token_key(LINK.issuer, "j"),
        )
    }
    assert all(each > 0 for each in left.values()), left
    assert left[logout_marks_of(ENDED)[0]] <= MARK_LIFETIME * 1000
    assert left[logout_token_key(LINK.issuer, "j")] <= 60_000


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b"[1,true]", b"\xff", b"[1,2,3]"])
async def test_bytes_that_are_no_mark_count_for_nothing(
    valkey: Server, raw: bytes
) -> None:
    async with opened(valkey.url) as store:
        for name in logout_marks(LINK):
            await asyncio.to_thread(valkey.command_line, "SET", name, raw)

        assert await store.logouts.find_marks(LINK) == []


async def test_an_index_of_another_type_is_empty(valkey: Server) -> None:
    async with opened(valkey.url) as store:
        for name in link_keys(LINK):
            await asyncio.to_thread(valkey.command_line, "SET", name, "text")

        assert await store.logouts.list_linked(ENDED) == []


async def test_an_index_leads_to_no_session_of_another_provider(valkey: Server) -> None:
    """The record is the truth: an entry that another program wrote is a hint."""
    async with opened(valkey.url) as store:
        await store.create(a_key("other"), a_session(), NOW)
        for name in link_keys(LINK):
            await asyncio.to_thread(valkey.command_line, "DEL", name)
            await asyncio.to_thread(
                valkey.command_line, "ZADD", name, "1", a_key("other")
            )

        assert await store.logouts.list_linked(ENDED) == []


def test_no_two_places_share_a_key() -> None:
    other = replace(LINK, subject="a", session_id="b:s")
    places = [*link_keys(LINK), *link_keys(other), *logout_marks(LINK)]
    places += [*logout_marks(other), logout_token_key(LINK.issuer, "sid:s:ended")]

    assert len(set(places)) == len(places)
