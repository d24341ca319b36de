"""Validates the response to the opening handshake of a WebSocket."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.errors import InvalidUpstreamResponse
from gateway.proxy.framing import connection_options

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What the client offered; a 101 must match it."""

    key: bytes
    offered_protocols: Collection[bytes]

    def check(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Validate the fields of a 101 as a client does (RFC 6455 section 4.1).

        Extensions are left to the client.

        Raises:
            InvalidUpstreamResponse: the upstream did not switch to this WebSocket.
        """
        if [value.lower() for value in _all(fields, b"upgrade")] != [b"websocket"]:
            raise InvalidUpstreamResponse("a 101 that does not upgrade to websocket")
        if b"upgrade" not in connection_options(b",".join(_all(fields, b"connection"))):
            raise InvalidUpstreamResponse("a 101 without Connection: upgrade")
        if _all(fields, b"sec-websocket-accept") != [accept_for(self.key)]:
            raise InvalidUpstreamResponse("a 101 for some other WebSocket key")
        protocols = _all(fields, b"sec-websocket-protocol")
        if len(protocols) > 1 or not set(protocols) <= set(self.offered_protocols):
            raise InvalidUpstreamResponse(
                "a 101 with a subprotocol that was not offered"
            )


def accept_for(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key`."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def _all(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for field, value in fields if field.lower() == name]
