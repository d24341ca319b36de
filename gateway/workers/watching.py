"""Watch the files of a configuration for changes."""

import asyncio
import contextlib
import os
from typing import Final, TypeAlias

import watchfiles

from gateway.app import App
from gateway.config.load import LoadedConfig

_CHECK_EVERY: Final = 2000
"""Milliseconds between two looks at the files when nothing is notified."""
_GATHER: Final = 250
"""Milliseconds without a change after which the changes before are seen as one. The
thread that gathers them wakes as often: at 50, the default, it woke an idle process
more often than all else together."""

Fingerprint: TypeAlias = tuple[object, ...]
"""What the files of a configuration look like from outside: place, size, time."""


async def watch(app: App, reload: asyncio.Event, known: Fingerprint) -> None:
    """Set `reload` whenever the files differ from `known`; runs until cancelled."""
    # A watch only wakes the loop; the reload depends on whether the files differ from what was
    # there (`known`) before they were read. So no change falls between reading and
    # watching, and one on a file system without notifications is seen a little later.
    found = fingerprint(app.loaded)
    if found != known or app.loaded.outdated:
        known = found
        reload.set()
    async for _ in watchfiles.awatch(
        *_folders(app.loaded),
        debounce=4 * _GATHER,
        step=_GATHER,
        rust_timeout=_CHECK_EVERY,
        yield_on_timeout=True,
        recursive=False,
    ):
        found = fingerprint(app.loaded)
        if found != known:
            known = found
            reload.set()


def _folders(loaded: LoadedConfig) -> set[str]:
    # The folder and not the file: editors and Kubernetes put a new file (or a new
    # link) instead of the old one, and a watch on the old one sees nothing.
    files, keys = _watched(loaded)
    return {os.path.dirname(os.path.abspath(path)) for path in files} | set(keys)


def _watched(loaded: LoadedConfig) -> tuple[list[str], list[str]]:
    """Return the files whose change triggers a reload, and the key folder."""
    tls, keys = loaded.config.server.tls, loaded.config.tokens.keys
    certificate = [] if tls is None else [tls.certificate, tls.key]
    folders = [] if keys == "embedded" else [keys]
    return [str(loaded.path), *certificate], folders


def fingerprint(loaded: LoadedConfig) -> Fingerprint:
    """Return what the files of this configuration look like now; reads none of them."""
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
