"""A complete response that is held in memory."""

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete response of the gateway.

    The sender adds Content-Length, Date and Connection, and omits the body for HEAD.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


def no_body(status: int, headers: Headers = ()) -> Reply:
    """Return a response without a body."""
    return Reply(status=status, headers=headers)
