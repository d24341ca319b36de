"""A request that is rejected before it is matched."""

from dataclasses import dataclass

from gateway.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRequest:
    """A rejected request head.

    detail   what is wrong; never quotes the request
    headers  fields for the response, such as the supported version in a 426
    """

    status: int
    reason: Reason
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
