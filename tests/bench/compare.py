"""CPU per request of this gateway beside its peers, in one interleaved run.

    python -m tests.bench.compare [--rounds 5] [--seconds 2] [--connections 64]

Each subject runs on CPU 0 and is loaded by wrk from CPU 1; the upstream (nginx)
and Redis run on CPU 1 too. A round visits every subject once, so that a machine
that slows down slows all of them. CPU time is that of the subject's processes, from
/proc; it is far steadier than requests per second. Prints a table, then one JSON
line for each subject.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gateway.sessions.cookie import new_token
from gateway.sessions.record import Identity, Tenant, serialise
from tests.servers import Server, ask, free_port, valkey_server
from tests.walk.harness import a_session

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Subject:
    """One program under load."""

    name: str
    port: int
    path: str
    process: subprocess.Popen[bytes]
    rps: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all that it started."""
    total = 0
    for each in _tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _tree(int(child))


def load(subject: Subject, cookie: str, seconds: float, connections: int) -> None:
    """Load a subject once and note what it cost."""
    before = cpu_seconds(subject.process.pid)
    out = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t1", f"-c{connections}"),
            *(f"-d{seconds}s", "-H", f"Cookie: {cookie}"),
            f"http://127.0.0.1:{subject.port}{subject.path}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = cpu_seconds(subject.process.pid) - before
    done = int(figure(r"(\d+) requests in", out))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad or not done:
        raise SystemExit(f"{subject.name}: not every answer was a 200\n{out}")
    subject.rps.append(float(figure(r"Requests/sec:\s+([\d.]+)", out)))
    subject.micros.append(spent / done * 1e6)


def figure(pattern: str, out: str) -> str:
    found = re.search(pattern, out)
    if not found:
        raise SystemExit(f"wrk printed no such figure: {pattern}\n{out}")
    return found[1]


@contextmanager
def running(
    command: list[str], cpu: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(cpu), *command], stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, path: str, cookie: str) -> None:
    """Ask until the subject answers 200; a failure tells what it said."""
    end = time.monotonic() + 20
    while True:
        out = subprocess.run(
            [
                *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"),
                *("-H", f"Cookie: {cookie}", f"http://127.0.0.1:{port}{path}"),
            ],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        if out == "200":
            return
        if time.monotonic() > end:
            raise SystemExit(f"port {port}{path} answers {out}, not 200")
        time.sleep(0.05)


def nginx_config(folder: Path, name: str, server: str) -> list[str]:
    path = folder / f"{name}.conf"
    path.write_text(
        f"daemon off; worker_processes 1; pid {folder}/{name}.pid;\n"
        f"error_log {folder}/{name}.err; events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000;\n{server}\n}}\n"
    )
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise SystemExit("nginx is missing: sudo apt-get install nginx")
    return [nginx, "-c", str(path), "-e", f"{folder}/{name}.err"]


def gateway_config(folder: Path, port: int, upstream: int, redis: Server) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "server": {
                    "listen": f"127.0.0.1:{port}",
                    "admin": None,
                    "public_url": f"http://127.0.0.1:{port}",
                },
                "redis": {"url": redis.url},
                "tokens": {
                    "profiles": {
                        "database": {
                            "audience": "postgrest",
                            "header": "Authorization",
                            "claims": {
                                "role": "authenticated",
                                "tenant_id": "{tenant.id}",
                            },
                        }
                    }
                },
                "upstreams": {
                    "app": {
                        "url": f"http://127.0.0.1:{upstream}",
                        "token": "database",
                    }
                },
                "routes": [
                    {"match": "/**", "rule": "protected", "upstream": "app"},
                    {
                        "match": "/public/**",
                        "rule": "public",
                        "session": "ignore",
                        "upstream": "app",
                    },
                ],
            }
        )
    )
    return path


def put_session(redis: Server) -> str:
    """Write a session in both formats; gives the cookies of a request."""
    token = new_token(os.urandom(32))
    session = a_session(
        time.time(),
        identity=Identity(
            id="u1", traits={"email": "ada@example.com"}, roles=("member",)
        ),
        tenants={"t1": Tenant(id="t1", name="Acme", role="owner")},
        active_tenant="t1",
    )
    ask(redis.socket_path, "SET", f"gateway:session:{token.key}", serialise(session))
    plain = {"user_id": "u1", "tenant_id": "t1", "email": "a@b.c", "role": "member"}
    ask(redis.socket_path, "SET", "session:abc123", json.dumps(plain))
    return f"gateway_session={token.value}; sid=abc123"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    wanted = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: sudo apt-get install wrk")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(valkey_server(folder, port=(cache := free_port())))
        cookie = put_session(redis)
        up, plain, own, naive = (free_port() for _ in range(4))
        answer = 'default_type text/plain; return 200 "hello, this is upstream\\n";'
        config = nginx_config(
            folder,
            "up",
            f"server {{ listen 127.0.0.1:{up} backlog=4096;"
            f" location / {{ {answer} }} }}",
        )
        stack.enter_context(running(config, 1, folder / "up.log"))
        config = nginx_config(
            folder,
            "proxy",
            f"upstream u {{ server 127.0.0.1:{up}; keepalive 256; }}"
            f"server {{ listen 127.0.0.1:{plain} backlog=4096; location / {{"
            " proxy_pass http://u; proxy_http_version 1.1;"
            ' proxy_set_header Connection ""; } }',
        )
        nginx = stack.enter_context(running(config, 0, folder / "proxy.log"))
        path = gateway_config(folder, own, up, redis)
        gateway = stack.enter_context(
            running(
                [sys.executable, "-m", "gateway", "run", "-c", str(path)],
                0,
                folder / "gateway.log",
            )
        )
        first = stack.enter_context(
            running(
                [
                    *(sys.executable, "-m", "tests.bench.naive"),
                    *(str(naive), str(up), str(cache)),
                ],
                0,
                folder / "naive.log",
            )
        )
        subjects = [
            Subject("nginx, plain proxy", plain, "/", nginx),
            Subject("gateway, public route", own, "/public/x", gateway),
            Subject("gateway, protected route with token", own, "/", gateway),
            Subject("what one writes first", naive, "/", first),
        ]
        for subject in subjects:
            wait_for(subject.port, subject.path, cookie)
            load(subject, cookie, 1, wanted.connections)
            subject.rps.clear()
            subject.micros.clear()
        for _ in range(wanted.rounds):
            for subject in subjects:
                load(subject, cookie, wanted.seconds, wanted.connections)
                subject.ratios.append(subject.micros[-1] / subjects[0].micros[-1])
    report(subjects)


def report(subjects: list[Subject]) -> None:
    print(f"{'':38}{'CPU µs/request':>16}{'requests/s':>12}{'× nginx':>9}")
    for subject in subjects:
        print(
            f"{subject.name:38}{statistics.median(subject.micros):16.1f}"
            f"{statistics.median(subject.rps):12.0f}"
            f"{statistics.median(subject.ratios):9.2f}"
        )
    for subject in subjects:
        print(
            json.dumps(
                {
                    "subject": subject.name,
                    "cpu_us_per_request": round(statistics.median(subject.micros), 1),
                    "requests_per_second": round(statistics.median(subject.rps)),
                    "ratio_to_nginx": round(statistics.median(subject.ratios), 2),
                    "rounds": [round(each, 1) for each in subject.micros],
                }
            )
        )


if __name__ == "__main__":
    main()
