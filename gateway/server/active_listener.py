"""Serve clients on listening sockets, in this process's event loop."""

from dataclasses import dataclass

from gateway.server.accepting import Acceptor, Serve
from gateway.server.descriptors import Shortage
from gateway.server.sockets import ListeningSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveListener:
    """One address that is served."""

    acceptor: Acceptor
    ports: tuple[int, ...]
    """Its TCP ports; none for a Unix socket."""

    def close(self) -> None:
        """Accept no more connections."""
        self.acceptor.close()

    def abort(self) -> None:
        """Accept no more connections, and give up TLS handshakes under way."""
        self.acceptor.abort()


def start_listener(
    listening: ListeningSocket, serve: Serve, *, shortage: Shortage
) -> ActiveListener:
    """Accept connections on sockets that listen; the door closes them.

    Args:
        listening: the sockets.
        serve: what to do with a new connection.
        shortage: notes what is used up.
    """
    ports = listening.ports
    acceptor = Acceptor(listening.sockets, serve=serve, shortage=shortage)
    return ActiveListener(acceptor=acceptor, ports=ports)
