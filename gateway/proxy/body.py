"""The body of a request, as the sender of it needs it."""

from typing import Protocol


class RequestBody(Protocol):
    """Bytes on their way from a client to an upstream."""

    @property
    def chunked(self) -> bool:
        """Tell whether the head says `Transfer-Encoding: chunked`."""

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end; raise when the client failed."""


class BodyLengthError(ValueError):
    """A body was not as long as its head said: the caller's mistake."""


def declared_length(head: bytes) -> int:
    """Return the Content-Length of a request head that we wrote ourselves."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
