"""The results of the two halves of an evaluation; closed types, all values.

| value | meaning |
| --- | --- |
| Lookup | the session store has to be queried before anything can be decided |
| Forward | the request goes to an upstream, exactly as `outbound` says |
| Respond | the gateway answers with a problem or a redirect |
| Local | the gateway answers from one of its own endpoints |
"""

from collections.abc import Sequence
from dataclasses import field
from typing import TypeAlias

from gateway.decision import AccessRequest
from gateway.http.head import RequestHead
from gateway.http.value import value
from gateway.outbound import OutboundRequest, UpstreamView
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route
from gateway.sessions.authenticate import Authenticated
from gateway.sessions.record import Session
from gateway.sessions.store import SessionCredential
from gateway.spine.answers import Answer
from gateway.spine.local_paths import Endpoint
from gateway.spine.principal import Principal
from gateway.spine.session_plan import SessionPlan, TokenUse


@value
class Lookup:
    """The session of `credential` decides; look it up, then call `after_lookup`.

    known  the outcome of this very request by a SessionPlan, for as long as that holds
    """

    head: RequestHead
    route: Route
    credential: SessionCredential
    known: "Forward | None" = field(default=None, init=False, repr=False, compare=False)


@value
class SessionWrite:
    """A session to be replaced in the store if it is still `old`; not awaited."""

    key: str
    old: Session
    new: Session


@value
class Forward:
    """Send `outbound` to the upstream of `view` and relay its response.

    access       what was decided about, with the session and the tenant
    principal      whom the request acts for
    set_cookies  Set-Cookie values for the response
    write        a session write that the response does not wait for
    plan         for the next requests of the session; None: each is evaluated in full
    planned_by   the plan that it was found by; None: it was evaluated in full. Other
                 requests with the same bytes share it; `access.now` is that of the first
    stale        the membership is to be renewed, which the response does not wait for
    """

    access: AccessRequest
    principal: Principal
    reason: Reason
    view: UpstreamView
    outbound: OutboundRequest
    set_cookies: Sequence[str] = field(default=(), repr=False)
    write: SessionWrite | None = None
    tokens: Sequence[TokenUse] = ()
    plan: SessionPlan | None = None
    planned_by: SessionPlan | None = field(default=None, compare=False)
    stale: bool = False

    @property
    def route(self) -> Route:
        """The route of the request."""
        return self.access.route


@value
class Respond:
    """The gateway responds itself.

    route    None before a route was found
    access   what was decided about; None before a decision
    cookies  Set-Cookie values: an ended session clears its cookies
    close    the connection ends with the response
    detail   what is wrong, for the log and `gateway explain`; never sent
    """

    verdict: Verdict
    reason: Reason
    answer: Answer
    route: Route | None = None
    access: AccessRequest | None = None
    cookies: Sequence[str] = field(default=(), repr=False)
    close: bool = False
    detail: str = ""

    @property
    def session(self) -> Session | None:
        """The session of the request, if it has a valid one."""
        access = self.access
        if access is None or not isinstance(access.authentication, Authenticated):
            return None
        return access.authentication.session


@value
class Local:
    """One of the gateway's own endpoints answers."""

    endpoint: Endpoint


Outcome: TypeAlias = Forward | Respond | Local
