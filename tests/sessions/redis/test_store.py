"""RedisStore when Redis is not well: decided soon, healed at once, never confused."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import serialise
from gateway.sessions.redis.lookup import MAX_KEYS
from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.store import RedisStore
from tests.servers import (
    PATIENCE,
    SOON,
    Server,
    free_port,
    redis_binary,
    valkey_binary,
    valkey_server,
)
from tests.sessions.opened import documented_acl, opened
from tests.sessions.samples import DAY, NOW, a_key, a_session, the_session

KEY = a_key()
TIMEOUT = 0.25  # the product's default


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    with valkey_server(folder, port=free_port()) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    with valkey_server(tmp_path, port=free_port()) as server:
        yield server


async def refusal(store: RedisStore) -> tuple[str, float]:
    """The error of a look-up, and how long it took to be told."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await store.load(KEY)
    return str(caught.value), time.monotonic() - began


async def tried(store: RedisStore) -> object:
    """Give the record, or None where this took too long."""
    try:
        return await store.load(KEY)
    except StoreUnavailable:
        return None


@pytest.mark.parametrize("kind", ["tcp_url", "url"])
async def test_a_frozen_server_is_decided_within_the_timeout(
    own_valkey: Server, kind: str
) -> None:
    url = getattr(own_valkey, kind)
    async with opened(url) as patient, opened(url, timeout=TIMEOUT) as store:
        await patient.create(KEY, a_session(), NOW)
        own_valkey.freeze()
        why, took = await refusal(store)
        connecting, again = await refusal(store)
        own_valkey.thaw()

        assert why == connecting == "no answer within 250 ms"
        assert took < SOON
        assert again < SOON
        async with asyncio.timeout(PATIENCE):
            while (found := await tried(store)) is None:
                continue
        assert found == a_session()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{port}", "unix:///nonexistent/{port}"]
)
async def test_a_server_that_is_away_is_decided_at_once(url: str) -> None:
    async with opened(url.format(port=free_port())) as store:
        _, took = await refusal(store)

        assert took < SOON
        with pytest.raises(StoreUnavailable):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            await store.create(KEY, a_session(), NOW)
        with pytest.raises(StoreUnavailable):
            await store.list_for("u_ada", NOW)


async def test_a_restart_refuses_no_request(own_valkey: Server) -> None:
    async with opened(own_valkey.tcp_url) as store:
        raw = serialise(a_session())
        await asyncio.gather(*(store._client.get(f"k{n}") for n in range(20)))
        own_valkey.stop()
        with pytest.raises(StoreUnavailable):
            await store.load(KEY)
        own_valkey.start_again()
        own_valkey.command_line("SET", record_key(KEY), raw)

        # As many at once as there are connections in the pool, all of them dead.
        answers = await asyncio.gather(
            *(store._client.get(record_key(KEY)) for _ in range(40))
        )

        assert set(answers) == {raw}


async def test_dead_pooled_connections_are_not_felt(own_valkey: Server) -> None:
    async with opened(own_valkey.tcp_url) as store:
        await store.create(KEY, a_session(), NOW)
        await asyncio.gather(*(store._client.get(f"k{n}") for n in range(20)))
        own_valkey.command_line("CLIENT", "KILL", "TYPE", "normal")

        answers = await asyncio.gather(
            *(store._client.get(record_key(KEY)) for _ in range(40))
        )

        assert set(answers) == {serialise(a_session())}


async def test_a_server_that_is_loading_is_unavailable(own_valkey: Server) -> None:
    fill = "for i = 1, 2000 do redis.call('SET', i, string.rep('x', 2048)) end"
    own_valkey.command_line("EVAL", fill, "0")
    own_valkey.command_line("CONFIG", "SET", "rdbcompression", "no")
    own_valkey.command_line("SAVE")
    own_valkey.stop()
    own_valkey.command += ["--key-load-delay", "10000"]
    own_valkey.command += ["--loading-process-events-interval-bytes", "1024"]
    own_valkey.start()
    async with opened(own_valkey.url) as store:
        assert "LOADING" in (await _first_answer(store)).upper()


async def _first_answer(store: RedisStore) -> str:
    """What is said once there is a server at all."""
    async with asyncio.timeout(PATIENCE):
        while True:
            why, _ = await refusal(store)
            if "ConnectionError" not in why and "No such file" not in why:
                return why
            await asyncio.sleep(0.01)


async def test_a_replica_that_lost_its_master_is_unavailable(
    own_valkey: Server,
) -> None:
    own_valkey.command_line("CONFIG", "SET", "replica-serve-stale-data", "no")
    own_valkey.command_line("REPLICAOF", "127.0.0.1", str(free_port()))
    async with opened(own_valkey.url) as store:
        why, _ = await refusal(store)

        assert "MasterDown" in why


async def test_a_cluster_node_asked_as_a_single_server_is_unavailable(
    tmp_path: Path,
) -> None:
    with valkey_server(tmp_path, "--cluster-enabled", "yes") as server:
        async with opened(server.url) as store:
            why, _ = await refusal(store)

            assert "CLUSTERDOWN" in why or "Hash slot not served" in why


@pytest.mark.parametrize(
    "user", ["", "default:wrong@", "nobody:secret-word@"], ids=["none", "bad", "who"]
)
async def test_refused_credentials_are_unavailable_and_not_repeated(
    tmp_path: Path, user: str
) -> None:
    with valkey_server(tmp_path, "--requirepass", "right") as server:
        async with opened(f"unix://{user}{server.socket_path}") as store:
            why, _ = await refusal(store)

            assert "uthentication" in why or "password" in why
            assert "secret-word" not in why
            assert "wrong" not in why


async def test_a_command_that_is_not_permitted_is_unavailable(
    own_valkey: Server,
) -> None:
    own_valkey.command_line(
        "ACL", "SETUSER", "poor", "on", ">pw", "~gateway:*", "+mget"
    )
    async with opened(f"unix://poor:pw@{own_valkey.socket_path}") as store:
        assert await store.load(KEY) is None
        with pytest.raises(StoreUnavailable, match="NoPermission"):
            await store.create(KEY, a_session(), NOW)


async def test_the_documented_acl_user_can_do_all(own_valkey: Server) -> None:
    rules = documented_acl()
    own_valkey.command_line("ACL", "SETUSER", "gw", "on", ">p@ss", *rules)
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    listening = asyncio.Event()
    async with opened(f"unix://gw:p%40ss@{own_valkey.socket_path}?db=2") as store:
        store.watch(lambda key, why: received.put_nowait((key, why)), listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        await store.create(KEY, a_session(), NOW)
        assert await store.replace(KEY, a_session(), a_session(last_seen_at=NOW + 60))
        assert len(await store.list_for("u_ada", NOW)) == 1
        assert await store.end_all("u_ada", NOW, None) == 1
        assert await asyncio.wait_for(received.get(), PATIENCE) == (KEY, "revoked")
        await store.ping()


async def test_a_key_of_another_type_is_no_session(valkey: Server) -> None:
    key = a_key("list")
    valkey.command_line("RPUSH", record_key(key), "x")
    valkey.command_line("SET", "gateway:identity:u_odd:sessions", "x")
    async with opened(valkey.url) as store:
        assert await store.load(key) is None
        assert await store.end(key, NOW) is None
        assert await store.replace(key, a_session(), a_session()) is False
        assert await store.list_for("u_odd", NOW) == []


async def test_a_spoiled_index_does_not_stop_sign_ins(valkey: Server) -> None:
    valkey.command_line("SET", "gateway:identity:u_ada:sessions", "x")
    async with opened(valkey.url) as store:
        await store.create(a_key("spoiled"), a_session(), NOW)

        listed = await store.list_for("u_ada", NOW)
        assert [key for key, _ in listed] == [a_key("spoiled")]


async def test_an_index_that_lies_is_not_believed(valkey: Server) -> None:
    other, gone = a_key("other-identity"), a_key("gone")
    index = "gateway:identity:u_liar:sessions"
    async with opened(valkey.url) as store:
        await store.create(other, a_session(id="s-other"), NOW)
        for member in (other, gone, "not a hash", "*", b"\xff"):
            valkey.command_line("ZADD", index, "1", member)
        valkey.command_line("SET", "gateway:session-id:s-liar", other)

        assert await store.list_for("u_liar", NOW) == []
        assert await store.end_all("u_liar", NOW, None) == 0
        assert await store.find("s-liar") is None
        assert the_session(await store.load(other)).active


async def test_corrupt_bytes_are_reported_once_per_key(valkey: Server) -> None:
    reported = []
    valkey.command_line("SET", record_key(a_key("bad")), "{")
    async with opened(
        valkey.url, on_corrupt=lambda key, why: reported.append((key, why))
    ) as store:
        for _ in range(3):
            assert isinstance(await store.load(a_key("bad")), Corrupt)
        valkey.command_line("SET", record_key(a_key("bad")), "[]")
        await store.load(a_key("bad"))

    assert reported == [(a_key("bad"), "not JSON")]


async def test_one_turn_of_the_loop_is_one_round_trip_and_one_key_each(
    valkey: Server,
) -> None:
    async with opened(valkey.url) as store:
        await store.load(KEY)
        valkey.command_line("CONFIG", "RESETSTAT")

        await asyncio.gather(*(store.load(a_key(str(n % 10))) for n in range(200)))

        stats = valkey.command_line("INFO", "commandstats").decode()
        assert "cmdstat_mget:calls=1," in stats
        assert "keyspace_misses:10" in valkey.command_line("INFO", "stats").decode()


async def test_many_keys_are_asked_in_bounded_batches(valkey: Server) -> None:
    async with opened(valkey.url) as store:
        await store.load(KEY)
        valkey.command_line("CONFIG", "RESETSTAT")

        await asyncio.gather(*(store.load(a_key(str(n))) for n in range(2 * MAX_KEYS)))

        stats = valkey.command_line("INFO", "commandstats").decode()
        assert "cmdstat_mget:calls=2," in stats


async def test_redis_is_asked_each_time_and_same_bytes_are_parsed_once(
    valkey: Server,
) -> None:
    key = a_key("parsed-once")
    async with opened(valkey.url) as store:
        await store.create(key, a_session(), NOW)

        first, second = await store.load(key), await store.load(key)
        valkey.command_line("DEL", record_key(key))

        assert first is second
        assert await store.load(key) is None


async def test_cancelled_requests_never_give_another_ones_answer(
    valkey: Server,
) -> None:
    """Askers that give up at any moment leave the others their own answers."""
    keys = [a_key(f"c{number}") for number in range(30)]
    chance = random.Random(7)
    async with opened(valkey.url) as store:
        for number, key in enumerate(keys):
            await store.create(key, a_session(id=f"s{number}"), NOW)

        async def asked(number: int) -> None:
            answer = await store.load(keys[number])
            assert isinstance(answer, Session)
            assert answer.id == f"s{number}"

        for _ in range(60):
            tasks = [
                asyncio.ensure_future(asked(chance.randrange(30))) for _ in range(40)
            ]
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(
                answer is None or isinstance(answer, asyncio.CancelledError)
                for answer in answers
            )
            assert answers[1::2] == [None] * 20
        assert store._lookups._waiting == 0


async def test_a_cancelled_write_leaves_no_answer_for_the_next(
    own_valkey: Server,
) -> None:
    async with opened(own_valkey.url) as store:
        own_valkey.command_line("SET", "a", "1")
        own_valkey.command_line("SET", "b", "2")
        for pause in range(12):
            task = asyncio.ensure_future(store._client.get("a"))
            for _ in range(pause):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

            assert await store._client.get("b") == b"2"


async def test_a_record_is_kept_a_day_longer_than_its_session(valkey: Server) -> None:
    key = a_key("ttl")
    async with opened(valkey.url) as store:
        await store.create(key, a_session(id="s-ttl"), NOW)
        kept = valkey.command_line("TTL", record_key(key))
        hint = valkey.command_line("TTL", "gateway:session-id:s-ttl")
        await store.replace(
            key,
            a_session(id="s-ttl"),
            a_session(id="s-ttl", expires_at=NOW + 2 * DAY, last_seen_at=NOW + DAY / 2),
        )
        extended = valkey.command_line("TTL", record_key(key))
        await store.end(key, NOW + DAY)
        ended = valkey.command_line("TTL", record_key(key))

    assert 2 * DAY - 5 <= kept <= 2 * DAY
    assert 2 * DAY - 5 <= hint <= 2 * DAY
    assert 2.5 * DAY - 5 <= extended <= 2.5 * DAY
    assert 2 * DAY - 5 <= ended <= 2 * DAY


async def test_a_write_that_keeps_the_end_keeps_the_time_to_live(
    valkey: Server,
) -> None:
    key = a_key("keepttl")
    async with opened(valkey.url) as store:
        await store.create(key, a_session(), NOW)
        valkey.command_line("EXPIRE", record_key(key), "100")

        await store.replace(key, a_session(), a_session(last_seen_at=NOW + 60))

        assert 90 <= valkey.command_line("TTL", record_key(key)) <= 100


async def test_an_index_forgets_what_ended_long_ago_and_then_itself(
    valkey: Server,
) -> None:
    index = "gateway:identity:u_prune:sessions"
    valkey.command_line("DEL", index)
    async with opened(valkey.url) as store:
        from gateway.sessions.record import Identity

        who = Identity(id="u_prune")
        await store.create(a_key("p1"), a_session(id="p1", identity=who), NOW)
        late = NOW + 3 * DAY
        await store.create(
            a_key("p2"), a_session(id="p2", identity=who, expires_at=late + DAY), late
        )

        members = valkey.command_line("ZRANGE", index, "0", "-1")
        assert members == [a_key("p2").encode()]
        assert 2 * DAY - 5 <= valkey.command_line("TTL", index) <= 2 * DAY


async def test_watching_survives_a_restart_and_reports_the_gap(
    own_valkey: Server,
) -> None:
    listening: asyncio.Queue[None] = asyncio.Queue()
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with opened(own_valkey.tcp_url) as store:
        store.watch(
            lambda key, why: received.put_nowait((key, why)),
            lambda: listening.put_nowait(None),
        )
        await asyncio.wait_for(listening.get(), PATIENCE)
        own_valkey.stop()
        own_valkey.start_again()
        await asyncio.wait_for(listening.get(), PATIENCE)
        await store.create(KEY, a_session(), NOW)
        await store.end(KEY, NOW)

        assert await asyncio.wait_for(received.get(), PATIENCE) == (KEY, "revoked")


async def test_watching_ends_of_another_process_and_ignoring_nonsense(
    valkey: Server,
) -> None:
    listening = asyncio.Event()
    received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with opened(valkey.url) as one, opened(valkey.url) as two:
        one.watch(lambda key, why: received.put_nowait((key, why)), listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        for nonsense in ("", "{", "[]", '{"key": 1, "reason": "x"}', b"\xff"):
            valkey.command_line("PUBLISH", "gateway:sessions:ended", nonsense)
        await two.create(a_key("elsewhere"), a_session(), NOW)
        await two.end(a_key("elsewhere"), NOW, "signed_out")

        stated = await asyncio.wait_for(received.get(), PATIENCE)
        assert stated == (a_key("elsewhere"), "signed_out")


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary])
async def test_a_server_without_memory_still_ends_a_session_for_every_process(
    tmp_path: Path, binary: Callable[[], Path | None]
) -> None:
    with valkey_server(tmp_path, binary=binary()) as server:
        async with opened(server.url) as store, opened(server.url) as other:
            await store.create(KEY, a_session(), NOW)
            server.command_line("CONFIG", "SET", "maxmemory", "1")

            ended = await store.end(KEY, NOW)

            assert ended is not None
            assert await other.load(KEY) is None
            with pytest.raises(StoreUnavailable):
                await store.create(a_key("new"), a_session(id="new"), NOW)


async def test_a_closed_store_is_unavailable(valkey: Server) -> None:
    async with opened(valkey.url) as store:
        waiting = store.load(KEY)
        await store.close()

        with pytest.raises(StoreUnavailable):
            await waiting
        with pytest.raises(StoreUnavailable):
            await store.load(KEY)
        with pytest.raises(StoreUnavailable):
            await store.ping()


def fill_memory(server: Server) -> None:
    """Leave no room for a write that needs memory."""
    server.command_line("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.command_line("CONFIG", "SET", "maxmemory", "1")


async def test_a_sign_out_while_redis_is_out_of_memory_is_a_deletion(
    own_valkey: Server,
) -> None:
    async with opened(own_valkey.url) as store, opened(own_valkey.url) as other:
        await store.create(KEY, a_session(), NOW)
        fill_memory(own_valkey)

        ended = await store.end(KEY, NOW, "signed_out")

        assert ended is not None
        assert not ended.active
        assert await other.load(KEY) is None
        assert own_valkey.command_line("EXISTS", record_key(KEY)) == 0


async def test_a_sign_out_at_a_read_only_server_follows_when_it_can(
    own_valkey: Server,
) -> None:
    async with opened(own_valkey.tcp_url) as store, opened(own_valkey.url) as other:
        await store.create(KEY, a_session(), NOW)
        await other.load(KEY)
        own_valkey.command_line("CONFIG", "SET", "replica-serve-stale-data", "yes")
        own_valkey.command_line("REPLICAOF", "127.0.0.1", str(free_port()))

        with pytest.raises(StoreUnavailable):
            await store.end(KEY, NOW, "signed_out")
        # In this process it is over; for the others as soon as Redis can be written.
        own_valkey.command_line("REPLICAOF", "NO", "ONE")
        async with asyncio.timeout(PATIENCE):
            while (found := await tried(other)) is None or the_session(found).active:
                await asyncio.sleep(0.01)

        assert the_session(found).ended_reason == "signed_out"
        here = await store.load(KEY)
        assert isinstance(here, Session)
        assert not here.active


async def test_a_session_that_is_begun_twice_is_refused_the_second_time(
    own_valkey: Server,
) -> None:
    async with opened(own_valkey.url) as store:
        await store.create(KEY, a_session(), NOW)
        with pytest.raises(ValueError, match="taken"):
            await store.create(KEY, a_session(id="another"), NOW)
