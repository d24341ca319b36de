"""Encode a body as chunks (RFC 9112, section 7.1)."""

from typing import Final

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a body, without trailers."""


def chunk(content: bytes) -> bytes:
    """Return a chunk; `content` is not empty, because an empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(content), content)
