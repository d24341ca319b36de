"""Processes and signals: who runs the app, what ends it, what reloads it.

| signal | what |
| --- | --- |
| SIGTERM, SIGINT | drain and stop; a second one stops at once |
| SIGHUP | read the configuration again; so does a change of the file |

With `server.workers` above 1 a supervisor forks that many processes, which share
the ports by SO_REUSEPORT, passes signals on, and replaces one that dies. It runs
no event loop and no thread, so that it can always fork.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import uvloop
import watchfiles

from gateway.app import App
from gateway.build import build_ring
from gateway.config.load import LoadedConfig
from gateway.observe.logs import configure
from gateway.observe.metrics import legacy
from gateway.tokens.ring import KeyRing

_QUICK = 1.0
"""Seconds of life below which a worker is taken to have failed at its start."""
_LOOK_EVERY = 2000
"""Milliseconds between two looks at the files when nothing is notified."""
_PAUSE = 1.0
"""Seconds before a worker that failed at its start is started again."""


Fingerprint: TypeAlias = tuple[object, ...]
"""What the files of a configuration look like from outside: place, size, time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a process is started with."""

    loaded: LoadedConfig
    env: Mapping[str, str]
    redis_url: str | None = None
    log_format: str = "auto"
    on_ready: Callable[[], None] | None = None


def run(launch: Launch) -> int:
    """Run the gateway until it is told to stop; answers the exit code.

    Raises:
        ConfigError: the keys or the configuration cannot be used.
        OSError: an address cannot be listened on.
    """
    known = _fingerprint(launch.loaded)
    ring = build_ring(launch.loaded, now=time.time())
    workers = launch.loaded.config.server.workers
    count = (os.cpu_count() or 1) if workers == "auto" else workers
    if count == 1:
        serve = _serve(launch, ring, known=known, reuse_port=False, folder=None)
        return uvloop.run(serve)
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        return _Supervisor(launch, ring, known, count, Path(folder)).run()


async def _serve(
    launch: Launch,
    ring: KeyRing,
    *,
    known: Fingerprint,
    reuse_port: bool,
    folder: Path | None,
    first: bool = True,
    again: bool = False,
) -> int:
    config = launch.loaded.config
    output = configure(
        config.log.level, launch.log_format, secrets=_secrets(launch.loaded)
    )
    app = App(
        launch.loaded,
        ring=ring,
        output=output,
        env=launch.env,
        redis_url=launch.redis_url,
        reuse_port=reuse_port,
        metrics_folder=folder,
        first=first,
    )
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_die, stop)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    if again:
        known = _fingerprint(app.loaded)
    await app.open(again=again)
    _spare_the_collector()
    if launch.on_ready is not None:
        launch.on_ready()
    watcher = asyncio.create_task(_watch(app, reload, known))
    reloader = asyncio.create_task(_reload_when_asked(app, reload))
    try:
        await stop.wait()
        await app.drain()
    finally:
        for task in (watcher, reloader):
            task.cancel()
        await asyncio.gather(watcher, reloader, return_exceptions=True)
        await app.close()
        output.sink.close()
    return 0


def _secrets(loaded: LoadedConfig) -> tuple[str, ...]:
    """Name what must not be in a log, whoever puts it there."""
    config = loaded.config
    password = urlsplit(config.redis.url.get_secret_value()).password
    token = config.server.admin_token
    found = (password, token.get_secret_value() if token is not None else None)
    return tuple(each for each in found if each)


def _spare_the_collector() -> None:
    """Keep the garbage collector off what was built at start.

    A request leaves next to no cycles behind, but allocates enough to have the
    collector walk everything that was loaded, many times a second. Frozen objects
    are not walked, and a larger first generation is walked less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _stop_or_die(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(130)
    stop.set()


async def _reload_when_asked(app: App, reload: asyncio.Event) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await app.reload()


async def _watch(app: App, reload: asyncio.Event, known: Fingerprint) -> None:
    # A watch only wakes us; what decides is whether the files differ from what was
    # there (`known`) before they were read. So no change falls between reading and
    # watching, and one on a file system without notifications is seen a little later.
    found = _fingerprint(app.loaded)
    if found != known or app.loaded.outdated:
        known = found
        reload.set()
    async for _ in watchfiles.awatch(
        *_folders(app.loaded),
        debounce=200,
        rust_timeout=_LOOK_EVERY,
        yield_on_timeout=True,
        recursive=False,
    ):
        found = _fingerprint(app.loaded)
        if found != known:
            known = found
            reload.set()


def _folders(loaded: LoadedConfig) -> set[str]:
    # The folder and not the file: editors and Kubernetes put a new file (or a new
    # link) in the place of the old one, and a watch on the old one sees nothing.
    files, keys = _watched(loaded)
    return {os.path.dirname(os.path.abspath(path)) for path in files} | set(keys)


def _watched(loaded: LoadedConfig) -> tuple[list[str], list[str]]:
    """Name the files whose change is a reload, and the folder of signing keys."""
    tls, keys = loaded.config.server.tls, loaded.config.tokens.keys
    certificate = [] if tls is None else [tls.certificate, tls.key]
    folders = [] if keys == "embedded" else [keys]
    return [str(loaded.path), *certificate], folders


def _fingerprint(loaded: LoadedConfig) -> Fingerprint:
    paths, folders = _watched(loaded)
    for folder in folders:
        with contextlib.suppress(OSError):
            paths += sorted(entry.path for entry in os.scandir(folder))
    return tuple(_state(path) for path in paths)


def _state(path: str) -> tuple[object, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return (path,)
    return path, found.st_ino, found.st_size, found.st_mtime_ns


class _Supervisor:
    def __init__(
        self,
        launch: Launch,
        ring: KeyRing,
        known: Fingerprint,
        count: int,
        folder: Path,
    ) -> None:
        self._launch = launch
        self._ring = ring
        self._known = known
        self._count = count
        self._folder = folder
        self._born: dict[int, float] = {}
        self._first = 0
        self._stopping = False

    def run(self) -> int:
        """Keep `count` workers alive until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        for place in range(self._count):
            self._fork(first=place == 0)
        while self._born:
            try:
                pid, status = os.waitpid(-1, 0)
            except InterruptedError:
                continue
            except ChildProcessError:
                break
            self._buried(pid, os.waitstatus_to_exitcode(status))
        return 0 if self._stopping else 1

    def _buried(self, pid: int, code: int) -> None:
        lived = time.monotonic() - self._born.pop(pid, 0.0)
        if self._stopping:
            return
        sys.stderr.write(f"gateway: worker {pid} ended with {code}, replacing it\n")
        left = self._folder / f"{pid}.metrics"
        if left.exists():
            # Its counters stay in the sum, or they would seem to be reset; what it
            # had open is gone with it.
            fresh = left.with_suffix(".new")
            fresh.write_bytes(legacy(left.read_bytes()))
            fresh.replace(left)
        if lived < _QUICK:
            time.sleep(_PAUSE)
        if not self._stopping:
            self._fork(first=pid == self._first, again=True)

    def _fork(self, *, first: bool, again: bool = False) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(first, again)
        self._born[pid] = time.monotonic()
        if first:
            self._first = pid

    def _be_worker(self, first: bool, again: bool) -> None:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            code = uvloop.run(
                _serve(
                    self._launch,
                    self._ring,
                    known=self._known,
                    reuse_port=True,
                    folder=self._folder,
                    first=first,
                    again=again,
                )
            )
        except Exception as error:  # noqa: BLE001 - the last frame of a process
            sys.stderr.write(f"gateway: {type(error).__name__}: {error}\n")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _pass_on(self, number: int, _frame: object) -> None:
        if number != signal.SIGHUP:
            self._stopping = True
        for pid in tuple(self._born):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
