"""Fleets of real servers: a master with replicas and Sentinels, and a Cluster.

Every server has a loopback address of its own and stands behind a wire (wires.py), so
that it can be cut from some of the others, from a gateway or from all. Sentinels are
given what they would find out in ten seconds, so a fleet is ready in about one.
"""

import asyncio
import contextlib
import itertools
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import hiredis
import pytest

from gateway.sessions.redis.store import RedisStore
from gateway.sessions.redis.url import parse_redis_url
from tests.faults.wires import Wires, wires
from tests.servers import PATIENCE, _started, free_port, packed, redis_binary

NAME = "mm"
_numbers = itertools.cycle(range(10, 250))

SOURCE: ContextVar[str] = ContextVar("SOURCE", default="127.0.0.1")
"""The address from which the connections of this context's tasks are made."""


@pytest.fixture(autouse=True)
def own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each gateway of a test connect from an address of its own."""
    before = aiohappyeyeballs.start_connection

    def from_source(infos: Any, **options: Any) -> Any:
        source = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (SOURCE.get(), 0))
        return before(infos, local_addr_infos=[source], **options)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", from_source)


HERE, THERE = "127.0.0.11", "127.0.0.12"


@asynccontextmanager
async def gateways(
    url: str, *sources: str, timeout: float = 0.25
) -> AsyncIterator[list[RedisStore]]:
    """Open a store for each address, which connects from there, and listens."""
    async with AsyncExitStack() as stack:
        stores = []
        for source in sources:
            SOURCE.set(source)
            store = RedisStore(parse_redis_url(url), timeout=timeout)
            stack.push_async_callback(store.close)
            listening = asyncio.Event()
            store.watch(lambda key, why: None, listening.set)
            await asyncio.wait_for(listening.wait(), PATIENCE)
            stores.append(store)
        yield stores


@dataclass
class Node:
    """One server: where it listens, and where others are told that it does."""

    ip: str
    port: int
    real: int
    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> tuple[str, int]:
        return self.ip, self.port

    def start(self) -> None:
        self.process = _started(self.command, self.folder / "log")

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process
        return self.process

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.running.kill()
        self.running.wait(PATIENCE)

    def freeze(self) -> None:
        import signal

        self.running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        import signal

        self.running.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> Any:
        """Ask the server itself, whatever is cut."""
        return _ask((self.ip, self.real), *words)

    def wait(self) -> None:
        until(lambda: self.ask("PING") == b"PONG")

    def info(self) -> dict[str, str]:
        lines = self.ask("INFO", "replication").decode().splitlines()
        return dict(line.partition(":")[::2] for line in lines if ":" in line)


@dataclass
class SentinelFleet:
    """`servers[0]` begins as the master."""

    servers: list[Node]
    sentinels: list[Node]
    wires: Wires

    @property
    def url(self) -> str:
        hosts = ",".join(f"{each.ip}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    def named(self, sentinel: Node | None = None) -> tuple[str, int]:
        """Whom a Sentinel names."""
        host, port = (sentinel or self.sentinels[0]).ask(
            "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME
        )
        return host.decode(), int(port)

    def switch(self, sentinel: Node | None = None, *more: str) -> None:
        """Order a planned switch of a Sentinel, which will lead it."""
        answer = (sentinel or self.sentinels[0]).ask(
            "SENTINEL", "FAILOVER", NAME, *more
        )
        assert answer == b"OK", answer

    def all_name_another(self, than: Node) -> bool:
        return all(self.named(each) != than.place for each in self.sentinels)

    def ready(self) -> bool:
        return all(
            self.servers[0].info().get(f"slave{n}", "").count("state=online")
            for n in range(len(self.servers) - 1)
        ) and all(self._is_ready(each) for each in self.sentinels)

    def _is_ready(self, sentinel: Node) -> bool:
        master = _pairs(sentinel.ask("SENTINEL", "MASTER", NAME))
        replicas = sentinel.ask("SENTINEL", "REPLICAS", NAME)
        return (
            master["flags"] == "master"
            and int(master["num-other-sentinels"]) == len(self.sentinels) - 1
            and len(replicas) == len(self.servers) - 1
            and all(
                _pairs(each)["flags"] == "slave"
                and _pairs(each)["master-link-status"] == "ok"
                for each in replicas
            )
        )


@contextmanager
def sentinel_fleet(
    *,
    replicas: int = 2,
    sentinels: int = 3,
    down_after: int = 1500,
    binary: Path | None = None,
) -> Iterator[SentinelFleet]:
    """Run a master, its replicas and their Sentinels."""
    binary = binary or redis_binary()
    assert binary is not None, "redis-server is not installed"
    nodes: list[Node] = []
    with wires() as between, _folder() as folder:
        try:
            for number in range(replicas + 1):
                node = _node(folder, binary, between, nodes[:1] if number else [])
                nodes.append(node)
            watchers = _sentinels(folder, binary, between, nodes, sentinels, down_after)
            nodes_of = SentinelFleet(list(nodes), watchers, between)
            nodes += watchers
            for node in nodes_of.servers:
                node.start()
            for node in nodes_of.servers:
                node.wait()
            until(
                lambda: nodes_of.servers[0].info()["connected_slaves"] == f"{replicas}"
            )
            for node in watchers:
                node.start()
            until(nodes_of.ready)
            yield nodes_of
        finally:
            for node in nodes:
                if node.process is not None:
                    node.kill()


@dataclass
class ClusterFleet:
    """Masters, and one replica of each in the same order."""

    masters: list[Node]
    replicas: list[Node]
    wires: Wires

    @property
    def url(self) -> str:
        hosts = ",".join(f"{each.ip}:{each.port}" for each in self.masters)
        return f"redis+cluster://{hosts}"

    def place_of(self, key: str, seen_by: Node) -> tuple[str, int]:
        """Who has the slot of a key, by the word of one node."""
        slot = self.masters[0].ask("CLUSTER", "KEYSLOT", key)
        for first, last, owner, *_ in seen_by.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return owner[0].decode(), owner[1]
        return "", 0


@contextmanager
def cluster_fleet(
    *, masters: int = 3, node_timeout: int = 1500, binary: Path | None = None
) -> Iterator[ClusterFleet]:
    """Run a Cluster of masters with one replica each."""
    binary = binary or redis_binary()
    assert binary is not None, "redis-server is not installed"
    nodes: list[Node] = []
    with wires() as between, _folder() as folder:
        try:
            for _ in range(2 * masters):
                nodes.append(_cluster_node(folder, binary, between, node_timeout))
            fleet = ClusterFleet(nodes[:masters], nodes[masters:], between)
            _introduce(fleet)
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait()
            until(lambda: _is_whole(fleet))
            yield fleet
        finally:
            for node in nodes:
                if node.process is not None:
                    node.kill()


def _introduce(fleet: ClusterFleet) -> None:
    """Write what each node would have learned of the others in its nodes.conf."""
    nodes = [*fleet.masters, *fleet.replicas]
    ids = [secrets.token_hex(20) for _ in nodes]
    count = len(fleet.masters)
    step = 16384 // count
    for mine, node in enumerate(nodes):
        lines = []
        for number, each in enumerate(nodes):
            owner = number % count
            last = 16383 if owner == count - 1 else (owner + 1) * step - 1
            is_master = number < count
            flags = ("myself," if number == mine else "") + (
                "master" if is_master else "slave"
            )
            lines.append(
                f"{ids[number]} {each.ip}:{each.port}@{_bus(each)} {flags}"
                f" {'-' if is_master else ids[owner]} 0 0 {owner + 1} connected"
                + (f" {owner * step}-{last}" if is_master else "")
            )
        lines.append(f"vars currentEpoch {count} lastVoteEpoch 0")
        (node.folder / "nodes.conf").write_text("\n".join(lines) + "\n")


def _is_whole(fleet: ClusterFleet) -> bool:
    nodes = [*fleet.masters, *fleet.replicas]
    return (
        all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes)
        and all("state=online" in m.info().get("slave0", "") for m in fleet.masters)
        and all(
            len(slots) == 4 for node in nodes for slots in node.ask("CLUSTER", "SLOTS")
        )
    )


def _bus(node: Node) -> int:
    return node.port + 10_000 if node.port < 50_000 else node.port - 10_000


def _node(folder: Path, binary: Path, between: Wires, master: list[Node]) -> Node:
    node = _place(folder, between)
    node.command = [
        *(str(binary), "--port", str(node.real), "--bind", node.ip),
        *("--bind-source-addr", node.ip, "--dir", str(node.folder)),
        *("--replica-announce-ip", node.ip, "--replica-announce-port", str(node.port)),
        *("--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"),
        *("--protected-mode", "no", "--repl-backlog-size", "4mb"),
    ]
    for each in master:
        node.command += ["--replicaof", f"{each.ip} {each.port}"]
    return node


def _cluster_node(
    folder: Path, binary: Path, between: Wires, node_timeout: int
) -> Node:
    node = _place(folder, between)
    bus = _bus(node)
    real_bus = free_port()
    between.lead((node.ip, bus), (node.ip, real_bus))
    node.command = [
        *(str(binary), "--port", str(node.real), "--bind", node.ip),
        *("--bind-source-addr", node.ip, "--dir", str(node.folder)),
        *("--cluster-enabled", "yes", "--cluster-port", str(real_bus)),
        *("--cluster-announce-ip", node.ip, "--cluster-announce-port", str(node.port)),
        *("--cluster-announce-bus-port", str(bus)),
        *("--cluster-node-timeout", str(node_timeout), "--save", ""),
        *("--repl-diskless-sync-delay", "0", "--protected-mode", "no"),
        *("--cluster-require-full-coverage", "no"),
        # A replica that has received nothing yet is not shown to clients.
        *("--repl-ping-replica-period", "1"),
        *("--replica-announce-ip", node.ip, "--replica-announce-port", str(node.port)),
    ]
    return node


def _sentinels(
    folder: Path,
    binary: Path,
    between: Wires,
    servers: list[Node],
    count: int,
    down_after: int,
) -> list[Node]:
    nodes = [_place(folder, between) for _ in range(count)]
    ids = [secrets.token_hex(20) for _ in nodes]
    for number, node in enumerate(nodes):
        master = servers[0]
        lines = [
            f"port {node.real}",
            f"bind {node.ip}",
            f"bind-source-addr {node.ip}",
            "protected-mode no",
            f"dir {node.folder}",
            f"sentinel myid {ids[number]}",
            f"sentinel announce-ip {node.ip}",
            f"sentinel announce-port {node.port}",
            f"sentinel monitor {NAME} {master.ip} {master.port} {count // 2 + 1}",
            f"sentinel down-after-milliseconds {NAME} {down_after}",
            f"sentinel failover-timeout {NAME} 6000",
            f"sentinel parallel-syncs {NAME} 2",
        ]
        lines += [
            f"sentinel known-replica {NAME} {each.ip} {each.port}"
            for each in servers[1:]
        ]
        lines += [
            f"sentinel known-sentinel {NAME} {each.ip} {each.port} {who}"
            for each, who in zip(nodes, ids, strict=True)
            if each is not node
        ]
        config = node.folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        node.command = [str(binary), str(config), "--sentinel"]
    return nodes


def _place(folder: Path, between: Wires) -> Node:
    ip = f"127.0.1.{next(_numbers)}"
    node = Node(ip, free_port(), free_port(), [], Path(tempfile.mkdtemp(dir=folder)))
    between.lead((ip, node.port), (ip, node.real))
    return node


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(done: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait, from outside the event loop, until something holds."""
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError, hiredis.HiredisError, KeyError):
            if done():
                return
        if time.monotonic() > end:
            raise TimeoutError("it never came")
        time.sleep(0.02)


async def soon(done: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait in the event loop until something holds."""
    await asyncio.to_thread(until, done, patience)


def _ask(where: tuple[str, int], *words: str | bytes) -> Any:
    reader = hiredis.Reader()
    with socket.create_connection(where, PATIENCE) as line:
        line.settimeout(PATIENCE)
        line.sendall(packed(*words))
        while (answer := reader.gets()) is False:
            received = line.recv(65536)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            reader.feed(received)
    return answer


def _pairs(flat: list[bytes]) -> dict[str, str]:
    words = iter([word.decode() for word in flat])
    return dict(zip(words, words, strict=True))
