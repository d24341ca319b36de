"""A `gateway run` whose streams, limits and files a test chooses."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import PATIENCE, free_port
from tests.walk.harness import ADMIN_TOKEN, base_config, until

SERVING = "listening"


@dataclass
class Started:
    """A gateway that runs, and the log that it writes to a file."""

    process: subprocess.Popen[bytes]
    port: int
    admin: int
    path: Path
    log: Path
    err: Path
    first: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines of the log."""
        found = []
        for line in self.log.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def messages(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("message") == message]

    async def logged(self, message: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until a message has been logged `count` times."""

        def enough() -> list[dict[str, Any]]:
            found = self.messages(message)
            return found if len(found) >= count else []

        return await until(enough)

    def workers(self) -> list[int]:
        """The children that are alive."""
        place = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [pid for pid in map(int, place.read_text().split()) if alive(pid)]

    async def ended(self, patience: float = PATIENCE) -> int:
        """Wait for the end; gives the exit code."""
        async with asyncio.timeout(patience):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.005)
        return code


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def config_for(upstream: int, redis_url: str, **server: Any) -> dict[str, Any]:
    """A configuration with addresses of its own; `server` changes it."""
    config = base_config(upstream)
    config["redis"] = {"url": redis_url}
    config["server"] |= {
        "listen": f"127.0.0.1:{free_port()}",
        "admin": f"127.0.0.1:{free_port()}",
        "admin_token": ADMIN_TOKEN,
    } | server
    return config


@contextlib.asynccontextmanager
async def started(
    config: dict[str, Any],
    folder: Path,
    *,
    options: Sequence[str] = (),
    wrap: Sequence[str] = (),
    streams: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    ready: bool = True,
) -> AsyncIterator[Started]:
    """Run a gateway; its log goes to a file unless `streams` says otherwise.

    Whatever the test leaves behind is killed.
    """
    folder.mkdir(exist_ok=True)
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    log, err = folder / "log", folder / "err"
    with log.open("ab") as out, err.open("ab") as errors:
        outputs: dict[str, Any] = {"stdout": out, "stderr": errors, **(streams or {})}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [*wrap, sys.executable, "-m", "gateway", "run", "-c", str(path)]
            + ["--log-format", "json", *options],
            env=os.environ | (env or {}),
            **outputs,
        )
    listen, admin = config["server"]["listen"], config["server"]["admin"]
    running = Started(process, _port(listen), _port(admin), path, log, err)
    children: list[int] = []
    try:
        if ready:
            await running.logged(SERVING, config["server"].get("workers", 1))
        yield running
    finally:
        if process.poll() is None:
            children = running.workers()
            process.kill()
            process.wait()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _port(address: Any) -> int:
    first = address if isinstance(address, str) else address[0]
    tail = first.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0
