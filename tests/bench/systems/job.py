"""Programs that do the gateway's job: Express, and the naive program in Python."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.backends import SECRET, Backends
from tests.bench.install import Peers
from tests.bench.processes import running
from tests.bench.systems.gateway import HERE
from tests.bench.systems.system import System, UnavailableError
from tests.servers import free_port

_EXPRESS: Final = Path(__file__).with_name("express.mjs")


@contextmanager
def express(backends: Backends, peers: Peers) -> Iterator[System]:
    """Run Express with express-session, connect-redis and http-proxy-middleware."""
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("Node.js is not installed")
    port, folder = free_port(), backends.folder
    # Node.js resolves packages from the folder of the script.
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(peers.node_modules())
    script = shutil.copy(_EXPRESS, folder)
    command = [node, script, str(port), str(backends.upstream_port)]
    command += [str(backends.redis_port), SECRET, f"{folder}/express-access.log"]
    env = {"NODE_ENV": "production"}
    with running("Express", command, folder, env=env) as program:
        yield System(
            name="Express",
            port=port,
            program=program,
            cookies=backends.express_cookies,
        ).ready()


@contextmanager
def naive(backends: Backends, _: Peers) -> Iterator[System]:
    """Run `tests/bench/naive.py`: aiohttp, redis.asyncio, a signature each."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.naive", str(port)]
    command += [str(backends.upstream_port), str(backends.redis_port)]
    with running("naive program", command, backends.folder, cwd=HERE) as program:
        yield System(
            name="naive program",
            port=port,
            program=program,
            cookies=[f"sid={token}" for token in backends.tokens],
        ).ready()
