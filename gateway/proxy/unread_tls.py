"""Reads what a TLS connection had received when a failed write ended it.

An upstream that refuses a body answers, closes, and resets the connection for the bytes
that still come (RFC 9112, section 9.6). A write then fails and ends the transport, while
the response is still encrypted in the receive buffer of the kernel. A transport of TLS
closes its socket before its protocol is notified, so a duplicate keeps it open.
"""

import asyncio
import gc
import os
import ssl

_READ = 64 * 1024


class UnreadTls:
    """The received bytes of one TLS connection, readable after its loss."""

    __slots__ = ("_decoder", "_descriptor", "_ssl")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._ssl: ssl.SSLObject = transport.get_extra_info("ssl_object")
        # asyncio and uvloop decrypt in a buffered protocol, to which only the transport
        # of the connection refers.
        self._decoder: asyncio.BufferedProtocol | None = next(
            (each for each in gc.get_referents(transport) if _decrypts(each)), None
        )
        self._descriptor = os.dup(transport.get_extra_info("socket").fileno())

    def read(self) -> bytes:
        """Return the content that was not read; what follows a broken record is not."""
        decoder = self._decoder
        while decoder is not None:
            try:
                data = os.read(self._descriptor, _READ)
            except OSError:
                break
            if not data:
                break
            buffer = memoryview(decoder.get_buffer(len(data)))
            buffer[: len(data)] = data
            decoder.buffer_updated(len(data))
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._ssl.read(_READ)
            except ssl.SSLError:
                break  # all was read, or the rest of a record is missing
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close the duplicate; call once."""
        os.close(self._descriptor)
        self._decoder = None


def _decrypts(candidate: object) -> bool:
    return hasattr(candidate, "buffer_updated") and hasattr(candidate, "get_buffer")
