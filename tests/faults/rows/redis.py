"""One Redis, and what can become of it."""

import asyncio
import socket
from typing import Any

from tests.faults.load import ORDINARY
from tests.faults.relay import Relay
from tests.faults.sites import hurried
from tests.faults.trial import Act, Row, Trial
from tests.servers import Server, ask_on, connected


def _redis(trial: Trial) -> Server:
    server: Server = trial.site.parts["redis"]
    return server


def _relay(trial: Trial) -> Relay:
    relay: Relay = trial.site.parts["relay"]
    return relay


async def _command(trial: Trial, *words: str) -> object:
    answer = await asyncio.to_thread(_redis(trial).command_line, *words)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def killed(trial: Trial) -> None:
    trial.fault()
    await asyncio.to_thread(_redis(trial).stop)
    await trial.under_fault()
    await asyncio.to_thread(_redis(trial).start_again)
    trial.mended()
    await trial.steady()


async def frozen(trial: Trial) -> None:
    trial.fault()
    _redis(trial).freeze()
    try:
        await trial.under_fault()
    finally:
        _redis(trial).thaw()
    trial.mended()
    await trial.steady()


async def unreachable(trial: Trial) -> None:
    """Packets are dropped: nothing is closed, and nothing comes."""
    trial.fault()
    _relay(trial).pause()
    await trial.under_fault()
    _relay(trial).resume()
    trial.mended()
    await trial.steady()


async def cut(trial: Trial) -> None:
    """Every connection is reset, again and again."""
    trial.fault()
    for _ in range(5):
        _relay(trial).cut()
        await trial.under_fault(0.2)
    trial.mended()
    await trial.steady()


async def slow(trial: Trial) -> None:
    """Slower than usual, then slower than `redis.timeout`."""
    trial.fault()
    _relay(trial).delay = 0.05
    await trial.under_fault(0.5)
    _relay(trial).delay = 0.6
    await trial.under_fault()
    _relay(trial).delay = 0.0
    trial.mended()
    await trial.steady()


async def loading(trial: Trial) -> None:
    """It was started again and reads its file for about two seconds."""
    redis = _redis(trial)
    await _command(trial, "BGREWRITEAOF")
    while "aof_rewrite_in_progress:0" not in str(
        await _command(trial, "INFO", "persistence")
    ) or "aof_rewrite_scheduled:1" in str(await _command(trial, "INFO", "persistence")):
        await asyncio.sleep(0.01)
    keys = int(str(await _command(trial, "DBSIZE")))
    trial.fault()
    await asyncio.to_thread(redis.stop)
    kept = list(redis.command)
    redis.command += ["--key-load-delay", str(2_000_000 // max(keys, 1))]
    redis.command += ["--loading-process-events-interval-bytes", "1024"]
    await asyncio.to_thread(redis.start_again)
    redis.command = kept
    trial.mended()
    await trial.steady()


async def out_of_memory(trial: Trial) -> None:
    trial.fault()
    await _command(trial, "CONFIG", "SET", "maxmemory", "1")
    await trial.under_fault()
    await _command(trial, "CONFIG", "SET", "maxmemory", "0")
    trial.mended()
    await trial.steady()


async def read_only(trial: Trial) -> None:
    """It becomes a replica of a server that is not there, and then a master again."""
    trial.fault()
    await _command(trial, "REPLICAOF", "127.0.0.1", "1")
    await trial.under_fault()
    await _command(trial, "REPLICAOF", "NO", "ONE")
    trial.mended()
    await trial.steady()


async def master_down(trial: Trial) -> None:
    """The same, and it refuses to serve old data: MASTERDOWN."""
    await _command(trial, "CONFIG", "SET", "replica-serve-stale-data", "no")
    try:
        await read_only(trial)
    finally:
        await _command(trial, "CONFIG", "SET", "replica-serve-stale-data", "yes")


async def out_of_connections(trial: Trial) -> None:
    """Other programs hold every connection that it allows."""
    redis = _redis(trial)
    held = []
    # One connection for all its commands: a new one would be refused itself.
    with connected(redis.socket_path) as ours:
        trial.fault()
        try:
            assert ask_on(ours, "CONFIG", "SET", "maxclients", "20") == b"OK"
            ask_on(ours, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            for _ in range(40):
                held.append(socket.create_connection(("127.0.0.1", redis.port), 5))
            await trial.under_fault()
        finally:
            for each in held:
                each.close()
            assert ask_on(ours, "CONFIG", "SET", "maxclients", "4000") == b"OK"
    trial.mended()
    await trial.steady()


async def password_changed(trial: Trial) -> None:
    trial.fault()
    await _command(trial, "CONFIG", "SET", "requirepass", "another")
    _relay(trial).cut()
    await trial.under_fault()
    await asyncio.to_thread(_with_password, _redis(trial), "another")
    trial.mended()
    await trial.steady()


def _with_password(redis: Server, password: str) -> None:
    """Take the password off again, on one connection that knows it."""
    with socket.create_connection(("127.0.0.1", redis.port), 10) as line:
        line.sendall(f"AUTH {password}\r\nCONFIG SET requirepass ''\r\n".encode())
        answer = b""
        while answer.count(b"\r\n") < 2:
            answer += line.recv(1000)
        assert answer == b"+OK\r\n+OK\r\n", answer


def _row(name: str, what: str, act: Act, **promised: Any) -> Row:
    return Row(
        name=name,
        what=what,
        site=hurried,
        act=act,
        kinds=ORDINARY,
        workers=2,
        **promised,
    )  # fmt: skip


ROWS = (
    _row("redis-killed", "Redis is killed and started again", killed),
    _row("redis-frozen", "Redis stops (SIGSTOP) and goes on", frozen),
    _row("redis-unreachable", "packets to Redis are dropped", unreachable),
    _row("redis-cut", "every connection to Redis is reset, five times", cut),
    _row("redis-slow", "Redis is 100 ms slow, then slower than its timeout", slow),
    _row("redis-loading", "Redis is started again and loads (LOADING)", loading),
    _row("redis-oom", "Redis is out of memory (OOM)", out_of_memory),
    _row("redis-readonly", "Redis becomes a replica (READONLY)", read_only),
    _row("redis-masterdown", "a replica without its master (MASTERDOWN)", master_down),
    _row(
        "redis-maxclients", "Redis is out of connections", out_of_connections
    ),
    _row("redis-password", "the password of Redis is changed and set back",
         password_changed),
)  # fmt: skip
