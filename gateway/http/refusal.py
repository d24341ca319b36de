"""A request that is not taken."""

from dataclasses import dataclass

from gateway.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRequest:
    """A refused request head. `detail` says what is wrong and quotes nothing.

    `headers` belong on the reply: a 426 says which version would do.
    """

    status: int
    reason: Reason
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
