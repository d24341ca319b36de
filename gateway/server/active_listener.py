"""Accepts clients on listening sockets, in the event loop of this process."""

from dataclasses import dataclass

from gateway.server.accepting import Acceptor, Plain, Serve
from gateway.server.descriptors import Shortage
from gateway.server.sockets import ListeningSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveListener:
    """One address that accepts connections."""

    acceptor: Acceptor
    ports: tuple[int, ...]
    """TCP ports; empty for a Unix socket."""

    def close(self) -> None:
        """Stop accepting connections."""
        self.acceptor.close()

    def abort(self) -> None:
        """Stop accepting connections and cancel TLS handshakes in progress."""
        self.acceptor.abort()


def start_listener(
    listening: ListeningSocket, serve: Serve | Plain, *, shortage: Shortage
) -> ActiveListener:
    """Start accepting connections; the result owns the sockets.

    Args:
        listening: the sockets.
        serve: called for each connection.
        shortage: reports exhausted resources.
    """
    ports = listening.ports
    acceptor = Acceptor(listening.sockets, serve=serve, shortage=shortage)
    return ActiveListener(acceptor=acceptor, ports=ports)
