"""One process that serves: its signals, its reloads, its end."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.app import App
from gateway.config.load import LoadedConfig
from gateway.observe.logs import configure
from gateway.tokens.ring import KeyRing
from gateway.workers.watching import Fingerprint, fingerprint, watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a process is started with."""

    loaded: LoadedConfig
    env: Mapping[str, str]
    redis_url: str | None = None
    log_format: str = "auto"
    on_ready: Callable[[], None] | None = None


async def serve(
    launch: Launch,
    ring: KeyRing,
    *,
    known: Fingerprint,
    reuse_port: bool,
    folder: Path | None,
    first: bool = True,
    again: bool = False,
) -> int:
    """Serve until a signal ends it; return the exit code.

    Raises:
        GatewayError: the configuration cannot be used, or an address is not free.
    """
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
        known = fingerprint(app.loaded)
    await app.open(again=again)
    _spare_the_collector()
    if launch.on_ready is not None:
        launch.on_ready()
    watcher = asyncio.create_task(watch(app, reload, known))
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
