"""One parsed request, and the client connection that it arrived on."""

from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeAlias

from aiohttp.http_parser import RawRequestMessage

from gateway.http.lines import HeadKey, PlainHead
from gateway.http.refusal import BadRequest
from gateway.proxy.tunnel import Tunnel
from gateway.reasons import Reason
from gateway.server.payload import Payload

ParsedRequest: TypeAlias = RawRequestMessage
"""The message of aiohttp's parser."""


class Handling(Protocol):
    """A request that is being handled: its state between two steps, or a task."""

    def cancel(self) -> object:
        """End it: the client has disconnected, or the gateway shuts down."""
        ...


class Client(Protocol):
    """The client connection, as the request handler sees it."""

    handling: Handling | None
    """What is cancelled when the client disconnects; None between two requests."""

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

    def finished(self, keep_alive: bool) -> None:
        """End the request; `keep_alive`: another one may follow."""
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
    whole    all of the request has arrived with its head; False: `payload` knows
    key      what its head follows from, if the same bytes were received before
    maybe_oversized  the head may exceed its limit: not all of it was counted
    maybe_cut        bytes behind the request may be lost: no request follows
    """

    __slots__ = (
        "client",
        "key",
        "maybe_cut",
        "maybe_oversized",
        "message",
        "payload",
        "whole",
    )

    def __init__(
        self,
        message: PlainHead | ParsedRequest | BadRequest,
        payload: Payload,
        client: Client,
        whole: bool = False,
        key: HeadKey | None = None,
        maybe_oversized: bool = False,
        maybe_cut: bool = False,
    ) -> None:
        self.message = message
        self.payload = payload
        self.client = client
        self.whole = whole
        self.key = key
        self.maybe_oversized = maybe_oversized
        self.maybe_cut = maybe_cut

    def forget_message(self) -> None:
        """Free the message: its head was read, and a stream may be open for days.

        What asks for it later is refused.
        """
        self.message = _FORGOTTEN


_FORGOTTEN: Final = BadRequest(
    status=500, reason=Reason.INTERNAL, detail="the message was forgotten"
)

Progress: TypeAlias = bool | Coroutine[Any, Any, bool | None] | None
"""What a step of a request returns.

True or False: the response is written, and whether another request may follow. A
coroutine: what has to be waited for, with that as its result. None: a callback, or
another step that was given the request, goes on with it.
"""


class OnRequest(Protocol):
    """Handles the requests of a connection."""

    def __call__(self, exchange: Exchange) -> None:
        """Begin to handle one request; at its end call `finished` of its client.

        Never raises, and never blocks. It sets `handling` of the client.
        """
        ...
