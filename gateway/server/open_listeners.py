"""The open listeners of one process: started together, drained together."""

import asyncio
import contextlib
import ssl
from typing import Final

from gateway.config.schema import Config
from gateway.server.accepting import Plain
from gateway.server.active_listener import ActiveListener, start_listener
from gateway.server.admin.server import AdminServer
from gateway.server.descriptors import Shortage
from gateway.server.handshakes import serve_tls
from gateway.server.listener import ClientServer
from gateway.server.sockets import Listeners

_LAST_REQUESTS: Final = 1.0
"""Seconds that an idle connection stays open while the gateway drains."""
_STARTING: Final = 0.2
"""Seconds for connections that were accepted as the drain began."""
_CLOSING: Final = 3.0
"""Maximum seconds of `drain` reserved for closing connections."""


class OpenListeners:
    """The listeners of clients, of front proxies and of administration.

    Those of clients and of front proxies are drained; the admin listener stays open
    until the end, so that a probe sees the drain.
    """

    def __init__(
        self, *, clients: ClientServer, authz: ClientServer, admin: AdminServer
    ) -> None:
        """Create the set; nothing is open yet."""
        self._clients, self._authz, self._admin = clients, authz, admin
        self._servers = (clients, authz)
        self._client_listeners: list[ActiveListener] = []
        self._authz_listener: ActiveListener | None = None
        self._admin_listener: ActiveListener | None = None

    async def start(
        self,
        listeners: Listeners,
        config: Config,
        *,
        tls: ssl.SSLContext | None,
        shortage: Shortage,
    ) -> None:
        """Accept connections at every address of the configuration."""
        serve = Plain(self._clients) if tls is None else serve_tls(self._clients, tls)
        for address in config.server.listen:
            self._client_listeners.append(
                start_listener(listeners.take(address), serve, shortage=shortage)
            )
        if config.server.authz is not None:
            self._authz_listener = start_listener(
                listeners.take(config.server.authz),
                Plain(self._authz),
                shortage=shortage,
            )
        if config.server.admin is not None:
            self._admin_listener = start_listener(
                listeners.take(config.server.admin),
                await self._admin.start(),
                shortage=shortage,
            )

    def stop_accepting(self) -> None:
        """Stop accepting clients and front proxies."""
        for listener in self._drained:
            listener.close()

    async def drain(self, seconds: float) -> None:
        """Wait up to `seconds` until no request is in flight; `stop_accepting` before.

        Requests get all of it except the last tenth, which is reserved for closing.
        """
        whole = seconds - _STARTING
        await asyncio.gather(
            *(one.acceptor.wait_started(_STARTING) for one in self._drained)
        )
        patience = whole - min(whole / 10, _CLOSING)
        # A client may be sending a request on an idle connection right now; it still
        # gets a response, with `Connection: close`.
        last_requests = min(_LAST_REQUESTS, patience / 2)
        await self._emptied(last_requests)
        for server in self._servers:
            server.close_idle()
        await self._emptied(patience - last_requests)

    def abort(self) -> None:
        """Stop accepting at every address, and cancel TLS handshakes in progress."""
        for listener in self._drained:
            listener.abort()
        if self._admin_listener is not None:
            self._admin_listener.abort()

    async def close(self) -> None:
        """Close every connection; `abort` before."""
        for server in self._servers:
            await server.shutdown(0.1)
        await self._admin.close()

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of clients, in the order of the file."""
        return tuple(
            port for listener in self._client_listeners for port in listener.ports
        )

    @property
    def authz_port(self) -> int:
        """The TCP port of the authz listener.

        Raises:
            RuntimeError: it has none.
        """
        if self._authz_listener is None or not self._authz_listener.ports:
            raise RuntimeError("there is no authz listener on a TCP port")
        return self._authz_listener.ports[0]

    @property
    def _drained(self) -> tuple[ActiveListener, ...]:
        authz = self._authz_listener
        return (*self._client_listeners, *(() if authz is None else (authz,)))

    async def _emptied(self, seconds: float) -> None:
        """Wait up to `seconds` until no client connection is open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for server in self._servers:
                    await server.wait_until_empty()
