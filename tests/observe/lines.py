"""Reading what was logged, from a real pipe."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson

from gateway.observe.logs import LogOutput, configure


class Lines:
    """A log that writes into a pipe, and what came out of it."""

    def __init__(self, **options: Any) -> None:
        self._read, write = os.pipe()
        self.output: LogOutput = configure(**{"fmt": "json", **options}, fd=write)
        self._write = write

    def raw(self) -> bytes:
        """Close the log and read everything."""
        self.output.sink.close()
        os.close(self._write)
        with os.fdopen(self._read, "rb") as reader:
            return reader.read()

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.raw().splitlines()]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        for fd in (read, write):
            with suppress(OSError):
                os.close(fd)
