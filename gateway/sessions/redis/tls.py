"""One TLS context for all connections to Redis that are made with the same files.

The redis library makes a context for each connection, and so reads the system's
certificates each time: 40 ms or more in which the event loop does nothing else. While
Redis hangs, connections are tried again all the time, and every request waits.
"""

import os
import ssl
from functools import lru_cache
from typing import Any, Final, Protocol

_FIELDS: Final = (
    "keyfile",
    "certfile",
    "cert_reqs",
    "ca_certs",
    "ca_data",
    "ca_path",
    "check_hostname",
    "min_version",
    "ciphers",
    "password",
)
_FILES: Final = ("keyfile", "certfile", "ca_certs")


class TlsSettings(Protocol):
    """What the library keeps for one connection: the fields above, and a context."""

    context: ssl.SSLContext | None

    def get(self) -> ssl.SSLContext:
        """Return the context; make it if there is none."""


def share_context(settings: TlsSettings) -> None:
    """Reuse the TLS context of earlier connections with the same settings.

    A file that has changed since makes a new one, so a renewed certificate is used by
    the next connection.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: a file is not a certificate or not a key.
    """
    values = tuple(getattr(settings, name) for name in _FIELDS)
    files = (getattr(settings, name) for name in _FILES)
    holder = _holder(values, tuple(_state(file) for file in files if file))
    if not holder:
        holder.append(settings.get())
    settings.context = holder[0]


@lru_cache(maxsize=16)
def _holder(_values: tuple[Any, ...], _states: tuple[Any, ...]) -> list[ssl.SSLContext]:
    """Return where the context of these settings is kept; empty at first."""
    return []


def _state(file: str) -> tuple[int, int, int]:
    found = os.stat(file)  # noqa: PTH116 - the path is the library's string
    return found.st_ino, found.st_size, found.st_mtime_ns
