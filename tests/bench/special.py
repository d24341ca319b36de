"""Measurements that are not the CPU time of a request."""

import resource
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from tests.bench.client import FIELDS, Destination, Load, send
from tests.bench.figures import Row
from tests.bench.measuring import sample
from tests.bench.systems.catalogue import PROGRAMS, SYSTEMS, Stage
from tests.bench.systems.system import System, UnavailableError
from tests.bench.websockets import exchange, handshake
from tests.bench.workloads import Workload

# The gateway keeps some for Redis and its upstreams.
_SPARE_FILES: Final = 1300
_WEBSOCKETS: Final = 64
_AT_ONCE: Final = 32
_DRIFT_POINTS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How much is measured."""

    rounds: int
    seconds: float
    idle: int
    """Idle connections, as far as the limit of open files allows."""
    requests: int
    """Requests over which memory is observed."""


def messages(
    workload: Workload, systems: Sequence[System], wanted: Wanted
) -> list[Row]:
    """CPU time of a message and its echo, 64 WebSockets."""
    micros: dict[str, list[float]] = {system.name: [] for system in systems}
    rates: dict[str, list[float]] = {system.name: [] for system in systems}
    failures: dict[str, int] = dict.fromkeys(micros, 0)
    for _ in range(wanted.rounds):
        for system in systems:
            found = exchange(
                system.destination,
                _WEBSOCKETS,
                wanted.seconds,
                system.program.cpu_seconds,
            )
            if not found.messages:
                raise RuntimeError(f"{system.name}: no echo: {found.failures[:1]}")
            micros[system.name].append(found.spent / found.messages * 1e6)
            rates[system.name].append(found.messages / found.seconds)
            failures[system.name] += len(found.failures)
    return [
        Row(
            workload=workload.title,
            system=name,
            unit="µs/message",
            rounds=rounds,
            extra={"messages/s": median(rates[name])},
            failures={"connections": failures[name]} if failures[name] else {},
        )
        for name, rounds in micros.items()
    ]


def idle(
    workload: Workload, systems: Sequence[System], wanted: Wanted, *, upgrade: bool
) -> list[Row]:
    """Memory of the process tree with idle connections, each after one request.

    A WebSocket takes two of the gateway's files, and the hard limit may be below
    what ten thousand need: then there are fewer.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    number = min(wanted.idle, (hard - _SPARE_FILES) // (2 if upgrade else 1))
    rows = []
    for system in systems:
        before = system.program.memory_mib()
        with _connections(system.destination, number, upgrade=upgrade) as failures:
            held = system.program.memory_mib()
        rows.append(
            Row(
                workload=f"{workload.title} ({number:,})",
                system=system.name,
                unit="MiB",
                rounds=[held],
                extra={
                    "MiB before": before,
                    "KiB each": (held - before) * 1024 / number,
                },
                failures=failures,
            )
        )
    return rows


@contextmanager
def _connections(
    to: Destination, number: int, *, upgrade: bool
) -> Iterator[Counter[str]]:
    """Hold connections that had one response each; yield what failed, how often."""
    open_one = partial(_open, to, upgrade=upgrade)
    with ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as pool:
        failures: Counter[str] = Counter()
        for found in pool.map(open_one, range(number)):
            if isinstance(found, socket.socket):
                stack.enter_context(found)
            else:
                failures[found] += 1
        yield failures


def _open(to: Destination, number: int, *, upgrade: bool) -> socket.socket | str:
    """Return a connection that had one response, or what failed."""
    try:
        line = socket.create_connection(("127.0.0.1", to.port), 30)
        line.sendall(handshake(to, number) if upgrade else _request(to, number))
        answer = line.recv(65_536)
    except OSError as error:
        return str(error)
    if answer.startswith(b"HTTP/1.1 101" if upgrade else b"HTTP/1.1 200"):
        return line
    line.close()
    return answer.split(b"\r\n")[0].decode("latin-1") or "closed"


def _request(to: Destination, number: int) -> bytes:
    fields = {**FIELDS, **to.fields, "Host": f"127.0.0.1:{to.port}"}
    fields["Cookie"] = to.cookies[number % len(to.cookies)]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {to.path}/page HTTP/1.1\r\n{lines}\r\n".encode()


def start(
    workload: Workload, keys: Sequence[str], stage: Stage, wanted: Wanted
) -> list[Row]:
    """Seconds from the start of the process to its first 200."""
    found: dict[str, list[float]] = {}
    for _ in range(wanted.rounds):
        for key in keys:
            entry = SYSTEMS[key]
            try:
                with PROGRAMS[entry.program](stage.backends, stage.peers) as system:
                    found.setdefault(entry.name, []).append(system.start_seconds)
            except UnavailableError as error:
                stage.left_out[entry.name] = str(error)
    return [
        Row(workload=workload.title, system=name, unit="s", rounds=rounds)
        for name, rounds in found.items()
    ]


def latency(
    workload: Workload, systems: Sequence[System], wanted: Wanted, stage: Stage
) -> list[Row]:
    """p50 and p99 at half of what the first system can do at most."""
    folder = stage.backends.folder
    sample(systems[0], Load(), 2, folder)
    most = sample(systems[0], Load(), 2, folder).per_second
    load = Load(per_second=most / 2)
    found: dict[str, dict[str, list[float]]] = {
        system.name: {"p50": [], "p99": []} for system in systems
    }
    for _ in range(wanted.rounds):
        for system in systems:
            result = send(system.destination, load, wanted.seconds, folder)
            found[system.name]["p50"].append(result.p50)
            found[system.name]["p99"].append(result.p99)
    base = found.get(SYSTEMS["nginx"].name)
    return [
        Row(
            workload=f"{workload.title} ({most / 2:,.0f} requests/s)",
            system=name,
            load=percentile,
            unit="ms",
            rounds=rounds,
            extra=(
                {"ms over nginx": median(rounds) - median(base[percentile])}
                if base
                else {}
            ),
        )
        for name, figures in found.items()
        for percentile, rounds in figures.items()
    ]


def drift(
    workload: Workload, systems: Sequence[System], wanted: Wanted, stage: Stage
) -> list[Row]:
    """Memory after a warm-up, and at four more points over many requests."""
    rows = []
    for system in systems:
        seen, points = 0, []
        warm = wanted.requests // 10
        for point in range(_DRIFT_POINTS):
            goal = warm + (wanted.requests - warm) * point // (_DRIFT_POINTS - 1)
            while seen < goal:
                result = send(
                    system.destination, Load(), wanted.seconds, stage.backends.folder
                )
                seen += result.requests
            points.append(system.program.memory_mib())
        growth = (points[-1] / points[0] - 1) * 100
        rows.append(
            Row(
                workload=f"{workload.title} ({seen:,})",
                system=system.name,
                unit="MiB",
                rounds=points,
                extra={"growth %": growth},
            )
        )
    return rows
