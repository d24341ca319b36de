"""The body of a request: a reader, or the complete message if all has arrived."""

from typing import Protocol

from gateway.http.chunked import LAST_CHUNK, chunk


class RequestBody(Protocol):
    """A request body that is read piece by piece."""

    @property
    def chunked(self) -> bool:
        """Whether the head has `Transfer-Encoding: chunked`."""

    def arrived(self) -> bytes | None:
        """Return the body if all of it has arrived; if None, `read` it.

        Called once, before the first `read`.
        """

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end; raise if the client failed."""


def complete_request(head: bytes, body: RequestBody) -> bytes | None:
    """Return a head and its body as one message if all of the body has arrived.

    None leaves it to the upload, which also reports a body that does not match the
    Content-Length of its head.
    """
    content = body.arrived()
    if content is None:
        return None
    if body.chunked:
        return head + (chunk(content) if content else b"") + LAST_CHUNK
    return head + content if declared_length(head) == len(content) else None


class BodyLengthError(ValueError):
    """The body does not match its Content-Length: an error of the caller."""


def declared_length(head: bytes) -> int:
    """Return the Content-Length of an outbound request head; 0 if there is none."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
