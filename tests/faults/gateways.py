"""Real `gateway run` processes: started, watched, signalled, and gone at the end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.servers import PATIENCE, free_port

STARTED = "listening"
ADMIN_TOKEN = "faults-admin-token-0123456789"


def configuration(
    *, web: int, redis_url: str, workers: int, faulty: int, timeout: str
) -> dict[str, Any]:
    """A configuration with a healthy upstream, and one that a row may break."""
    server = f"http://127.0.0.1:{web}"
    return {
        "version": 1,
        "server": {
            "public_url": "http://gw.test",
            "admin_token": ADMIN_TOKEN,
            "workers": workers,
            # All clients of a row come from one address.
            "guessing": {"exempt": ["127.0.0.0/8"]},
            "limits": {"address_percent": 100},
        },
        "redis": {"url": redis_url, "timeout": timeout},
        "sign_in": {"url": "/auth/login", "home": "/home"},
        "tokens": {
            "issuer": "http://gw.test",
            "keys": "embedded",
            "profiles": {
                "database": {
                    "audience": "postgrest",
                    "header": "Authorization",
                    "claims": {"tenant_id": "{tenant.id}"},
                }
            },
        },
        "upstreams": {
            "web": {"url": server, "may_sign_in": True},
            "api": {"url": server, "token": "database"},
            "faulty": {
                "url": f"http://127.0.0.1:{faulty}",
                "timeouts": {"connect": "1s", "response_headers": "1s", "idle": "2s"},
            },
        },
        "routes": [
            {"match": "/**", "rule": "public", "upstream": "web"},
            {
                "match": "/static/**",
                "rule": "public",
                "session": "ignore",
                "upstream": "web",
            },
            _protected("/home/**", "web"),
            _protected("/api/**", "api") | {"require": {"tenant": True}},
            _protected("/faulty/**", "faulty"),
        ],
    }


def _protected(path: str, upstream: str) -> dict[str, Any]:
    return {
        "match": path,
        "rule": "protected",
        "unauthenticated": "status",
        "upstream": upstream,
    }


@dataclass
class GatewayProcess:
    """One `gateway run`, with its configuration, log and ports."""

    folder: Path
    config: dict[str, Any]
    wrap: Sequence[str] = ()
    """A command in front of the program, such as prlimit."""
    env: Mapping[str, str] = field(default_factory=dict)
    stdout: int | None = None
    """Descriptor for standard output; None is a file."""
    stderr: int | None = None
    port: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config["server"] |= {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
        }
        self.path = self.folder / "gateway.yaml"
        self.log = self.folder / "gateway.log"
        self.write(self.config)

    def write(self, config: Mapping[str, Any]) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(dict(config)))
        fresh.replace(self.path)

    @property
    def workers(self) -> int:
        return int(self.config["server"]["workers"])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        command = [
            *(*self.wrap, sys.executable, "-m", "gateway", "run"),
            *("-c", str(self.path)),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log if self.stdout is None else self.stdout,
                stderr=log if self.stderr is None else self.stderr,
                env=os.environ | dict(self.env),
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until every worker has started and the gateway is ready.

        Raises:
            RuntimeError: the process ended first.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not self.running:
                raise RuntimeError(f"the gateway ended: {self.text()[-2000:]}")
            if len(self.worker_pids()) == self.workers and await self._answers():
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f"the gateway is not ready: {self.text()[-2000:]}")

    async def _answers(self) -> bool:
        """Every worker listens, and one says that it is ready."""
        if self.stdout is None and len(self.lines(STARTED)) < self.workers:
            return False
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
            writer.write(
                b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            answer = await reader.read()
            writer.close()
        except OSError:
            return False
        return b" 200 " in answer[:20]

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def worker_pids(self) -> list[int]:
        """The processes that serve: the children, or the process itself."""
        if self.workers == 1:
            return [self.pid] if self.running else []
        return children(self.pid)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait until the process has ended; return its exit code."""
        async with asyncio.timeout(PATIENCE):
            while self.running:
                await asyncio.sleep(0.01)
        assert self.process is not None
        assert self.process.returncode is not None
        return self.process.returncode

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Log lines with this message."""
        found = []
        for line in self.text().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("message") == message:
                    found.append(entry)
        return found

    def kill(self) -> None:
        """End the process and its children, whatever state they are in."""
        if self.process is None:
            return
        for pid in [*children(self.pid), self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


def children(pid: int) -> list[int]:
    """Pids of the direct children that are not zombies."""
    with contextlib.suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [child for child in map(int, found) if alive(child)]
    return []


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def resident(pid: int) -> int:
    """Resident memory in KiB; 0 if the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def descriptors(pid: int) -> int:
    """Open descriptors; 0 if the process is gone."""
    with contextlib.suppress(OSError):
        return len([*Path(f"/proc/{pid}/fd").iterdir()])
    return 0
