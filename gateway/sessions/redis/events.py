"""What happens to the store, as values for the log and the metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ServerSwitched:
    """Sentinel or Redis Cluster named another server; its endings are complete."""


@dataclass(frozen=True, slots=True)
class ServerReplaced:
    """Another server answers at the plain address."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ServerIsReplica:
    """The server at the plain address is a replica, so it takes no writes."""

    address: str
    """Without a password."""


@dataclass(frozen=True, slots=True)
class ServerSuspected:
    """A server replied that it is not the master; its connections are dropped."""

    why: str


@dataclass(frozen=True, slots=True)
class InfoDenied:
    """The ACL denies INFO, so a replaced server is not detected."""


@dataclass(frozen=True, slots=True)
class ReadRefused:
    """No server may be read at present; `why` is of the last attempt to reach one."""

    why: str


@dataclass(frozen=True, slots=True)
class WriteNotHeld:
    """A write was not confirmed by every server that must have it."""

    why: str


@dataclass(frozen=True, slots=True)
class EndingsWaiting:
    """The count of endings that are not durable has changed."""

    count: int


StoreEvent: TypeAlias = (
    ServerSwitched
    | ServerReplaced
    | ServerIsReplica
    | ServerSuspected
    | InfoDenied
    | ReadRefused
    | WriteNotHeld
    | EndingsWaiting
)
OnEvent: TypeAlias = Callable[[StoreEvent], None]
