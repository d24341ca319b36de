"""What was found for one session at one route, and for how long the same is found again.

`after_lookup` finds nearly always what it found for the session's last request at the
route: the record is the same, and only time passes. A SessionPlan is what it found, with the
interval in which it finds it again. The store is queried for every request, and the plan
counts only for the very record object that it was made from.
"""

from collections.abc import Sequence
from dataclasses import field
from typing import Final, TypeAlias

from gateway.http.value import value
from gateway.interval import Interval
from gateway.reasons import Reason
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.record import Session, Tenant
from gateway.spine.principal import Principal
from gateway.tenants import TenantRefused

PLANS_MOST: Final = 8192
PLANS_BYTES: Final = 8 * 1024 * 1024
GRANTED_BYTES: Final = 8 * 1024
"""Plans in one generation, of about 2 KiB each without what they grant; the bytes that
they grant together; and the most that one may grant."""

PlanKey: TypeAlias = tuple[str, str]
"""The whole key of a session, and the ID of a route."""


@value
class TokenUse:
    """A token that the request carries; `signed` if it was signed just now."""

    profile: str
    signed: bool


@value
class SessionPlan:
    """Requests of a session at a route are allowed in `lasts`, while its record is `record`.

    The request itself has no part in it. What a decision reads of the request (the
    checks that read the head, a tenant named in it) is evaluated for each one.
    """

    record: Session
    lasts: Interval
    authentication: Authenticated
    tenant: Tenant | TenantRefused | None
    principal: Principal
    reason: Reason
    granted: bytes = field(repr=False)
    tokens: Sequence[TokenUse]
    stale: bool = False

    def holds(self, record: object, now: float) -> bool:
        """Return whether the plan is of this very record, and of this time."""
        return self.record is record and self.lasts.since <= now < self.lasts.until
