"""May this request pass? Route x authentication -> Allow | Challenge | Deny.

Start reading here. Everything below makes the values that `decide` takes, and
everything above carries out what it returns. Nothing in this module does I/O,
reads a clock or keeps state, so `gateway explain` runs the very same code.

| word      | meaning                        | a browser gets          | a program |
| --------- | ------------------------------ | ----------------------- | --------- |
| Allow     | pass it on                     | the upstream's answer   | the same  |
| Challenge | who are you? (or: still you?)  | a redirect to sign in   | 401       |
| Deny      | not you                        | a page, or a redirect   | 403, 404  |

The gates only narrow: each may turn a yes into a no, never a no into a yes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from gateway.http.forwarded import is_trusted, parse_address
from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_site
from gateway.http.value import value
from gateway.reasons import Reason
from gateway.routes.model import Route, Rule
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.record import Session, Tenant
from gateway.sessions.timestamps import CLOCK_LEEWAY
from gateway.tenants import TenantRefused


@value
class Allow:
    """Pass the request on, telling the upstream who is calling (None: nobody)."""

    reason: Reason
    session: Session | None = None
    tenant: Tenant | None = None


@value
class Challenge:
    """Ask who is calling. `ended`: the cookie names a session that is over."""

    reason: Reason
    ended: bool = False


@value
class Deny:
    """Refuse: it is known who is calling, and it is not for them."""

    reason: Reason


Decision = Allow | Challenge | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A page that the gateway itself sends a signed-in person to.

    The step-up and the choose-a-tenant page often lie below an `auth-redirect`
    route. Sending someone there and at once back home would be a loop.
    """

    path: str
    query: frozenset[str]

    def covers(self, head: RequestHead) -> bool:
        """Tell whether `head` asks for this page."""
        if head.target.path != self.path:
            return False
        return not self.query or self.query <= set((head.target.query or "").split("&"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the configuration says beside the route: compiled once."""

    admin_roles: frozenset[str]
    public_origin: str
    errands: tuple[Errand, ...] = ()


@value
class Case:
    """What the gates look at: one signed-in request before one route."""

    route: Route
    session: Session
    tenant: Tenant | TenantRefused | None
    head: RequestHead
    now: float
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One check of a signed-in request.

    `asked` tells whether it is asked for at all; `objection` is then called, and
    gives the reason to refuse, or None. It can do no more than refuse.
    """

    question: str
    asked: Callable[[Case], bool]
    objection: Callable[[Case], Reason | None]


def decide(  # noqa: C901 - one check after another, each may refuse
    *,
    route: Route,
    authentication: Authentication,
    tenant: Tenant | TenantRefused | None,
    head: RequestHead,
    now: float,
    policy: Policy,
) -> Decision:
    """Decide about one request; total, pure, and the only place that does.

    `tenant` is what `resolve_tenant` found for an authenticated request, and None
    for an anonymous one. `now` is in seconds since the epoch.
    """
    if route.require.networks and outside_networks(route, head):
        # Before everything else, as it narrows every rule and the preflight as well.
        return Deny(reason=Reason.NETWORK_NOT_ALLOWED)
    if head.preflight and route.preflight_pass:
        # Fetch, section 3.3: a preflight never carries credentials. It passes as
        # nobody, by the route's own word, and only in the shape of a preflight.
        return Allow(reason=Reason.PREFLIGHT)
    if route.cross_site_refused and is_cross_site(head, policy.public_origin):
        # Before the rule: a sign-in form that another site posts (login CSRF) comes
        # without a session and to a page that is open.
        return Deny(reason=Reason.CROSS_SITE)
    match route.rule:
        case Rule.PUBLIC:
            return _open(authentication, tenant)
        case Rule.AUTH_REDIRECT:
            return _only_anonymous(authentication, tenant, head, policy)
        case Rule.PROTECTED | Rule.ADMIN_ONLY:
            if isinstance(authentication, Anonymous):
                return Challenge(
                    reason=authentication.reason, ended=authentication.ended
                )
            case = Case(
                route=route,
                session=authentication.session,
                tenant=tenant,
                head=head,
                now=now,
                policy=policy,
            )
            for gate in GATES:
                if gate.asked(case):
                    reason = gate.objection(case)
                    if reason is not None:
                        return _refusal(reason)
            return _allowed(authentication.session, tenant)
        case _ as never:
            assert_never(never)


def outside_networks(route: Route, head: RequestHead) -> bool:
    """Return whether the client is outside the networks that the route requires.

    A client whose address is not known is outside: behind a Unix socket or a trusted
    proxy that does not name it.
    """
    networks = route.require.networks
    if not networks:
        return False
    return not (head.client_known and is_trusted(parse_address(head.client), networks))


def _open(
    authentication: Authentication, tenant: Tenant | TenantRefused | None
) -> Decision:
    if isinstance(authentication, Authenticated):
        # Open to everyone, so a tenant that cannot be had is just not told.
        known = tenant if isinstance(tenant, Tenant) else None
        return Allow(reason=Reason.PUBLIC, session=authentication.session, tenant=known)
    return Allow(reason=Reason.PUBLIC)


def _only_anonymous(
    authentication: Authentication,
    tenant: Tenant | TenantRefused | None,
    head: RequestHead,
    policy: Policy,
) -> Decision:
    if isinstance(authentication, Anonymous):
        return Allow(reason=Reason.NOT_SIGNED_IN)
    if any(errand.covers(head) for errand in policy.errands):
        return _allowed(authentication.session, tenant)
    return Deny(reason=Reason.ALREADY_SIGNED_IN)


def _allowed(session: Session, tenant: Tenant | TenantRefused | None) -> Allow:
    known = tenant if isinstance(tenant, Tenant) else None
    return Allow(reason=Reason.SIGNED_IN, session=session, tenant=known)


def _refusal(reason: Reason) -> Challenge | Deny:
    # A sign-in that is too old or too weak is asked for again (RFC 9470, section
    # 3); everything else would not change by signing in.
    if reason in {Reason.STEP_UP, Reason.AAL_TOO_LOW}:
        return Challenge(reason=reason)
    return Deny(reason=reason)


def _admin(case: Case) -> Reason | None:
    roles = case.session.identity.roles
    admin = not case.policy.admin_roles.isdisjoint(roles)
    return None if admin else Reason.NOT_ADMIN


def _role(case: Case) -> Reason | None:
    held = not case.route.require.roles.isdisjoint(case.session.identity.roles)
    return None if held else Reason.ROLE_MISSING


def _membership(case: Case) -> Reason | None:
    return case.tenant.reason if isinstance(case.tenant, TenantRefused) else None


def _tenant(case: Case) -> Reason | None:
    return None if isinstance(case.tenant, Tenant) else Reason.TENANT_MISSING


def _tenant_role(case: Case) -> Reason | None:
    wanted = case.route.require.tenant_roles
    if isinstance(case.tenant, Tenant) and case.tenant.role in wanted:
        return None
    return Reason.TENANT_ROLE_MISSING


def _assurance(case: Case) -> Reason | None:
    wanted = case.route.require.aal
    if wanted is None or case.session.aal in _AS_STRONG.get(wanted, ()):
        return None
    return Reason.AAL_TOO_LOW


def _recent(case: Case) -> Reason | None:
    within = case.route.require.authenticated_within
    if within is None:
        return None
    ago = case.now - case.session.authenticated_at
    # Later than now: the clocks of two machines differ by some seconds. By more, the
    # time is wrong, and nothing is known of when the person signed in.
    return None if -CLOCK_LEEWAY <= ago <= within else Reason.STEP_UP


_AS_STRONG: Final[Mapping[str, tuple[str, ...]]] = {
    "aal1": ("aal1", "aal2", "aal3"),
    "aal2": ("aal2", "aal3"),
    "aal3": ("aal3",),
}
"""The levels of NIST SP 800-63B that satisfy each; any other word satisfies none."""

GATES: Final = (
    Gate(
        question="an administrator",
        asked=lambda case: case.route.rule is Rule.ADMIN_ONLY,
        objection=_admin,
    ),
    Gate(
        question="one of the roles",
        asked=lambda case: bool(case.route.require.roles),
        objection=_role,
    ),
    Gate(
        # Asked on every route, with or without `tenant: true`: who names a tenant
        # that is not theirs is refused, not quietly served as somebody without one.
        question="a member of the tenant named",
        asked=lambda case: case.tenant is not None,
        objection=_membership,
    ),
    Gate(
        question="has a tenant",
        asked=lambda case: (
            case.route.require.tenant or bool(case.route.require.tenant_roles)
        ),
        objection=_tenant,
    ),
    Gate(
        question="the role in the tenant",
        asked=lambda case: bool(case.route.require.tenant_roles),
        objection=_tenant_role,
    ),
    Gate(
        question="signed in strongly enough",
        asked=lambda case: case.route.require.aal is not None,
        objection=_assurance,
    ),
    Gate(
        question="signed in recently enough",
        asked=lambda case: case.route.require.authenticated_within is not None,
        objection=_recent,
    ),
)
"""In the order in which they are asked; the first objection is the answer."""
