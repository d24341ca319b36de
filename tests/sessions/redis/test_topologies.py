"""Sentinel, Cluster and TLS, with real servers."""

import asyncio
import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import StoreUnavailable
from gateway.sessions.identity_change import (
    ChangeCount,
    IdentityChange,
    change_sessions,
)
from gateway.sessions.record import Corrupt, Session
from gateway.sessions.record_json import serialise
from gateway.sessions.redis.record_keys import record_key
from gateway.sessions.redis.store import RedisStore
from tests.servers import (
    PATIENCE,
    SOON,
    Server,
    free_port,
    redis_binary,
    sentinel_server,
    valkey_server,
)
from tests.sessions.external import test_store as external
from tests.sessions.opened import documented_acl, opened
from tests.sessions.samples import NOW, a_key, a_session, the_session

KEY = a_key()


pytestmark = pytest.mark.walk


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Server]]:
    """Two nodes that share the slots."""
    tmp_path = tmp_path_factory.mktemp("cluster")
    with _cluster_node(tmp_path) as one, _cluster_node(tmp_path) as two:
        one.command_line("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
        two.command_line("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
        two.command_line("CONFIG", "SET", "cluster-require-full-coverage", "no")
        one.command_line("CONFIG", "SET", "cluster-require-full-coverage", "no")
        bus = two.command_line("CONFIG", "GET", "cluster-port")[1]
        one.command_line("CLUSTER", "MEET", "127.0.0.1", str(two.port), bus)
        asyncio.run(_until(lambda: _knows_all(one) and _knows_all(two)))
        yield one, two


def _cluster_node(folder: Path) -> AbstractContextManager[Server]:
    port, bus = free_port(), str(free_port())
    options = ("--cluster-enabled", "yes", "--cluster-port", bus)
    return valkey_server(folder, *options, "--cluster-node-timeout", "30000", port=port)


def _knows_all(node: Server) -> bool:
    info = node.command_line("CLUSTER", "INFO").decode()
    return "cluster_state:ok" in info and "cluster_slots_assigned:16384" in info


async def _until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            # Who makes another server the master has it hang up on its clients.
            with suppress(ConnectionError):
                if done():
                    return
            await asyncio.sleep(0.01)


def cluster_url(*nodes: Server) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def test_a_cluster_serves_sessions_from_all_its_nodes(
    cluster: tuple[Server, Server],
) -> None:
    async with opened(cluster_url(*cluster)) as store:
        listening = asyncio.Event()
        received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        store.watch(lambda key, why: received.put_nowait((key, why)), listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        for number in range(20):
            session = a_session(id=f"s{number}")
            await store.create(a_key(f"k{number}"), session, NOW)

        answers = await asyncio.gather(*(store.load(a_key(f"k{n}")) for n in range(25)))

        assert [a and the_session(a).id for a in answers] == [
            f"s{n}" for n in range(20)
        ] + [None] * 5
        assert all(node.command_line("DBSIZE") > 5 for node in cluster)
        assert len(await store.list_for("u_ada", NOW)) == 20
        assert await _pages_of(store) == {f"s{n}" for n in range(20)}
        found = await store.find("s7")
        assert found is not None
        assert found[0] == a_key("k7")
        seen = the_session(await store.load(a_key("k7")))
        assert await store.replace(a_key("k7"), seen, a_session(id="s7", aal="aal2"))
        change, count = IdentityChange(remove_tenant="t_acme"), ChangeCount()
        await change_sessions(store, "u_ada", change, now=NOW, count=count)
        assert count.changed == 20
        again = await asyncio.gather(*(store.load(a_key(f"k{n}")) for n in range(20)))
        assert {tuple(the_session(each).tenants) for each in again} == {("t_beta",)}
        assert the_session(again[7]).aal == "aal2"
        assert await store.end_all("u_ada", NOW, a_key("k0")) == 19
        stated = {
            (await asyncio.wait_for(received.get(), PATIENCE))[0] for _ in range(19)
        }
        assert stated == {a_key(f"k{n}") for n in range(1, 20)}
        await store.ping()


async def test_the_documented_acl_user_can_use_a_cluster(
    cluster: tuple[Server, Server],
) -> None:
    for node in cluster:
        node.command_line("ACL", "SETUSER", "gw", "on", ">pw", *documented_acl())
    url = cluster_url(*cluster).replace("://", "://gw:pw@")
    listening = asyncio.Event()
    async with opened(url) as store:
        store.watch(lambda key, why: None, listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        await store.create(a_key("acl"), a_session(id="s-acl"), NOW)
        assert await store.load(a_key("acl")) == a_session(id="s-acl")
        assert await store.end(a_key("acl"), NOW) is not None


async def _pages_of(store: RedisStore) -> set[str]:
    """The IDs on all pages of the list of all sessions."""
    found: set[str] = set()
    cursor = ""
    while cursor != "0":
        page, cursor = await store.list_page(NOW, cursor=cursor or "0", limit=5)
        found |= {session.id for _, session in page}
    return found


async def test_a_cluster_serves_the_sessions_of_an_app_from_all_its_nodes(
    cluster: tuple[Server, Server],
) -> None:
    """As the documented user; a record and the notes on it lie on several nodes."""
    plain, also = external.documented_acl()
    ids = [f"{number:032x}" for number in range(20)]
    for node in cluster:
        node.command_line("ACL", "SETUSER", "app", "reset", "on", ">pw", *plain, *also)
    async with opened(cluster_url(*cluster)) as writer:
        for sid in ids:
            record = b'{"user": {"id": "u_%s"}}' % sid[-1].encode()
            await writer._client.call("SET", f"s:{sid}", record, "EX", 60)
        await writer._client.call("RPUSH", f"s:{'f' * 32}", "x")
    url = cluster_url(*cluster).replace("://", "://app:pw@")
    async with external.opened(url) as store:
        listening = asyncio.Event()
        received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        store.watch(lambda key, why: received.put_nowait((key, why)), listening.set)
        await asyncio.wait_for(listening.wait(), PATIENCE)
        credentials = [external.a_credential(sid=sid) for sid in ids]

        found = await asyncio.gather(*(store.look_up(c, NOW) for c in credentials))
        odd = await store.look_up(external.a_credential(sid="f" * 32), NOW)
        none = await store.look_up(external.a_credential(sid="e" * 32), NOW)
        await store.end(credentials[0].key, NOW)
        await store.end_all("u_1", NOW, None)
        again = await asyncio.gather(*(store.look_up(c, NOW) for c in credentials))
        stated = {
            (await asyncio.wait_for(received.get(), PATIENCE))[0] for _ in range(3)
        }

        assert all(isinstance(each, Session) and each.active for each in found)
        assert isinstance(odd, Corrupt)
        assert none is None
        ended = {0, 1, 17}
        assert {
            n for n, each in enumerate(again) if not the_session(each).active
        } == ended
        assert stated == {credentials[n].key for n in ended}


async def test_odd_values_on_a_cluster_are_no_sessions(
    cluster: tuple[Server, Server],
) -> None:
    async with opened(cluster_url(cluster[0])) as store:
        for number in range(6):
            await store._client.call("RPUSH", record_key(a_key(f"l{number}")), "x")
            await store._client.call("SET", record_key(a_key(f"b{number}")), "{")

        assert [await store.load(a_key(f"l{n}")) for n in range(6)] == [None] * 6
        broken = await asyncio.gather(*(store.load(a_key(f"b{n}")) for n in range(6)))
        assert all(isinstance(answer, Corrupt) for answer in broken)


async def test_dead_connections_to_cluster_nodes_are_not_felt(
    cluster: tuple[Server, Server],
) -> None:
    async with opened(cluster_url(*cluster)) as store:
        raw = serialise(a_session())
        for number in range(20):
            await store._client.call("SET", record_key(a_key(f"k{number}")), raw)
        gets = [record_key(a_key(f"k{number}")) for number in range(20)]
        await asyncio.gather(*(store._client.get(key) for key in gets))
        for node in cluster:
            node.command_line("CLIENT", "KILL", "TYPE", "normal")

        answers = await asyncio.gather(*(store._client.get(key) for key in gets))

        assert answers == [raw] * 20


async def test_lost_nodes_leave_the_sessions_of_the_others(
    cluster: tuple[Server, Server],
) -> None:
    """First one that hangs, then one that is gone; last, as nothing follows it."""
    keys = [a_key(f"k{number}") for number in range(20)]
    for node in cluster:
        node.command_line("FLUSHALL")
    async with opened(cluster_url(*cluster), timeout=5) as store:
        for number, key in enumerate(keys):
            await store.create(key, a_session(id=f"s{number}"), NOW)
        there = len(cluster[0].command_line("KEYS", "gateway:session:*"))
        assert 0 < there < 20

        for trouble in ("freeze", "stop"):
            getattr(cluster[1], trouble)()
            answers = await asyncio.gather(
                *(store.load(key) for key in keys), return_exceptions=True
            )

            served = [answer for answer in answers if isinstance(answer, Session)]
            refused = [a for a in answers if isinstance(a, StoreUnavailable)]
            assert (len(served), len(refused)) == (there, 20 - there)


async def test_a_cluster_that_is_away_is_decided_at_once() -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    async with opened(url) as store:
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(store.load(KEY), SOON)


async def test_sentinel_finds_the_new_master_after_a_failover(tmp_path: Path) -> None:
    """The master dies; sessions are served again as soon as Sentinel has chosen."""
    with (
        valkey_server(tmp_path, port=free_port()) as master,
        valkey_server(
            tmp_path, "--replicaof", f"127.0.0.1 {master.port}", port=free_port()
        ) as replica,
        sentinel_server(tmp_path, "main", master.port) as sentinel,
    ):
        dead = free_port()
        url = f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{sentinel.port}/main/0"
        async with opened(url, timeout=2) as store:
            gaps: asyncio.Queue[None] = asyncio.Queue()
            store.watch(lambda key, why: None, lambda: gaps.put_nowait(None))
            await asyncio.wait_for(gaps.get(), PATIENCE)
            await store.create(KEY, a_session(), NOW)
            assert await store.load(KEY) == a_session()
            await _until(lambda: replica.command_line("GET", record_key(KEY)))
            await _until(
                lambda: (
                    b"slave0" in sentinel.command_line("INFO")
                    or _replica_known(sentinel)
                )
            )

            master.stop()
            with pytest.raises(StoreUnavailable):
                await store.load(KEY)
            await _until(lambda: b"role:master" in replica.command_line("INFO"))
            async with asyncio.timeout(PATIENCE):
                while (answer := await _tried(store)) is None:
                    await asyncio.sleep(0.02)

            assert answer == a_session()
            assert await store.end(KEY, NOW) is not None
            await asyncio.wait_for(gaps.get(), PATIENCE)


def _replica_known(sentinel: Server) -> bool:
    return len(sentinel.command_line("SENTINEL", "REPLICAS", "main")) == 1


async def _tried(store: RedisStore) -> object:
    try:
        return await store.load(KEY)
    except StoreUnavailable:
        return None


async def test_sentinel_without_such_a_master_is_unavailable(tmp_path: Path) -> None:
    with sentinel_server(tmp_path, "main", free_port()) as sentinel:
        async with opened(
            f"redis+sentinel://127.0.0.1:{sentinel.port}/other", timeout=2
        ) as store:
            with pytest.raises(StoreUnavailable, match="No master found"):
                await store.load(KEY)


@pytest.fixture
def tls_folder(tmp_path: Path) -> Path:
    """An authority, a server certificate for 127.0.0.1 and one for a client."""
    start = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)

    def made(
        name: str,
        issuer: x509.Name | None,
        issuer_key: ec.EllipticCurvePrivateKey | None,
        *,
        authority: bool,
    ) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                ),
                False,
            )
            .sign(issuer_key or key, hashes.SHA256())
        )
        (tmp_path / f"{name}.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
        )
        (tmp_path / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return subject, key

    subject, key = made("ca", None, None, authority=True)
    made("server", subject, key, authority=False)
    made("client", subject, key, authority=False)
    return tmp_path


@pytest.mark.needs("redis-server")
async def test_tls_is_verified_and_client_certificates_are_shown(
    tls_folder: Path,
) -> None:
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-auth-clients", "yes"),
        *("--tls-cert-file", f"{tls_folder}/server.pem"),
        *("--tls-key-file", f"{tls_folder}/server.key"),
        *("--tls-ca-cert-file", f"{tls_folder}/ca.pem"),
    )
    trusted = f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={tls_folder}/ca.pem"
    shown = f"&ssl_certfile={tls_folder}/client.pem&ssl_keyfile={tls_folder}/client.key"
    with valkey_server(tls_folder, *options, binary=redis_binary()):
        async with opened(trusted + shown) as store:
            await store.create(KEY, a_session(), NOW)
            assert await store.load(KEY) == a_session()
            record = b'{"user": {"id": "u"}}'
            await store._client.call("SET", f"s:{external.SID}", record, "EX", 60)
        async with external.opened(trusted + shown) as store:
            found = await store.look_up(external.a_credential(), NOW)
            assert isinstance(found, Session)

        for url in (
            f"rediss://127.0.0.1:{port}",  # an authority we do not know
            trusted,  # no client certificate
            f"redis://127.0.0.1:{port}",  # not TLS
            trusted.replace("127.0.0.1", "localhost") + shown,  # another name
            trusted + "/missing",  # no such file
        ):
            async with opened(url, timeout=2) as store:
                with pytest.raises(StoreUnavailable):
                    await store.load(KEY)
