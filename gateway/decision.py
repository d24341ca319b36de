"""May this request pass? One table of checks -> Allow | Challenge | Deny.

Start reading here. The modules below produce the values that `decide` takes; the
modules above carry out what it returns. Nothing in this module does I/O, reads a
clock or keeps state.

| decision  | meaning                         | a browser gets          | a program |
| --------- | ------------------------------- | ----------------------- | --------- |
| Allow     | forward the request             | the upstream's response | the same  |
| Challenge | authenticate (or authenticate again) | a redirect to sign in | 401    |
| Deny      | authenticated, not authorised   | a page, or a redirect   | 403, 404  |

Checks only narrow: each can turn a yes into a no, never a no into a yes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.http.authorization import CredentialKind, Sent, read_authorization
from gateway.http.forwarded import is_trusted, parse_address
from gateway.http.head import RequestHead
from gateway.http.navigation import is_cross_site
from gateway.http.value import value
from gateway.interval import ALWAYS, Interval
from gateway.reasons import Reason
from gateway.routes.model import Route, Rule
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.record import Session, Tenant
from gateway.sessions.timestamps import CLOCK_LEEWAY
from gateway.tenants import TenantRefused


@value
class Allow:
    """Forward the request; `session` None: unauthenticated."""

    reason: Reason
    session: Session | None = None
    tenant: Tenant | None = None


@value
class Challenge:
    """Ask to authenticate. `ended`: the cookie names an expired or revoked session."""

    reason: Reason
    ended: bool = False


@value
class Deny:
    """Refuse: signing in would not change it."""

    reason: Reason


Decision = Allow | Challenge | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptPage:
    """A page to which the gateway itself redirects signed-in users.

    The step-up page and the page to choose a tenant often lie below an
    `auth-redirect` route. Redirecting home from there would be a loop.
    """

    path: str
    query: frozenset[str]
    host: str | None = None
    """None: on any host of the gateway."""

    def covers(self, head: RequestHead) -> bool:
        """Return whether the request targets this page."""
        if head.target.path != self.path or self.host not in {None, head.host}:
            return False
        return not self.query or self.query <= set((head.target.query or "").split("&"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the configuration adds to the route; compiled once."""

    admin_roles: frozenset[str]
    public_origin: str
    exempt_pages: tuple[ExemptPage, ...] = ()


@value
class AccessRequest:
    """One request at one route: everything that a check may read.

    authentication  who sent it
    tenant          the result of `resolve_tenant`; None for an anonymous request
    now             seconds since the epoch
    """

    route: Route
    authentication: Authentication
    tenant: Tenant | TenantRefused | None
    head: RequestHead
    now: float
    policy: Policy

    @property
    def session(self) -> Session:
        """The session; the checks that read it run after `a valid session`."""
        assert isinstance(self.authentication, Authenticated)  # noqa: S101 - narrows
        return self.authentication.session

    @property
    def known_tenant(self) -> Tenant | None:
        """The tenant that the request acts for, if it is a membership."""
        return self.tenant if isinstance(self.tenant, Tenant) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, and the routes that have it.

    rules       the rules under which it can be required
    required    whether a route of these rules requires it
    failure     the reason to refuse, or None
    challenges  a failure asks to authenticate (again); otherwise it denies
    of_preflights  a preflight that passes unauthenticated is checked as well
    reads_head  it reads the request; other checks read the session and the route only
    lasts       when a check that passed passes again; None: it reads no time
    shown       what the check looked at, for `gateway explain`
    """

    description: str
    rules: frozenset[Rule]
    required: Callable[[Route], bool]
    failure: Callable[[AccessRequest], Reason | None]
    challenges: bool = False
    of_preflights: bool = False
    reads_head: bool = False
    lasts: Callable[[AccessRequest], Interval] | None = None
    shown: Callable[[AccessRequest], str] | None = None

    def applies(self, route: Route) -> bool:
        """Return whether requests at this route are checked."""
        return route.rule in self.rules and self.required(route)


def checks_of(route: Route) -> tuple[Check, ...]:
    """Return the checks that apply at a route, in order; computed once per route."""
    return tuple(check for check in CHECKS if check.applies(route))


def decide(access: AccessRequest, checks: Sequence[Check]) -> Decision:
    """Return Allow, Challenge or Deny for one request. Total and pure.

    The first failing check determines the reason.

    Args:
        access: the request.
        checks: `checks_of(access.route)`.
    """
    # Fetch, section 3.3: a preflight never carries credentials. It passes
    # unauthenticated where the route allows it, and only in a preflight's shape.
    passes = access.head.preflight and access.route.preflight_pass
    for check in checks:
        if passes and not check.of_preflights:
            continue
        reason = check.failure(access)
        if reason is not None:
            if not check.challenges or reason in _FINAL:
                return Deny(reason=reason)
            who = access.authentication
            return Challenge(
                reason=reason, ended=isinstance(who, Anonymous) and who.ended
            )
    return Allow(reason=Reason.PREFLIGHT) if passes else _allowed(access)


def lasts(access: AccessRequest, checks: Sequence[Check]) -> Interval:
    """Return when the checks that passed pass again, for the same session and request."""
    interval = ALWAYS
    for check in checks:
        if check.lasts is not None:
            interval = interval.within(check.lasts(access))
    return interval


def outside_networks(route: Route, head: RequestHead) -> bool:
    """Return whether the client is outside the networks that the route requires.

    A client whose address is not known is outside: behind a Unix socket or a trusted
    proxy that does not name it.
    """
    networks = route.require.networks
    if not networks:
        return False
    return not (head.client_known and is_trusted(parse_address(head.client), networks))


def step_up_reason(
    route: Route, *, aal: str, authenticated_at: float, now: float
) -> Reason | None:
    """Return why the route would ask a session of this level and time to sign in again.

    None: it would not, or it asks for no session.
    """
    if route.rule not in _SIGNED_IN:
        return None
    wanted, within = route.require.aal, route.require.authenticated_within
    if wanted is not None and not reaches(aal, wanted):
        return Reason.AAL_TOO_LOW
    if within is not None and not _is_recent(authenticated_at, within, now):
        return Reason.STEP_UP
    return None


def reaches(level: str, wanted: str) -> bool:
    """Return whether an assurance level satisfies another; an unknown word does not."""
    return level in _AS_STRONG.get(wanted, ())


def _allowed(access: AccessRequest) -> Allow:
    who = access.authentication
    if isinstance(who, Anonymous):
        open_to_all = access.route.rule is Rule.PUBLIC
        return Allow(reason=Reason.PUBLIC if open_to_all else Reason.NOT_SIGNED_IN)
    return Allow(
        reason=Reason.PUBLIC if access.route.rule is Rule.PUBLIC else Reason.SIGNED_IN,
        session=who.session,
        # On an open route a tenant that is refused is left out, and no more.
        tenant=access.known_tenant,
    )


def _network(access: AccessRequest) -> Reason | None:
    outside = outside_networks(access.route, access.head)
    return Reason.NETWORK_NOT_ALLOWED if outside else None


def _cross_site(access: AccessRequest) -> Reason | None:
    if not is_cross_site(access.head, access.policy.public_origin):
        return None
    if CredentialKind.BEARER in access.route.credentials:
        # A browser repeats cookies and, once typed in, a password; a bearer token is
        # sent by scripts only. A request with token and cookie has no credential.
        given = read_authorization(access.head.lines)
        if isinstance(given, Sent) and given.scheme == CredentialKind.BEARER:
            return None
    return Reason.CROSS_SITE


def _by_token(access: AccessRequest) -> Reason | None:
    token = access.session.token_name is not None
    return Reason.TOKEN_NOT_ALLOWED if token else None


def _unauthenticated(access: AccessRequest) -> Reason | None:
    who = access.authentication
    return who.reason if isinstance(who, Anonymous) else None


def _signed_in_already(access: AccessRequest) -> Reason | None:
    if isinstance(access.authentication, Anonymous):
        return None
    exempt = any(page.covers(access.head) for page in access.policy.exempt_pages)
    return None if exempt else Reason.ALREADY_SIGNED_IN


def _admin(access: AccessRequest) -> Reason | None:
    roles = access.session.identity.roles
    admin = not access.policy.admin_roles.isdisjoint(roles)
    return None if admin else Reason.NOT_ADMIN


def _role(access: AccessRequest) -> Reason | None:
    held = not access.route.require.roles.isdisjoint(access.session.identity.roles)
    return None if held else Reason.ROLE_MISSING


def _membership(access: AccessRequest) -> Reason | None:
    return access.tenant.reason if isinstance(access.tenant, TenantRefused) else None


def _tenant(access: AccessRequest) -> Reason | None:
    return None if isinstance(access.tenant, Tenant) else Reason.TENANT_MISSING


def _tenant_role(access: AccessRequest) -> Reason | None:
    wanted = access.route.require.tenant_roles
    if isinstance(access.tenant, Tenant) and access.tenant.role in wanted:
        return None
    return Reason.TENANT_ROLE_MISSING


def _assurance(access: AccessRequest) -> Reason | None:
    wanted = access.route.require.aal
    if wanted is None or reaches(access.session.aal, wanted):
        return None
    return Reason.AAL_TOO_LOW


def _recent(access: AccessRequest) -> Reason | None:
    within = access.route.require.authenticated_within
    if within is None:
        return None
    recent = _is_recent(access.session.authenticated_at, within, access.now)
    return None if recent else Reason.STEP_UP


def _is_recent(authenticated_at: float, within: float, now: float) -> bool:
    # Later than now: the clocks of two machines differ by some seconds. By more, the
    # time is wrong, and it is unknown when the user signed in.
    return -CLOCK_LEEWAY <= now - authenticated_at <= within


def _recent_lasts(access: AccessRequest) -> Interval:
    within = access.route.require.authenticated_within
    at = access.session.authenticated_at
    return ALWAYS if within is None else Interval(at - CLOCK_LEEWAY, at + within)


_AS_STRONG: Final[Mapping[str, tuple[str, ...]]] = {
    "aal1": ("aal1", "aal2", "aal3"),
    "aal2": ("aal2", "aal3"),
    "aal3": ("aal3",),
}
LEVELS: Final = tuple(_AS_STRONG)
"""The levels of NIST SP 800-63B that satisfy each; any other word satisfies none."""

_FINAL: Final = frozenset(
    (Reason.ACCOUNT_NOT_ALLOWED, Reason.EMAIL_UNVERIFIED, Reason.CLAIM_MISSING)
)
"""Of a provider's access token that is valid: another one would be refused, too."""

_ANY: Final = frozenset(Rule)
_SIGNED_IN: Final = frozenset((Rule.PROTECTED, Rule.ADMIN_ONLY))

CHECKS: Final = (
    Check(
        description="sent from an allowed network",
        rules=_ANY,
        required=lambda route: bool(route.require.networks),
        failure=_network,
        of_preflights=True,
        reads_head=True,
        shown=lambda access: access.head.client,
    ),
    Check(
        # Before the rule: a sign-in form that another site posts (login CSRF) comes
        # without a session and to a page that is open.
        description="not sent by another site",
        rules=_ANY,
        required=lambda route: route.cross_site_refused,
        failure=_cross_site,
        reads_head=True,
    ),
    Check(
        description="not signed in, or on a page for signed-in users",
        rules=frozenset((Rule.AUTH_REDIRECT,)),
        required=lambda _: True,
        failure=_signed_in_already,
        reads_head=True,
    ),
    Check(
        description="a valid session",
        rules=_SIGNED_IN | {Rule.PUBLIC},
        required=lambda route: route.rule in _SIGNED_IN,
        failure=_unauthenticated,
        challenges=True,
    ),
    Check(
        description="an administrator",
        rules=frozenset((Rule.ADMIN_ONLY,)),
        required=lambda _: True,
        failure=_admin,
    ),
    Check(
        description="one of the roles",
        rules=_SIGNED_IN,
        required=lambda route: bool(route.require.roles),
        failure=_role,
    ),
    Check(
        # On every route, with or without `tenant: true`: a request that names a
        # tenant without membership is refused, not served as one without a tenant.
        description="a member of the tenant named",
        rules=_SIGNED_IN,
        required=lambda _: True,
        failure=_membership,
    ),
    Check(
        description="has a tenant",
        rules=_SIGNED_IN,
        required=lambda route: route.require.tenant or bool(route.require.tenant_roles),
        failure=_tenant,
    ),
    Check(
        description="the role in the tenant",
        rules=_SIGNED_IN,
        required=lambda route: bool(route.require.tenant_roles),
        failure=_tenant_role,
    ),
    Check(
        # A program cannot confirm who it is: no user is there to sign in again.
        description="signed in, not by an access token",
        rules=_SIGNED_IN,
        required=lambda route: (
            route.takes_tokens
            and (
                route.require.aal is not None
                or route.require.authenticated_within is not None
            )
        ),
        failure=_by_token,
    ),
    # A sign-in that is too old or too weak is requested again (RFC 9470, section 3);
    # the failures above would not change by signing in.
    Check(
        description="signed in strongly enough",
        rules=_SIGNED_IN,
        required=lambda route: route.require.aal is not None,
        failure=_assurance,
        challenges=True,
    ),
    Check(
        description="signed in recently enough",
        rules=_SIGNED_IN,
        required=lambda route: route.require.authenticated_within is not None,
        failure=_recent,
        challenges=True,
        lasts=_recent_lasts,
    ),
)
"""Evaluated in this order; the first failing check determines the reason."""
