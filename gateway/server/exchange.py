"""One request as the handler is given it, and the connection that it came on."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.http.refusal import BadRequest
from gateway.proxy.tunnel import Tunnel


class Client(Protocol):
    """The connection, as whoever answers a request sees it."""

    peer: str
    """The address of the other end of the socket; "" for a unix socket."""
    tls: bool
    """Whether TLS ends here."""
    ends_with_connection: bool
    """The answer being sent has no other end than that of the connection."""
    writing_paused: bool
    """Whether the client takes less than it is sent."""

    @property
    def after_plain_chunks(self) -> bool:
        """Tell whether the last bytes read ended a chunked body without trailers."""
        ...

    def send(self, data: bytes) -> None:
        """Write to the client.

        Raises:
            ConnectionResetError: it is gone.
        """
        ...

    async def drained(self) -> None:
        """Wait until the client takes more."""
        ...

    def abort(self) -> None:
        """Close in the middle of an answer, so that it cannot be taken for whole."""
        ...

    def switch_to_tunnel(self, tunnel: Tunnel) -> None:
        """Carry bytes for a tunnel from now on; no request follows.

        Raises:
            ConnectionResetError: the client is gone.
        """
        ...


class Exchange:
    """One request as aiohttp's parser gives it, without `web.Request`'s readings.

    `web.Request` decodes, joins and guesses (path, url, cookies); no decision may
    read those, so they are not even made.

    message  what the parser read, or why it could not
    payload  the body as it comes
    client   whom the answer goes to
    maybe_oversized  the head may be above its limit, for all that was counted
    """

    __slots__ = ("client", "maybe_oversized", "message", "payload")

    def __init__(
        self,
        message: RawRequestMessage | BadRequest,
        payload: StreamReader,
        client: Client,
        *,
        maybe_oversized: bool = False,
    ) -> None:
        self.message = message
        self.payload = payload
        self.client = client
        self.maybe_oversized = maybe_oversized


@dataclass(slots=True)
class ExchangeResult:
    """What the handler gives back: the answer is written. May a request follow?"""

    keep_alive: bool


class OnRequest(Protocol):
    """What a connection calls for each of its requests."""

    def __call__(self, exchange: Exchange) -> Awaitable[ExchangeResult]:
        """Answer one request; never raises but for cancellation."""
        ...
