"""The opening handshake of a WebSocket (RFC 6455, section 4.2.1)."""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from gateway.http.refusal import BadRequest
from gateway.reasons import Reason

VERSION: Final = "13"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOffer:
    """A valid handshake.

    Client and upstream negotiate protocols and extensions; both are kept as sent.
    """

    key: bytes
    protocols: str | None


def read_offer(
    values: Mapping[str, str], repeated: AbstractSet[str]
) -> WebSocketOffer | BadRequest:
    """Return the handshake of a WebSocket upgrade, or a BadRequest."""
    if not repeated.isdisjoint(("sec-websocket-key", "sec-websocket-version")):
        return _bad("a handshake field is repeated")
    version = values.get("sec-websocket-version")
    if version is None:
        return _bad("the handshake names no version")
    if version != VERSION:
        return BadRequest(
            status=426,
            reason=Reason.BAD_UPGRADE,
            detail="only version 13 of the WebSocket protocol is supported",
            # RFC 6455, section 4.2.2; RFC 9110, section 15.5.22.
            headers=(("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket")),
        )
    key = values.get("sec-websocket-key", "").encode("latin-1")
    try:
        nonce = a2b_base64(key, strict_mode=True)
    except Base64Error:
        nonce = b""
    if len(nonce) != _NONCE_BYTES or len(key) != _KEY_BYTES:
        return _bad("the handshake key is not 16 bytes in base64")
    return WebSocketOffer(
        key=key,
        protocols=values.get("sec-websocket-protocol"),
    )


_NONCE_BYTES: Final = 16
_KEY_BYTES: Final = 24


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_UPGRADE, detail=detail)
