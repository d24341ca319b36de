"""Opens connections to targets: resolves, connects and starts TLS within one timeout."""

import asyncio
import ssl

from gateway.net.connect import is_address, open_socket
from gateway.net.resolver import Resolver
from gateway.proxy.target import TargetAddress
from gateway.proxy.upstream_connection import Connection


class Dialer:
    """Opens the connections of one upstream."""

    def __init__(
        self,
        *,
        timeout: float,
        resolver: Resolver,
        ssl_context: ssl.SSLContext | None,
        server_name: str | None,
    ) -> None:
        self._timeout = timeout
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._server_name = server_name

    async def dial(self, connection: Connection, target: TargetAddress) -> None:
        """Connect `connection` to `target`; set its `host` to the resolved address.

        Raises:
            OSError: refused, unreachable, unknown name, TLS failure, or timeout.
            UnicodeError: the host name cannot be encoded.
        """
        async with asyncio.timeout(self._timeout):
            if target.path is not None:
                await connection.loop.create_unix_connection(
                    lambda: connection, target.path
                )
                return
            context = self._context(target)
            name = None if context is None else self._server_name or target.host
            if is_address(target.host):
                await connection.loop.create_connection(
                    lambda: connection,
                    target.host,
                    target.port,
                    ssl=context,
                    server_hostname=name,
                )
                return
            sock = await open_socket(
                self._resolver, target.host, target.port, timeout=self._timeout
            )
            connection.host = sock.getpeername()[0]
            try:
                await connection.loop.create_connection(
                    lambda: connection, sock=sock, ssl=context, server_hostname=name
                )
            except BaseException:
                sock.close()
                raise

    def _context(self, target: TargetAddress) -> ssl.SSLContext | None:
        if target.scheme != "https":
            return None
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context

    def avoid(self, target: TargetAddress, host: str) -> None:
        """Try this address of the target's name last, for a while."""
        self._resolver.avoid(target.host, [host])

    def addresses(self, target: TargetAddress) -> tuple[str, ...]:
        """Return the known addresses of the target's name; start a look-up when due.

        Empty for targets without a name, and while no address is known.
        """
        if target.path is not None or is_address(target.host):
            return ()
        try:
            return self._resolver.refresh(target.host)
        except OSError:
            return ()
