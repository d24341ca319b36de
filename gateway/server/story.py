"""What happened to one request, gathered on its way and told once at its end."""

from dataclasses import dataclass

from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.routes.model import Route


@dataclass(slots=True)
class SignInPost:
    """A POST that may be a sign-in, by the source whose attempts it counts among.

    `charged`: it was counted already, and is given back if it does not fail.
    """

    source: str
    charged: bool


@dataclass(slots=True)
class Story:
    """The only mutable thing on the way of a request. Holds no secret."""

    started: float
    now: float
    request_id: str
    head: RequestHead | None = None
    peer: str = ""
    """Who sent what could not be read; the head knows it otherwise."""
    route: Route | None = None
    decision: str = "refuse"
    reason: Reason = Reason.BAD_REQUEST
    status: int = 0
    body_bytes: int = 0
    identity_id: str | None = None
    session_id: str | None = None
    session_key: str | None = None
    """The place of the session in the store; a hash, not the token."""
    tenant_id: str | None = None
    upstream: str | None = None
    lookup: float = 0.0
    lookup_outcome: str = ""
    upstream_time: float = 0.0
    answered: bool = False
    """The first byte of the answer is out: from here on a failure is an abort."""
    sign_in_post: SignInPost | None = None
    cut: Reason | None = None
    """Why the gateway itself broke the answer off."""
