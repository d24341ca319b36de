"""A whole answer, small enough to be held in memory."""

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the gateway answers itself.

    Content-Length, Date and Connection are the sender's to add, and so is
    leaving the body out of the answer to a HEAD.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


def no_body(status: int, headers: Headers = ()) -> Reply:
    """Answer with a status and headers alone."""
    return Reply(status=status, headers=headers)
