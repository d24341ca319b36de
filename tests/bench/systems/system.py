"""A running system under test, and whether it does its job."""

import http.client
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

from tests.bench.client import Destination
from tests.bench.processes import Program, wait_until


class UnavailableError(Exception):
    """This system cannot be had here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A running program that listens on `port`, and what it is to be asked."""

    name: str
    port: int
    program: Program
    path: str = "/app"
    cookies: Sequence[str] = ("a=b",)
    fields: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0
    """From the start of the program to its first 200."""

    @property
    def destination(self) -> Destination:
        return Destination(
            port=self.port, path=self.path, cookies=self.cookies, fields=self.fields
        )

    def at(self, path: str, name: str) -> "System":
        """Return the same program under another name, asked for another path."""
        return replace(self, path=path, name=name)

    def status(self, page: str = "/page") -> int | None:
        """Return the status of one request; None without an answer."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(line), suppress(OSError, http.client.HTTPException):
            headers = {"Cookie": self.cookies[0], "Accept": "*/*", **self.fields}
            line.request("GET", self.path + page, headers=headers)
            return line.getresponse().status
        return None

    def ready(self) -> "System":
        """Wait for a 200.

        Raises:
            UnavailableError: it ended, or answers something else for too long.
        """
        if not wait_until(lambda: self.status() == 200, self.program):
            raise UnavailableError(
                f"it answers {self.status()}, not 200: {self.program.last_words()}"
            )
        seconds = time.monotonic() - self.program.started
        return replace(self, start_seconds=seconds)
