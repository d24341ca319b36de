"""One parsed request, and the client connection that it arrived on."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.http.lines import PlainHead
from gateway.http.refusal import BadRequest
from gateway.proxy.tunnel import Tunnel

ParsedRequest: TypeAlias = RawRequestMessage
"""The message of aiohttp's parser."""


class Client(Protocol):
    """The client connection, as the request handler sees it."""

    peer: str
    """The address of the other end of the socket; "" for a Unix socket."""
    tls: bool
    """Whether the connection uses TLS."""
    ends_with_connection: bool
    """Whether the end of the connection is the end of the current response."""
    writing_paused: bool
    """Whether the send buffer is full."""

    @property
    def after_plain_chunks(self) -> bool:
        """Whether the last bytes read ended a chunked body without trailers."""
        ...

    def send(self, data: bytes) -> None:
        """Write to the client.

        Raises:
            ConnectionResetError: the client has disconnected.
        """
        ...

    async def drained(self) -> None:
        """Wait until the send buffer has drained."""
        ...

    def abort(self) -> None:
        """Close the connection at once, so that a partial response never looks complete."""
        ...

    def switch_to_tunnel(self, tunnel: Tunnel) -> None:
        """Pass all further bytes to a tunnel; no request follows.

        Raises:
            ConnectionResetError: the client has disconnected.
        """
        ...


class Exchange:
    """One request as it was read, without `web.Request`.

    `web.Request` decodes paths, joins headers and guesses; no decision may use those.

    message  the parts of an ordinary request, or the message of aiohttp's parser, or
             why it is invalid
    payload  the body as it arrives
    client   the connection
    maybe_oversized  the head may exceed its limit: not all of it was counted
    maybe_cut        bytes behind the request may be lost: no request follows
    """

    __slots__ = ("client", "maybe_cut", "maybe_oversized", "message", "payload")

    def __init__(
        self,
        message: PlainHead | ParsedRequest | BadRequest,
        payload: StreamReader,
        client: Client,
        *,
        maybe_oversized: bool = False,
        maybe_cut: bool = False,
    ) -> None:
        self.message = message
        self.payload = payload
        self.client = client
        self.maybe_oversized = maybe_oversized
        self.maybe_cut = maybe_cut


@dataclass(slots=True)
class ExchangeResult:
    """The response was written; `keep_alive`: another request may follow."""

    keep_alive: bool


class OnRequest(Protocol):
    """Handles the requests of a connection."""

    def __call__(self, exchange: Exchange) -> Awaitable[ExchangeResult]:
        """Handle one request; raises only CancelledError."""
        ...
