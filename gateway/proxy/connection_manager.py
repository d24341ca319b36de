"""What a connection to an upstream uses of the pool that it belongs to."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from gateway.proxy.tunnel import Tunnel

C_contra = TypeVar("C_contra", contravariant=True)


class FailureCounter(Protocol):
    """A target; `strikes` counts failures since the last success."""

    strikes: int


class ConnectionManager(Protocol[C_contra]):
    """The pool that a connection belongs to: settings and callbacks."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    response_timeout: float
    idle_timeout: float

    def connection_reusable(self, connection: C_contra) -> None:
        """Return a connection that is ready for the next request."""

    def connection_closed(self, connection: C_contra) -> None:
        """Remove a connection that is closing."""

    def connection_tunneled(self, connection: C_contra, tunnel: Tunnel) -> None:
        """Count a connection that became a tunnel, until the tunnel ends."""

    def response_started(self, connection: C_contra, *, failed: bool) -> None:
        """Count a response head; `failed`: its status is a server error."""

    def response_completed(self, connection: C_contra) -> None:
        """Count a complete response of a target that had failed before."""

    def request_failed(self, connection: C_contra) -> None:
        """Count a request without a complete response."""

    def socket_opened(self) -> None:
        """Count an open socket."""

    def socket_closed(self) -> None:
        """Count a closed socket."""
