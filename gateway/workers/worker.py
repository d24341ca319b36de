"""One serving process: its signals, reloads and shutdown."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.app import App
from gateway.config.load import LoadedConfig
from gateway.config.secrecy import secrets_of
from gateway.observe.logs import LogOutput, configure
from gateway.observe.shared import SharedCounts
from gateway.server.sockets import Listeners
from gateway.tokens.ring import KeyRing
from gateway.workers.allocator import keep_freed_memory
from gateway.workers.watching import Fingerprint, fingerprint, watch

_CLOSE_SECONDS = 1.5
"""Seconds in which the connections to Redis and upstreams are closed at the end."""
_STUCK_SECONDS: Final = 2.5
"""Seconds after `drain` in which a process whose event loop is stuck is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a process is started with."""

    loaded: LoadedConfig
    env: Mapping[str, str]
    redis_url: str | None = None
    log_format: str = "auto"
    share_addresses: bool = False
    """Whether other instances may listen on the same addresses."""
    on_ready: Callable[[], None] | None = None

    def configure_logs(self) -> LogOutput:
        """Configure the log output of this process; `NO_COLOR` is of no-color.org."""
        config = self.loaded.config
        return configure(
            config.log.level,
            self.log_format,
            secrets=secrets_of(config),
            no_colour=bool(self.env.get("NO_COLOR")) or self.env.get("TERM") == "dumb",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a worker of a supervisor is given, beyond the launch."""

    shared: SharedCounts | None
    place: int
    """Where in `shared` it writes."""
    first: bool
    """Whether it writes the audit events that concern all workers."""
    again: bool
    """Whether it replaces a worker that ended."""
    stopping: Callable[[], None]
    """Called when this worker was asked to stop."""


ALONE: Final = Post(
    shared=None, place=1, first=True, again=False, stopping=lambda: None
)


async def serve(
    launch: Launch,
    ring: KeyRing,
    listeners: Listeners,
    *,
    known: Fingerprint,
    post: Post = ALONE,
) -> int:
    """Serve until a signal ends it; return the exit code.

    Raises:
        GatewayError: the configuration cannot be used.
    """
    output = launch.configure_logs()
    app = App(
        launch.loaded,
        ring=ring,
        output=output,
        env=launch.env,
        redis_url=launch.redis_url,
        listeners=listeners,
        shared=post.shared,
        place=post.place,
        first=post.first,
    )
    stop, reload = asyncio.Event(), asyncio.Event()
    _on_signals(stop, reload, post)
    if post.again:
        known = fingerprint(app.loaded)
    await app.open(again=post.again)
    _spare_the_collector()
    keep_freed_memory()
    if launch.on_ready is not None:
        launch.on_ready()
    watcher = asyncio.create_task(watch(app, reload, known))
    reloader = asyncio.create_task(_reload_on_request(app, reload))
    try:
        await stop.wait()
        _end_by_then(app.loaded.config.server.timeouts.drain)
        post.stopping()
        await app.drain()
    finally:
        for task in (watcher, reloader):
            task.cancel()
        await asyncio.gather(watcher, reloader, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await app.close()
        output.sink.close(0.5)
    return 0


def _on_signals(stop: asyncio.Event, reload: asyncio.Event, post: Post) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    if post is ALONE:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop_or_die, stop)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, reap)
        return
    # A terminal's Ctrl-C, and systemd by default, send to every process of the
    # group; the supervisor sends again. Only its SIGKILL means "at once".
    loop.add_signal_handler(signal.SIGTERM, stop.set)


def _end_by_then(seconds: float) -> None:
    """Arrange that the kernel ends this process, even if the event loop is stuck.

    `drain` is a promise to the service manager, which sends SIGKILL after its own
    grace period.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + _STUCK_SECONDS)


def reap() -> None:
    """Collect the exit status of orphaned children, as PID 1."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


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


async def _reload_on_request(app: App, reload: asyncio.Event) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await app.reload()
