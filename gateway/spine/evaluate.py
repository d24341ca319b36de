"""Evaluates a request in two pure halves around the look-up of its session.

    before_lookup(head)            -> Lookup, or an outcome that needs none
    (the caller queries the store)
    after_lookup(lookup, record)   -> an outcome

The second half starts where the first one stopped. No caller repeats a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.decision import (
    AccessRequest,
    Allow,
    Challenge,
    Deny,
    decide,
    outside_networks,
)
from gateway.http.authorization import CredentialKind
from gateway.http.head import BadRequest, RequestHead
from gateway.http.navigation import is_navigation
from gateway.http.target import BadTarget
from gateway.outbound import plan_outbound
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, MethodNotAllowed, NoRoute
from gateway.sessions.authenticate import (
    Anonymous,
    Authenticated,
    Authentication,
    authenticate,
    authenticate_token,
)
from gateway.sessions.provider_token import Rejected
from gateway.sessions.store import OF_PROGRAMS, Found, SessionCredential
from gateway.spine.credential import (
    cookies_to_forward,
    credential_among,
    credential_of,
    token_of,
)
from gateway.spine.grants import NO_GRANTS, grants_for
from gateway.spine.local_paths import (
    OF_USERS,
    WELL_KNOWN_JWKS,
    endpoint_of,
    is_local,
    methods_of,
)
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.spine.planned import forward_as_planned, session_plan_of
from gateway.spine.ruleset import RoutePlan, Ruleset
from gateway.tenants import resolve_tenant


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The store, or a provider, could not be queried: valid or not is unknown."""

    reason: Reason = Reason.STORE_UNAVAILABLE


LookupResult: TypeAlias = Found | Rejected | Unavailable


def before_lookup(  # noqa: C901 - a sequence of steps, each may be the last
    head: RequestHead,
    rules: Ruleset,
    *,
    now: float,
    credential: SessionCredential | Anonymous | None = None,
    forwards: bool = True,
) -> Lookup | Outcome:
    """Evaluate a request as far as it goes without its session.

    Args:
        head: the request.
        rules: the configuration.
        now: seconds since the epoch.
        credential: replaces the one of the request, for a caller that evaluates it for
            another user.
        forwards: the caller forwards what is allowed. False: another proxy does, so
            a route needs no upstream.

    Returns:
        Lookup where the session decides; otherwise the outcome.
    """
    path = head.target.path
    # "/." first: a comparison that spares most requests the others.
    if path.startswith("/.") and (
        is_local(path) or (path == WELL_KNOWN_JWKS and rules.owns_jwks)
    ):
        return _local(head, rules)
    matched = rules.routes.match(head.method, head.host, path, head.preflight_method)
    if not isinstance(matched, Match):
        return _unmatched(matched, head, rules)
    plan = rules.plans[matched.route.id]
    route = plan.route
    if forwards and route.upstream is None:
        return Respond(
            verdict=Verdict.REFUSE,
            reason=Reason.NO_ROUTE,
            answer=rules.answers.no_route(head),
            route=route,
            detail="the route has no upstream: it only decides for another proxy",
        )
    if not head.target.escapes <= route.path_allows:
        odd = ", ".join(sorted(head.target.escapes - route.path_allows))
        return refuse(
            BadRequest(
                status=400,
                reason=Reason.BAD_TARGET,
                detail=f"the path has {odd}, which path_allows of the route does not list",
            ),
            rules,
            route,
            html=is_navigation(head),
        )
    if route.require.networks and outside_networks(route, head):
        # Refused for every user, so the store is not queried.
        credential = Anonymous(reason=Reason.NETWORK_NOT_ALLOWED)
    elif route.preflight_pass and head.preflight:
        credential = Anonymous(reason=Reason.PREFLIGHT)
    elif route.session_ignored:
        credential = Anonymous(reason=Reason.NO_SESSION)
    elif route.takes_tokens:
        credential = _one_of_several(head, rules, route, credential)
    elif credential is None:
        credential = credential_of(head, rules)
    if isinstance(credential, Anonymous):
        return _conclude(head, plan, rules, credential, None, now=now, nonce="")
    return Lookup(head=head, route=route, credential=credential)


def after_lookup(
    lookup: Lookup,
    found: LookupResult,
    rules: Ruleset,
    *,
    now: float,
    nonce: str,
    doubted: bool = False,
) -> Forward | Respond:
    """Evaluate the rest of a request, with what the store returned.

    Args:
        lookup: the result of `before_lookup`, under the same `rules`.
        found: the record; `Unavailable` if the store could not be queried.
        rules: the configuration.
        now: seconds since the epoch; not before that of the first half.
        nonce: 32 random hex digits, unique to this request.
        doubted: the clock stepped forward so lately that the step may be undone.
    """
    forward = lookup.known
    # By the same plan `forward_as_planned` would return the same for the same request.
    if forward is not None and (known := forward.planned_by) is not None:
        since, until = known.lasts
        if known.record is found and since <= now < until:
            return forward
    head, plan = lookup.head, rules.plans[lookup.route.id]
    if isinstance(found, Unavailable):
        if plan.route.rule is not Rule.PUBLIC:
            return _unavailable(found.reason, lookup, plan, rules, now)
        # Open to everyone, so the outage need not stop the request; the upstream
        # learns of no user, and no cookie is touched.
        return _conclude(
            head,
            plan,
            rules,
            Anonymous(reason=found.reason),
            None,
            now=now,
            nonce=nonce,
        )
    key = lookup.credential.key
    known = rules.session_plans.find((key, plan.route.id))
    if known is not None and known.holds(found, now):
        forward = forward_as_planned(known, head, plan, rules, now)
        if forward is not None:
            object.__setattr__(lookup, "known", forward)
            return forward
    held, policy = lookup.credential, rules.lifetimes
    who = (
        authenticate_token(found, token=held, now=now, policy=policy)
        if isinstance(held, OF_PROGRAMS)
        else authenticate(found, key=key, now=now, policy=policy)
    )
    outcome = _conclude(
        head,
        plan,
        rules,
        who,
        held,
        now=now,
        nonce=nonce,
        doubted=doubted,
    )
    if (
        isinstance(outcome, Forward)
        and outcome.plan is not None
        and outcome.plan.holds(found, now)
    ):
        made = outcome.plan
        rules.session_plans.keep((key, plan.route.id), made, len(made.granted))
    return outcome


def _one_of_several(
    head: RequestHead,
    rules: Ruleset,
    route: Route,
    given: SessionCredential | Anonymous | None,
) -> SessionCredential | Anonymous:
    """Return the credential at a route that takes more than the cookie, or others.

    `given`: replaces that of the request.
    """
    if given is None:
        return credential_among(head, rules, route.credentials)
    if route.takes_cookie or isinstance(given, (*OF_PROGRAMS, Anonymous)):
        return given
    return Anonymous(reason=Reason.CREDENTIAL_NOT_TAKEN)


def refuse(
    refusal: BadRequest,
    rules: Ruleset,
    route: Route | None = None,
    *,
    html: bool = False,
) -> Respond:
    """Return the outcome of a request that is not valid; its connection ends.

    What follows a request that broke the rules cannot be trusted to begin where it
    seems to. `html`: it is a page navigation.
    """
    return Respond(
        verdict=Verdict.REFUSE,
        reason=refusal.reason,
        answer=rules.answers.to_bad_request(refusal, html=html),
        route=route,
        close=True,
        detail=refusal.detail,
    )


def _conclude(
    head: RequestHead,
    plan: RoutePlan,
    rules: Ruleset,
    who: Authentication,
    credential: SessionCredential | None,
    *,
    now: float,
    nonce: str,
    doubted: bool = False,
) -> Forward | Respond:
    access = access_request(head, plan, rules, who, now)
    decision = decide(access, plan.checks)
    if not isinstance(decision, Allow):
        return _denied(decision, access, rules)
    # The cookie of an ended session is cleared by the gateway's own answers only: a
    # slow upstream's response could clear the cookie of a sign-in made meanwhile.
    grants = NO_GRANTS
    if isinstance(who, Authenticated) and credential is not None:
        grants = grants_for(
            plan.view,
            who,
            decision.tenant,
            credential,
            head,
            rules,
            now=now,
            nonce=nonce,
            doubted=doubted,
        )
    if grants.lacks_token:
        return Respond(
            verdict=Verdict.ERROR,
            reason=Reason.PROVIDER_TOKEN_EXPIRED,
            answer=rules.answers.to_failure(Reason.PROVIDER_TOKEN_EXPIRED, head),
            route=plan.route,
            access=access,
        )
    outbound = plan_outbound(
        head=head,
        view=plan.view,
        granted=grants.lines,
        token_cookies=grants.token_cookies,
        cookies=cookies_to_forward(head, who, rules),
        status=session_status(who, plan.route),
    )
    if isinstance(outbound, BadTarget):
        return refuse(
            BadRequest(status=400, reason=outbound.reason, detail=outbound.detail),
            rules,
            plan.route,
            html=is_navigation(head),
        )
    return Forward(
        access=access,
        reason=decision.reason,
        view=plan.view,
        outbound=outbound,
        set_cookies=grants.set_cookies,
        write=grants.write,
        tokens=grants.issued,
        plan=session_plan_of(access, decision, grants, plan),
        stale=grants.stale,
    )


def _denied(
    decision: Challenge | Deny, access: AccessRequest, rules: Ruleset
) -> Respond:
    challenged = isinstance(decision, Challenge)
    return Respond(
        verdict=Verdict.CHALLENGE if challenged else Verdict.DENY,
        reason=decision.reason,
        answer=rules.answers.to_decision(
            decision, access.route, access.head, sent=_sent(access.authentication)
        ),
        route=access.route,
        access=access,
        cookies=rules.cookies_to_clear(access.authentication, access.head.host),
        detail=_detail(access.authentication),
    )


def _detail(who: Authentication) -> str:
    return who.detail if isinstance(who, Anonymous) else ""


def _sent(who: Authentication) -> CredentialKind | None:
    """Return how the credential was sent, if it was in the Authorization field."""
    if isinstance(who, Anonymous):
        return who.sent
    return None if who.session.token_name is None else CredentialKind.BEARER


def access_request(
    head: RequestHead, plan: RoutePlan, rules: Ruleset, who: Authentication, now: float
) -> AccessRequest:
    """Return what the checks of the route read, with the tenant resolved."""
    return AccessRequest(
        route=plan.route,
        authentication=who,
        tenant=resolve_tenant(who.session, head, rules.tenant_sources)
        if isinstance(who, Authenticated)
        else None,
        head=head,
        now=now,
        policy=rules.policy,
    )


def session_status(who: Authentication, route: Route) -> bytes | None:
    """Return the value of X-Auth-Status: why an allowed request has no session.

    None with a session, and if the request's session was not considered.
    """
    if (
        isinstance(who, Authenticated)
        or route.session_ignored
        or who.reason is Reason.PREFLIGHT
    ):
        return None
    return _STATUS.get(who.reason, b"none")


# A session that cannot be read may be readable tomorrow: that is an outage, too.
_STATUS: Final[Mapping[Reason, bytes]] = {
    Reason.SESSION_EXPIRED: b"session_expired",
    Reason.SESSION_IDLE: b"session_idle",
    Reason.SESSION_REVOKED: b"session_revoked",
    Reason.UNKNOWN_SESSION: b"unknown_session",
    Reason.SESSION_UNREADABLE: b"unavailable",
    Reason.STORE_UNAVAILABLE: b"unavailable",
    Reason.PROVIDER_UNAVAILABLE: b"unavailable",
}


def _local(head: RequestHead, rules: Ruleset) -> Local | Respond:
    path = head.target.path
    endpoint = endpoint_of(head.method, path)
    if (
        endpoint in OF_USERS
        and rules.takes_tokens
        and token_of(head, rules) is not None
    ):
        return Respond(
            verdict=Verdict.DENY,
            reason=Reason.TOKEN_NOT_ALLOWED,
            answer=rules.answers.to_failure(Reason.TOKEN_NOT_ALLOWED, head),
        )
    if endpoint is not None:
        return Local(endpoint=endpoint)
    methods = methods_of(path)
    if not methods:
        return Respond(
            verdict=Verdict.REFUSE,
            reason=Reason.NO_ROUTE,
            answer=rules.answers.no_route(head),
        )
    return Respond(
        verdict=Verdict.REFUSE,
        reason=Reason.METHOD_NOT_ALLOWED,
        answer=rules.answers.method_not_allowed(head, methods),
    )


def _unmatched(
    matched: NoRoute | MethodNotAllowed, head: RequestHead, rules: Ruleset
) -> Respond:
    answers = rules.answers
    if isinstance(matched, MethodNotAllowed):
        reason = Reason.METHOD_NOT_ALLOWED
        answer = answers.method_not_allowed(head, matched.allowed)
    elif rules.routes.has_host(head.host):
        reason, answer = Reason.NO_ROUTE, answers.no_route(head)
    else:
        # RFC 9110, section 15.5.20: the connection led to a server that does not
        # serve this host; that is no "not found" of a site that is there.
        reason = Reason.MISDIRECTED
        answer = answers.problem(421, reason, head)
    return Respond(verdict=Verdict.REFUSE, reason=reason, answer=answer)


def _unavailable(
    reason: Reason, lookup: Lookup, plan: RoutePlan, rules: Ruleset, now: float
) -> Respond:
    """Return 503: "could not find out" is neither yes nor no, and clears no cookie."""
    return Respond(
        verdict=Verdict.ERROR,
        reason=reason,
        answer=rules.answers.to_failure(reason, lookup.head),
        route=plan.route,
        access=AccessRequest(
            route=plan.route,
            authentication=Anonymous(reason=reason),
            tenant=None,
            head=lookup.head,
            now=now,
            policy=rules.policy,
        ),
        close=True,
    )
