"""Evaluates a request in two pure halves around the look-up of its session.

    before_lookup(head)            -> Lookup, or an outcome that needs none
    (the caller queries the store)
    after_lookup(lookup, record)   -> an outcome

The second half starts where the first one stopped. No caller repeats a step.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, TypeGuard

from gateway.decision import outside_networks
from gateway.http.head import RequestHead
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route, Rule
from gateway.routes.table import Match, MethodNotAllowed, NoRoute
from gateway.sessions.authenticate import (
    Anonymous,
    authenticate,
    authenticate_token,
)
from gateway.sessions.provider_token import Rejected
from gateway.sessions.store import OF_PROGRAMS, Found, SessionCredential
from gateway.spine.conclude import access_request, conclude, refuse_target
from gateway.spine.credential import (
    credential_among,
    credential_of,
    token_of,
)
from gateway.spine.local_paths import (
    OF_USERS,
    WELL_KNOWN_JWKS,
    endpoint_of,
    is_local,
    methods_of,
)
from gateway.spine.outcome import Forward, Local, Lookup, Outcome, Respond
from gateway.spine.planned import forward_as_planned
from gateway.spine.ruleset import RoutePlan, Ruleset


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The store, or a provider, could not be queried: valid or not is unknown."""

    reason: Reason = Reason.STORE_UNAVAILABLE


LookupResult: TypeAlias = Found | Rejected | Unavailable


def before_lookup(
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
        why = f"the path has {odd}, which path_allows of the route does not list"
        return refuse_target(Reason.BAD_TARGET, why, head, rules, route)
    found = _credential_for(route, head, rules, credential)
    if isinstance(found, Anonymous):
        return conclude(head, plan, rules, found, None, now=now, nonce="")
    return Lookup(head=head, route=route, credential=found)


def repeats(step: Lookup | Outcome, rules: Ruleset) -> TypeGuard[Lookup | Forward]:
    """Return whether `before_lookup` gives the same for the same head at any time.

    A request without a session repeats if no check of its route has an end, and if
    nothing that the client sent is counted as an attempt.
    """
    if isinstance(step, Lookup):
        return True
    if not isinstance(step, Forward):
        return False
    who = step.access.authentication
    return (
        isinstance(who, Anonymous)
        and who.reason in _NOTHING_SENT
        and who.sent is None
        and all(check.lasts is None for check in rules.plans[step.route.id].checks)
    )


_NOTHING_SENT: Final = frozenset((Reason.NO_SESSION, Reason.PREFLIGHT))


def after_lookup(
    lookup: Lookup,
    found: LookupResult,
    rules: Ruleset,
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
    if isinstance(found, Unavailable):
        return _without_record(found.reason, lookup, rules, now=now, nonce=nonce)
    head, plan = lookup.head, rules.plans[lookup.route.id]
    known = rules.session_plans.find((lookup.credential.key, plan.route.id))
    if known is not None and known.holds(found, now):
        forward = forward_as_planned(known, head, plan, rules, now)
        if forward is not None:
            object.__setattr__(lookup, "known", forward)
            return forward
    return _in_full(lookup, found, rules, now=now, nonce=nonce, doubted=doubted)


def _in_full(
    lookup: Lookup,
    found: Found | Rejected,
    rules: Ruleset,
    *,
    now: float,
    nonce: str,
    doubted: bool,
) -> Forward | Respond:
    """Evaluate every step, and keep the plan for the next requests of the session."""
    held, key, policy = lookup.credential, lookup.credential.key, rules.lifetimes
    who = (
        authenticate_token(found, token=held, now=now, policy=policy)
        if isinstance(held, OF_PROGRAMS)
        else authenticate(found, key=key, now=now, policy=policy)
    )
    plan = rules.plans[lookup.route.id]
    outcome = conclude(
        lookup.head, plan, rules, who, held, now=now, nonce=nonce, doubted=doubted
    )
    made = outcome.plan if isinstance(outcome, Forward) else None
    if made is not None and made.holds(found, now):
        rules.session_plans.keep((key, plan.route.id), made, len(made.granted))
    return outcome


def _without_record(
    reason: Reason, lookup: Lookup, rules: Ruleset, *, now: float, nonce: str
) -> Forward | Respond:
    """Evaluate a request whose session could not be looked up."""
    plan, who = rules.plans[lookup.route.id], Anonymous(reason=reason)
    if plan.route.rule is not Rule.PUBLIC:
        return _unavailable(who, lookup, plan, rules, now)
    # Open to everyone, so the outage need not stop the request; the upstream learns of
    # no user, and no cookie is touched.
    return conclude(lookup.head, plan, rules, who, None, now=now, nonce=nonce)


def _credential_for(
    route: Route,
    head: RequestHead,
    rules: Ruleset,
    given: SessionCredential | Anonymous | None,
) -> SessionCredential | Anonymous:
    """Return what the route evaluates; `given` replaces the credential of the request."""
    if route.require.networks and outside_networks(route, head):
        # Refused for every user, so the store is not queried.
        return Anonymous(reason=Reason.NETWORK_NOT_ALLOWED)
    if route.preflight_pass and head.preflight:
        return Anonymous(reason=Reason.PREFLIGHT)
    if route.session_ignored:
        return Anonymous(reason=Reason.NO_SESSION)
    if route.takes_tokens:
        return _one_of_several(head, rules, route, given)
    return credential_of(head, rules) if given is None else given


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
    who: Anonymous, lookup: Lookup, plan: RoutePlan, rules: Ruleset, now: float
) -> Respond:
    """Return 503: "could not find out" is neither yes nor no, and clears no cookie."""
    return Respond(
        verdict=Verdict.ERROR,
        reason=who.reason,
        answer=rules.answers.to_failure(who.reason, lookup.head),
        route=plan.route,
        access=access_request(lookup.head, plan, rules, who, now),
        close=True,
    )
