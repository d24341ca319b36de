"""Describes exceptions without values of requests, URLs or secrets.

The message of an exception may quote its input, so only messages of GatewayError are
logged. Any other exception is described by its type and its place in the code.
"""

import contextlib
import os
import select
import traceback
from collections.abc import Iterator
from typing import Final

from gateway.errors import GatewayError

_WAIT_MS: Final = 100
"""Milliseconds to wait until 4 KiB can be written to standard error."""


def describe(error: BaseException) -> str:
    """Return one line: the message of a GatewayError, else type, place and errno."""
    if isinstance(error, GatewayError):
        return str(error)
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.errno:
        name += f" ({os.strerror(error.errno)})"
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    if not frames:
        return name
    place = frames[-1]
    return f"{name} at {_short(place.filename)}:{place.lineno} in {place.name}"


def stack_of(error: BaseException) -> str:
    """Return the stack of an exception and its causes, oldest first, without values."""
    return "\n".join(_chain(error, set()))


def write_line(text: str, fd: int = 2) -> None:
    """Write a line to standard error; drop it if the reader is gone or stuck."""
    raw = text.encode("utf-8", "replace") + b"\n"
    poll = select.poll()
    with contextlib.suppress(OSError, ValueError):
        poll.register(fd, select.POLLOUT)
        for at in range(0, len(raw), select.PIPE_BUF):
            if not poll.poll(_WAIT_MS):
                return
            os.write(fd, raw[at : at + select.PIPE_BUF])


def _chain(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__
    if before is None and not error.__suppress_context__:
        before = error.__context__
    if before is not None and id(before) not in seen:
        yield from _chain(before, seen)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            if id(one) not in seen:
                yield from _chain(one, seen)
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(error, GatewayError):
        name += f": {error}"
    elif isinstance(error, OSError) and error.errno:
        name += f": {os.strerror(error.errno)}"
    yield name


def _short(path: str) -> str:
    """Return a path relative to its package root, such as gateway/app.py."""
    for name in ("/site-packages/", "/gateway/"):
        _, found, rest = path.rpartition(name)
        if found:
            return rest if name == "/site-packages/" else f"gateway/{rest}"
    return os.path.basename(path)  # noqa: PTH119 - text, not a file
