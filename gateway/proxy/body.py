"""The body of a request, as `Upload` reads it."""

from typing import Protocol


class RequestBody(Protocol):
    """A request body that is read piece by piece."""

    @property
    def chunked(self) -> bool:
        """Whether the head has `Transfer-Encoding: chunked`."""

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end; raise if the client failed."""


class BodyLengthError(ValueError):
    """The body does not match its Content-Length: an error of the caller."""


def declared_length(head: bytes) -> int:
    """Return the Content-Length of an outbound request head; 0 if there is none."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
