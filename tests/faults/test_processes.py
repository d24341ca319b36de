"""What may happen to the processes of a gateway, and what becomes of the others."""

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.workers.worker import reap
from tests.faults.started import SERVING, Started, alive, config_for, started
from tests.servers import SOON, Server, free_port, valkey_server
from tests.walk.harness import RecordingUpstream, Seen, answer_ok, ask, until

pytestmark = pytest.mark.walk

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    recording = RecordingUpstream()
    await recording.start()
    yield recording
    await recording.stop()


@pytest.fixture
def short() -> Iterator[Path]:
    # A socket's path must fit 108 bytes.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


def gone(pid: int) -> bool:
    return not alive(pid)


async def serves(port: int) -> bool:
    try:
        return (await ask(port, "GET", "/")).status == 200
    except OSError:
        return False


async def until_it_serves(port: int) -> None:
    async def ask_again() -> None:
        while not await serves(port):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(ask_again(), 60)


async def ask_unix(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET / HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


# A parent and its workers


async def test_workers_end_with_their_parent_and_the_next_start_has_the_port(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """One worker is stopped: what cannot run has to end, too."""
    config = config_for(upstream.port, redis.url, workers=2)
    async with started(config, tmp_path) as running:
        workers = running.workers()
        os.kill(workers[0], signal.SIGSTOP)

        running.process.kill()
        await running.ended()

        began = time.monotonic()
        await until(lambda: not [pid for pid in workers if alive(pid)])
        assert time.monotonic() - began < SOON
    async with started(config, tmp_path / "again") as again:
        assert await serves(again.port)


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def stuck_pipe() -> int:
    _reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return writer  # the reader stays open until the test process ends


@pytest.mark.parametrize("fault", ["full", "closed pipe", "stuck pipe", "closed"])
async def test_nothing_that_is_written_for_information_ends_a_process(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, fault: str
) -> None:
    """Without descriptor 1 the next socket would be it, and get the log lines."""
    config = config_for(upstream.port, redis.url, workers=2)
    wrap = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh") if fault == "closed" else ()
    openers: dict[str, Callable[[], int]] = {
        "full": lambda: os.open("/dev/full", os.O_WRONLY),
        "closed pipe": closed_pipe,
        "stuck pipe": stuck_pipe,
        "closed": lambda: os.open("/dev/null", os.O_WRONLY),
    }
    opened = openers[fault]()
    streams = {"stdout": opened, "stderr": opened}
    env = {"TMPDIR": "/nonexistent"}
    async with started(
        config, tmp_path, streams=streams, wrap=wrap, env=env, ready=False
    ) as running:
        await until_it_serves(running.port)
        await until(lambda: len(running.workers()) == 2)
        before = running.workers()

        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len(set(running.workers()) - set(before)) == 1)
        running.process.send_signal(signal.SIGHUP)

        assert [await serves(running.port) for _ in range(5)] == [True] * 5
        if fault == "closed":
            place = Path(f"/proc/{running.pid}/fd")
            held = [str((place / str(fd)).readlink()) for fd in range(3)]
            assert held == ["/dev/null"] * 3
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
    os.close(opened)


async def test_a_killed_worker_leaves_its_counts(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_for(upstream.port, redis.url, workers=2)

    async def counted() -> float:
        text = (await ask(running.admin, "GET", "/metrics")).body.decode()
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("gateway_requests_total")
        )

    async with started(config, tmp_path) as running:
        for _ in range(20):
            assert await serves(running.port)
        while await counted() < 20:
            await asyncio.sleep(0.05)
        os.kill(running.workers()[0], signal.SIGKILL)
        await running.logged(SERVING, 3)

        assert await counted() == 20


async def test_a_worker_that_keeps_failing_is_started_less_and_less_often(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_for(upstream.port, redis.url, workers=2)
    async with started(config, tmp_path) as running:
        steady, failing = running.workers()
        ended: list[dict[str, Any]] = []
        for count in (1, 2, 3):
            os.kill(failing, signal.SIGKILL)
            ended = await running.logged("worker ended; starting another", count)
            assert await serves(running.port), "the other worker serves meanwhile"
            if count < 3:
                await running.logged(SERVING, 2 + count)
                (failing,) = set(running.workers()) - {steady}

    reported = [(one["failures"], one["pause_seconds"], one["ended"]) for one in ended]
    assert reported == [(1, 0, "SIGKILL"), (2, 1, "SIGKILL"), (3, 2, "SIGKILL")]
    assert ended[2]["log.level"] == "error"


async def test_a_worker_that_is_stopped_alone_has_a_successor_at_once(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.target == "/slow":
            await release.wait()
        await answer_ok(seen, writer)

    upstream.answer = slow
    config = config_for(upstream.port, redis.url, workers=2)
    async with started(config, tmp_path) as running:
        waiting = asyncio.create_task(ask(running.port, "GET", "/slow"))
        await upstream.arrived.wait()
        both = running.workers()

        for pid in both:
            os.kill(pid, signal.SIGTERM)
            await running.logged("worker is stopping; starting another", 1)
        await running.logged(SERVING, 4)
        assert [await serves(running.port) for _ in range(10)] == [True] * 10
        release.set()

        assert (await waiting).status == 200
        await until(lambda: not [pid for pid in both if alive(pid)])
        assert len(running.workers()) == 2


async def test_a_child_that_is_none_of_the_workers_is_reaped_and_not_replaced(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """As process 1 of a container it inherits the orphans of others."""
    config = config_for(upstream.port, redis.url, workers=2)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    wrap = ("sh", "-c", f'head -c 1 {gate} >/dev/null & exec "$@"', "sh")
    async with started(config, tmp_path, wrap=wrap) as running:
        place = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        assert len(place.read_text().split()) == 3
        gate.write_bytes(b"x")

        await until(lambda: len(place.read_text().split()) == 2)
        assert not running.messages("worker ended; starting another")


def test_process_one_collects_whatever_ended() -> None:
    children = [os.fork() or os._exit(0) for _ in range(3)]
    for pid in children:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    reap()

    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


# The end


async def test_both_of_a_terminal_and_of_the_supervisor_are_one_signal(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    """Ctrl-C goes to all processes of the group; what runs may finish."""
    release = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await answer_ok(seen, writer)

    upstream.answer = slow
    config = config_for(upstream.port, redis.url, workers=2)
    streams = {"start_new_session": True}
    async with started(config, tmp_path, streams=streams) as running:
        waiting = asyncio.create_task(ask(running.port, "GET", "/slow"))
        await upstream.arrived.wait()

        os.killpg(running.pid, signal.SIGINT)
        await _no_more(running.port)
        release.set()

        assert (await waiting).status == 200
        assert await running.ended() == 0


async def _no_more(port: int) -> None:
    async def refused() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()

    await asyncio.wait_for(refused(), 60)


@WORKERS
async def test_a_second_signal_ends_everything_at_once(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, workers: int
) -> None:
    over = asyncio.Event()

    async def never(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await over.wait()

    upstream.answer = never
    config = config_for(upstream.port, redis.url, workers=workers)
    config["server"]["timeouts"] = {"drain": "1h"}
    async with started(config, tmp_path) as running:
        waiting = asyncio.create_task(ask(running.port, "GET", "/never"))
        await upstream.arrived.wait()
        pids = running.workers()
        if pids:
            os.kill(pids[0], signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        await _no_more_but(running, workers)

        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        code = await running.ended()

        assert time.monotonic() - began < SOON
        assert code in {130, 143}
        assert not [pid for pid in pids if alive(pid)]
        over.set()
        await asyncio.gather(waiting, return_exceptions=True)


async def _no_more_but(running: Started, workers: int) -> None:
    """Wait until the first signal was acted upon."""
    if workers == 1:
        await _no_more(running.port)
    else:  # a stopped worker keeps its socket
        mark = Path(f"/proc/{running.pid}/net/tcp")
        wanted = f":{running.port:04X} 00000000:0000 0A"
        await until(lambda: mark.read_text().count(wanted) < workers)


async def test_a_worker_that_cannot_stop_is_killed_after_the_drain(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path
) -> None:
    config = config_for(upstream.port, redis.url, workers=2)
    config["server"]["timeouts"] = {"drain": "100ms"}
    async with started(config, tmp_path) as running:
        pids = running.workers()
        os.kill(pids[0], signal.SIGSTOP)

        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0

        assert running.messages("workers did not stop in time; killing them")
        assert not [pid for pid in pids if alive(pid)]


def event_stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n7\r\ndata: x\r\n"
    )


def download(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + bytes(9))


@pytest.mark.parametrize(
    ("answer", "drain", "least", "workers"),
    [
        # It has no end of its own, and its client connects again by itself.
        pytest.param(event_stream, 3600.0, 0.0, 1, id="an event stream"),
        pytest.param(download, 2.0, 1.5, 2, id="a download"),
    ],
)
async def test_what_still_runs_ends_within_the_drain(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    answer: Any,
    drain: float,
    least: float,
    workers: int,
) -> None:
    over = asyncio.Event()

    async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
        answer(seen, writer)
        await writer.drain()
        await over.wait()

    upstream.answer = endless
    config = config_for(upstream.port, redis.url, workers=workers)
    config["server"]["timeouts"] = {"drain": f"{drain:g}s"}
    async with started(config, tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        code = await running.ended()
        took = time.monotonic() - began

        assert code == 0
        assert least <= took < min(drain, SOON) + 2.5
        writer.close()
        over.set()


# The addresses


async def second(config: dict[str, Any], folder: Path, *options: str) -> str:
    """Start another instance that is to be refused; gives its last words."""
    async with started(config, folder, ready=False, options=options) as other:
        assert await other.ended() == 1
        return other.err.read_text()


@pytest.mark.parametrize(
    ("workers", "theirs", "which"),
    [(2, 2, "unix"), (1, 2, "tcp"), (2, 1, "admin")],
)
async def test_a_second_instance_is_refused_and_takes_nothing(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    short: Path,
    workers: int,
    theirs: int,
    which: str,
) -> None:
    unix, admin = f"unix:{short}/gw.sock", f"unix:{short}/admin.sock"
    tcp, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    config = config_for(
        upstream.port, redis.url, listen=[tcp, unix], admin=admin, workers=workers
    )
    wanted, their_admin, why = {
        "unix": ([unix], other, unix),
        "tcp": ([f"unix:{short}/free.sock", tcp], other, tcp),
        "admin": ([other], admin, admin),
    }[which]
    refused = config_for(
        upstream.port, redis.url, listen=wanted, admin=their_admin, workers=theirs
    )
    async with started(config, tmp_path) as running:
        files = {path.name: path.stat().st_ino for path in short.iterdir()}
        assert sorted(files) == ["admin.sock", "gw.sock"]

        async with started(refused, tmp_path / "second", ready=False) as second:
            assert await second.ended() == 1
            reported = second.err.read_text()

        assert reported == f"error: cannot listen on {why}: address already in use\n"
        assert files == {path.name: path.stat().st_ino for path in short.iterdir()}
        assert (await ask_unix(f"{short}/gw.sock")).startswith(b"HTTP/1.1 200")
        assert await serves(running.port)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
    assert list(short.iterdir()) == []


async def test_instances_that_share_their_addresses_hand_over(
    upstream: RecordingUpstream, redis: Server, tmp_path: Path, short: Path
) -> None:
    path = f"{short}/gw.sock"
    tcp = f"127.0.0.1:{free_port()}"
    config = config_for(
        upstream.port, redis.url, listen=[tcp, f"unix:{path}"], workers=2
    )
    port, option = int(tcp.rpartition(":")[2]), ("--share-addresses",)
    async with (
        started(config, tmp_path / "old", options=option) as old,
        started(config, tmp_path / "new", options=option) as new,
    ):
        old.process.send_signal(signal.SIGTERM)
        while old.process.poll() is None:
            assert (await ask_unix(path)).startswith(b"HTTP/1.1 200")
        assert old.process.returncode == 0

        assert [await serves(port) for _ in range(10)] == [True] * 10
        assert (await ask_unix(path)).startswith(b"HTTP/1.1 200")
        new.process.send_signal(signal.SIGTERM)
        assert await new.ended() == 0
    assert list(short.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_unix_sockets_have_their_mode_and_are_shared_by_workers(
    upstream: RecordingUpstream,
    redis: Server,
    tmp_path: Path,
    short: Path,
    umask: int,
) -> None:
    listen, admin = f"unix:{short}/gw.sock", f"unix:{short}/admin.sock"
    config = config_for(upstream.port, redis.url, listen=listen, admin=admin, workers=2)
    for name in ("gw.sock", "admin.sock"):
        with socket.socket(socket.AF_UNIX) as stale:  # of a killed process
            stale.bind(f"{short}/{name}")
    async with started(config, tmp_path, streams={"umask": umask}) as running:
        modes = [
            stat.S_IMODE((short / name).stat().st_mode)
            for name in ("gw.sock", "admin.sock")
        ]
        assert modes == [0o660, 0o660]
        for _ in range(2):
            assert (await ask_unix(f"{short}/gw.sock")).startswith(b"HTTP/1.1 200")
            # The other worker answers, and then a third.
            stopped = running.workers()[0]
            os.kill(stopped, signal.SIGKILL)
            await until(partial(gone, stopped))
        assert b"404" in await ask_unix(f"{short}/admin.sock")


def test_each_command_ends_in_order_when_its_output_cannot_be_written(
    tmp_path: Path,
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("version: 1\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "check", "-c", str(config)],
            stdout=full,
            stderr=full,
            check=False,
        )
    assert done.returncode == 1
