"""ExternalStore on a real server: what it asks, what it remembers, what it may."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.external.cache import SEEN_BYTES, SETTLED, CacheEntry
from gateway.sessions.external.session_lookups import AT_ONCE
from gateway.sessions.external.store import ExternalStore
from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import (
    Credential,
    credential_of_id,
    is_public_id,
)
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import FormatSettings
from gateway.sessions.record import AnonymousSession, Corrupt, Session
from gateway.sessions.redis.url import parse_redis_url
from tests.servers import PATIENCE, Server, redis_binary, valkey_binary, valkey_server
from tests.sessions.samples import the_session

NOW = 1_795_219_200.0
SID = "0123456789abcdef0123456789abcdef"
BINARIES = {"valkey": valkey_binary(), "redis": redis_binary()}
DOCUMENT = Path(__file__).parents[3] / "docs" / "session-formats.md"


def profile_of(**words: dict[str, bool | str] | str) -> Profile:
    stated = {"id": "[0-9a-f]{32}", "key": "s:{id}", "identity": "$.user.id", **words}
    return compile_format(
        FormatSettings(format="json", cookie_name="sid", profile=stated)
    )


PLAIN = profile_of()
MEMBERS = profile_of(
    then={"key": "m:{$.user.id}", "required": False}, tenants="$then.tenants"
)


def a_credential(profile: Profile = PLAIN, sid: str = SID) -> Credential:
    credential = credential_of_id(profile, sid)
    assert credential is not None
    return credential


KEY = a_credential().key


@pytest.fixture(
    scope="module", params=[name for name, path in BINARIES.items() if path]
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    with valkey_server(folder, binary=BINARIES[request.param]) as running:
        yield running


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ExternalStore]:
    options = {"timeout": 5, "remember": 3600.0, **options}
    store = ExternalStore(parse_redis_url(url), **options)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[ExternalStore]:
    server.command_line("FLUSHALL")
    async with opened(server.url) as store:
        yield store


def put(server: Server, value: object, key: str = f"s:{SID}", life: int = 60) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    server.command_line("SET", key, raw, "EX", str(life))


def seen(store: ExternalStore) -> CacheEntry:
    entry = store._seen.get(KEY)
    assert entry is not None
    return entry


def calls(server: Server) -> dict[str, int]:
    """How often each command was served."""
    stats = server.command_line("INFO", "commandstats")
    assert isinstance(stats, bytes)
    found = {}
    for line in stats.decode().split("\r\n"):
        if line.startswith("cmdstat_"):
            name, _, rest = line.removeprefix("cmdstat_").partition(":calls=")
            found[name] = int(rest.partition(",")[0])
    return found


def served(server: Server, before: dict[str, int], name: str) -> int:
    return calls(server).get(name, 0) - before.get(name, 0)


def reads(server: Server) -> int:
    """How often the server has read from a connection."""
    stats = server.command_line("INFO", "stats")
    assert isinstance(stats, bytes)
    return int(stats.partition(b"total_reads_processed:")[2].split()[0])


# --- what is asked


async def test_a_session_seen_before_costs_one_question(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    before = calls(server)
    cold = await store.look_up(a_credential(), NOW)
    in_cold = {name: served(server, before, name) for name in ("getrange", "mget")}
    before = calls(server)
    warm = await store.look_up(a_credential(), NOW)
    in_warm = {name: served(server, before, name) for name in ("getrange", "mget")}

    assert isinstance(cold, Session)
    assert isinstance(warm, Session)
    # The identity is not known before the record is: its notes are asked for then.
    assert in_cold == {"getrange": 1, "mget": 2}
    assert in_warm == {"getrange": 1, "mget": 1}


async def test_a_second_record_is_asked_for_with_the_first_once_it_is_known(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    put(server, {"tenants": {"t": {"name": "T"}}}, "m:u")
    credential = a_credential(MEMBERS)
    await store.look_up(credential, NOW)
    before = calls(server)

    warm = await store.look_up(credential, NOW)

    assert isinstance(warm, Session)
    assert set(warm.tenants) == {"t"}
    assert served(server, before, "getrange") == 2
    assert served(server, before, "mget") == 1


async def test_a_wrong_prediction_gives_no_session_of_another_user(
    store: ExternalStore, server: Server
) -> None:
    """The same session is somebody else's now: other memberships, another end."""
    put(server, {"user": {"id": "u"}})
    put(server, {"tenants": {"t_u": {"name": "U"}}}, "m:u")
    put(server, {"tenants": {"t_v": {"name": "V"}}}, "m:v")
    credential = a_credential(MEMBERS)
    await store.look_up(credential, NOW)

    put(server, {"user": {"id": "v"}})
    changed = await store.look_up(credential, NOW)
    await store.end_all("v", NOW, None)
    ended = await store.look_up(credential, NOW)

    assert isinstance(changed, Session)
    assert set(changed.tenants) == {"t_v"}
    assert isinstance(ended, Session)
    assert not ended.active


async def test_memberships_that_change_are_seen_at_the_next_look(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    put(server, {"tenants": {"t": {"name": "T"}}}, "m:u")
    credential = a_credential(MEMBERS)
    before = await store.look_up(credential, NOW)
    server.command_line("DEL", "m:u")

    after = await store.look_up(credential, NOW)

    assert isinstance(before, Session)
    assert isinstance(after, Session)
    assert (len(before.tenants), len(after.tenants)) == (1, 0)


async def test_those_who_ask_in_one_turn_ask_together(
    store: ExternalStore, server: Server
) -> None:
    ids = [f"{number:032x}" for number in range(AT_ONCE * 2)]
    for sid in ids:
        put(server, {"user": {"id": "u"}}, f"s:{sid}")
    before, read = calls(server), reads(server)

    found = await asyncio.gather(
        *(store.look_up(a_credential(sid=sid), NOW) for sid in ids)
    )

    assert all(isinstance(each, Session) for each in found)
    assert served(server, before, "getrange") == len(ids)
    # Two batches of records, and two for the notes of their identity; a batch may
    # arrive in a few parts.
    assert reads(server) - read <= len(ids) / 8


async def test_the_same_bytes_are_parsed_once(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    await store.look_up(a_credential(), NOW)
    first = seen(store).interpretation
    await store.look_up(a_credential(), NOW)

    assert seen(store).interpretation is first


async def looked_up(store: ExternalStore, now: float = NOW) -> Session:
    return the_session(await store.look_up(a_credential(), now))


async def test_one_object_stands_for_an_unchanged_session(
    store: ExternalStore, server: Server
) -> None:
    """What was derived from it may be kept for as long as it is the same."""
    put(server, {"user": {"id": "u"}})
    server.command_line("SET", f"gateway:issued:{KEY}", f"{NOW - 60:.6f}")
    first = await looked_up(store)

    assert await looked_up(store, NOW + 1) is first
    assert first.issued_at == NOW - 60
    assert await looked_up(store, NOW + SETTLED) is not first
    assert await looked_up(store, NOW - 1) is not first


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("SET", f"s:{SID}", '{"user": {"id": "v"}}', "EX", "600"), id="record"),
        pytest.param(("EXPIRE", f"s:{SID}", "590"), id="shorter"),
        pytest.param(("EXPIRE", f"s:{SID}", "900"), id="longer"),
        pytest.param(("SET", f"gateway:issued:{KEY}", f"{NOW - 60:.6f}"), id="beginning"),
        pytest.param(("SET", f"gateway:revoked:{KEY}", "1"), id="revoked"),
        pytest.param(("SET", "gateway:not-before:u", f"{NOW:.6f}"), id="all revoked"),
    ],
)  # fmt: skip
async def test_a_changed_session_is_another_object(
    store: ExternalStore, server: Server, change: tuple[str, ...]
) -> None:
    put(server, {"user": {"id": "u"}})
    server.command_line("EXPIRE", f"s:{SID}", "600")
    first = await looked_up(store)
    server.command_line(*change)

    assert await looked_up(store) is not first


async def test_a_session_that_is_deleted_is_gone_at_once(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    await looked_up(store)
    server.command_line("DEL", f"s:{SID}")

    assert await store.look_up(a_credential(), NOW) is None


async def test_a_long_record_is_read_and_not_kept(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}, "more": "x" * SEEN_BYTES})

    for _ in range(2):
        assert isinstance(await store.look_up(a_credential(), NOW), Session)
    assert seen(store).raw is None


async def test_a_long_record_that_was_emptied_is_nobodys(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}, "more": "x" * SEEN_BYTES})
    assert isinstance(await store.look_up(a_credential(), NOW), Session)

    put(server, b"")

    assert isinstance(await store.look_up(a_credential(), NOW), Corrupt)


async def test_another_profile_reads_the_same_bytes_again(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}, "other": "v"})
    one = await store.look_up(a_credential(), NOW)
    two = await store.look_up(a_credential(profile_of(identity="$.other")), NOW)

    assert isinstance(one, Session)
    assert isinstance(two, Session)
    assert (one.identity.id, two.identity.id) == ("u", "v")


async def test_the_ttl_of_the_key_is_the_end_of_the_session(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}}, life=100)

    found = await store.look_up(a_credential(), NOW)

    assert isinstance(found, Session)
    assert NOW + 60 < found.expires_at <= NOW + 100


@pytest.mark.parametrize(
    ("value", "kind"),
    [(b"", Corrupt), (b"{}", AnonymousSession), (b"\x80", Corrupt)],
    ids=["empty", "guest", "broken"],
)
async def test_what_is_no_session_is_distinguished(
    store: ExternalStore,
    server: Server,
    value: bytes,
    kind: type[Corrupt | AnonymousSession],
) -> None:
    put(server, value)

    assert isinstance(await store.look_up(a_credential(), NOW), kind)


async def test_no_key_is_no_session_and_an_empty_one_is_another_thing(
    store: ExternalStore, server: Server
) -> None:
    assert await store.look_up(a_credential(), NOW) is None
    server.command_line("LPUSH", f"s:{SID}", "x")
    assert isinstance(await store.look_up(a_credential(), NOW), Corrupt)


async def test_an_unreadable_session_is_reported_once(server: Server) -> None:
    reported = []
    server.command_line("FLUSHALL")
    put(server, b"{")
    async with opened(
        server.url, on_corrupt=lambda *what: reported.append(what)
    ) as store:
        for _ in range(3):
            await store.look_up(a_credential(), NOW)

    assert reported == [(KEY, "not strict JSON")]


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        (
            [("SET", f"s:{SID}", "{}")],
            "the key has no TTL, and allow_no_ttl is not set",
        ),
        (
            [("HSET", f"s:{SID}", "a", "b"), ("EXPIRE", f"s:{SID}", 60)],
            "a Redis key that holds no string",
        ),
    ],
)
async def test_a_key_that_is_not_even_parsed_is_reported_once(
    server: Server, commands: list[tuple[str | int, ...]], why: str
) -> None:
    reported: list[tuple[str, str]] = []
    server.command_line("FLUSHALL")
    for command in commands:
        server.command_line(*map(str, command))
    async with opened(
        server.url, on_corrupt=lambda *what: reported.append(what)
    ) as store:
        for _ in range(3):
            await store.look_up(a_credential(), NOW)

    assert reported == [(KEY, why)]


async def test_who_was_not_looked_up_cannot_be_asked_again(
    store: ExternalStore,
) -> None:
    with pytest.raises(StoreUnavailable):
        await store.refresh(KEY, NOW)


# --- what an operator names


async def test_a_session_is_found_by_its_id_and_by_its_public_one(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    put(server, {"user": {"id": "u"}}, "s:not-an-id")
    hashed = profile_of(key="s:{sha256:id}")

    by_id = await store.search(PLAIN, SID)
    by_hash = await store.search(PLAIN, KEY)
    unknown = await store.search(PLAIN, hashlib.sha256(b"other").hexdigest())
    direct = await store.search(hashed, KEY)

    assert by_id is not None
    assert by_hash is not None
    assert direct is not None
    assert by_id.record_key == by_hash.record_key == f"s:{SID}"
    assert direct.record_key == f"s:{KEY}"
    assert unknown is None
    assert await store.search(PLAIN, "nobody") is None
    assert not is_public_id(KEY.upper())


# --- how it ends


async def test_an_end_is_remembered_as_long_as_the_session_could_live(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}}, life=7200)
    await store.look_up(a_credential(), NOW)
    ended = await store.end(KEY, NOW)
    unseen = await store.end("f" * 64, NOW)

    assert ended is not None
    assert not ended.active
    assert unseen is None
    longer = server.command_line("PTTL", f"gateway:revoked:{KEY}")
    least = server.command_line("PTTL", f"gateway:revoked:{'f' * 64}")
    assert isinstance(longer, int)
    assert isinstance(least, int)
    assert 3_600_000 < longer <= 7_200_000
    assert least <= 3_600_000


async def test_to_end_what_has_ended_gives_none(
    store: ExternalStore, server: Server
) -> None:
    put(server, {"user": {"id": "u"}})
    await store.look_up(a_credential(), NOW)

    assert await store.end(KEY, NOW) is not None
    assert await store.end(KEY, NOW) is None


async def test_all_but_one_end_and_those_seen_are_counted(
    store: ExternalStore, server: Server
) -> None:
    other = "f" * 32
    for sid in (SID, other):
        put(server, {"user": {"id": "u"}}, f"s:{sid}")
        await store.look_up(a_credential(sid=sid), NOW)

    count = await store.end_all("u", NOW, KEY)

    spared = await store.look_up(a_credential(), NOW)
    ended = await store.look_up(a_credential(sid=other), NOW)
    assert count == 1
    assert isinstance(spared, Session)
    assert isinstance(ended, Session)
    assert (spared.active, ended.active) == (True, False)


async def test_a_session_of_the_future_is_ended_with_the_others_for_good(
    store: ExternalStore, server: Server
) -> None:
    """The clock of the app is an hour ahead: it began before they were ended."""
    profile = profile_of(created={"path": "$.at", "unit": "s"})
    put(server, {"user": {"id": "u"}, "at": NOW + 3600}, life=9_000)
    credential = a_credential(profile)
    assert the_session(await store.look_up(credential, NOW)).active
    await store.end_all("u", NOW + 10, None)

    at_once = the_session(await store.look_up(credential, NOW + 20))
    later = the_session(await store.look_up(credential, NOW + 4_000))

    assert (at_once.active, later.active) == (False, False)


@pytest.mark.parametrize("value", ["", "1", "nonsense"])
async def test_whatever_a_tombstone_holds_counts(
    store: ExternalStore, server: Server, value: str
) -> None:
    put(server, {"user": {"id": "u"}})
    server.command_line("SET", f"gateway:revoked:{KEY}", value)

    found = await store.look_up(a_credential(), NOW)

    assert isinstance(found, Session)
    assert not found.active


# --- what it may


def documented_acl() -> tuple[list[str], list[str]]:
    """The rules that the document says are enough: plain, and for Cluster too."""
    text = DOCUMENT.read_text(encoding="utf-8")
    plain = text.partition("ACL SETUSER gateway on >PASSWORD ")[2].partition("\n\n")[0]
    cluster = text.partition("Cluster also needs `")[2].partition("`")[0]
    return plain.replace("better-auth:", "s:").split(), cluster.split()


async def test_the_documented_acl_user_can_do_all_and_no_more(server: Server) -> None:
    server.command_line("FLUSHALL")
    plain, _ = documented_acl()
    server.command_line("ACL", "SETUSER", "gw", "reset", "on", ">pw", *plain)
    put(server, {"user": {"id": "u"}})
    listening = asyncio.Event()
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with opened(server.url.replace("://", "://gw:pw@")) as store:
        store.watch(lambda key, why: received.put_nowait((key, why)), listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        await store.ping()
        found = await store.look_up(a_credential(), NOW)
        await store.notes.began(KEY, NOW)
        await store.end_all("u", NOW, KEY)
        await store.end(KEY, NOW)
        stated = await asyncio.wait_for(received.get(), PATIENCE)

        assert isinstance(found, Session)
        assert stated == (KEY, "revoked")
        for command in (
            ("SET", f"s:{SID}", "x"),
            ("SET", "gateway:session:forged", "x"),
            ("DEL", f"s:{SID}"),
            ("PEXPIRE", f"s:{SID}", 1),
            ("GETRANGE", "elsewhere", 0, 1),
            ("GETEX", f"s:{SID}"),
            ("KEYS", "*"),
            ("EVAL", "return 1", 0),
            ("CONFIG", "GET", "*"),
        ):
            with pytest.raises(StoreUnavailable, match=r"(?i)permission"):
                await store._client.call(*command)
        # Nobody named a session by its public id alone, so nobody walked the keys.
        with pytest.raises(StoreUnavailable, match=r"(?i)permission"):
            await store.search(PLAIN, KEY)


async def test_what_redis_forbids_is_an_outage_and_not_a_no(server: Server) -> None:
    server.command_line("FLUSHALL")
    put(server, {"user": {"id": "u"}})
    plain, _ = documented_acl()
    for lacking in ("+getrange", "+mget", "+pttl"):
        rules = [rule for rule in plain if rule != lacking]
        server.command_line("ACL", "SETUSER", "poor", "reset", "on", ">pw", *rules)
        async with opened(server.url.replace("://", "://poor:pw@")) as store:
            with pytest.raises(StoreUnavailable, match=r"(?i)permission"):
                await store.look_up(a_credential(), NOW)
