"""Exceptions of the gateway. A refusal is not an exception but a value with a Reason.

GatewayError
├── ConfigError          the configuration cannot be used; carries every problem
├── TooManyAttempts      this address failed too often; carries the time to wait
├── StoreUnavailable     the session store could not be queried (never "no session")
│   ├── NotPermitted     the Redis user lacks a right
│   └── KeysUnavailable  the keys of a provider could not be fetched (never "invalid")
├── ClientLimit          a client holds its share of a pool
├── CannotListen         an address is in use or not permitted
├── EmbeddedUnavailable  an embedded server cannot be started
└── UpstreamError        the application is unreachable or its response is invalid
    ├── ConnectFailed    no connection; the request was not acted on
    ├── UpstreamBusy     no free connection in time; the request was not sent
    ├── UpstreamTimeout  no response in time
    └── InvalidUpstreamResponse        the response is not valid HTTP, or incomplete
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SHORT_OF: Final[Mapping[int, str]] = {
    errno.EMFILE: "file descriptors of the process",
    errno.ENFILE: "file descriptors of the system",
    errno.ENOBUFS: "kernel memory",
    errno.ENOMEM: "kernel memory",
}
"""The exhausted resource of this machine when a socket cannot be created, by errno. It
is temporary and does not concern the peer."""


class GatewayError(Exception):
    """Base class of the exceptions of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error in a configuration file, with its place and a hint.

    Line and column count from 1; 0 means that the place is not known.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class ConfigError(GatewayError):
    """The configuration is refused; `problems` holds all that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StoreUnavailable(GatewayError):  # noqa: N818 - the field's word, not "...Error"
    """The session store did not respond; whether the session is valid is unknown."""


class NotPermitted(StoreUnavailable):
    """The ACL user of Redis may not do this; the others' rights are not known."""


class KeysUnavailable(StoreUnavailable):
    """A provider did not answer: whether its access token is valid is unknown."""


class TooManyAttempts(GatewayError):  # noqa: N818 - as above
    """An address has too many failed attempts.

    `retry_after` is in whole seconds; `clear`: the session cookie is cleared.
    """

    def __init__(self, *, retry_after: int, clear: bool = False) -> None:
        super().__init__(f"too many failed attempts; try again in {retry_after} s")
        self.retry_after = retry_after
        self.clear = clear


class CannotListen(GatewayError):  # noqa: N818 - as above
    """A listener cannot be opened; the message has the address and the cause."""


class EmbeddedUnavailable(GatewayError):  # noqa: N818 - as above
    """An embedded server cannot be started; the message names the package to install."""


class UpstreamError(GatewayError):
    """An upstream failed. `sent`: it may have processed the request."""

    sent = True


class ConnectFailed(UpstreamError):  # noqa: N818 - as above
    """No connection to any target could be made."""

    sent = False


class UpstreamBusy(UpstreamError):  # noqa: N818 - as above
    """The pool had no free connection in time."""

    sent = False


class ClientLimit(GatewayError):  # noqa: N818 - as above
    """A client holds its share of a pool; the request was not sent."""


class UpstreamTimeout(UpstreamError):  # noqa: N818 - as above
    """The upstream was too slow to read the request or to send its response."""


class InvalidUpstreamResponse(UpstreamError):  # noqa: N818 - as above
    """The upstream's response is invalid."""
