"""What follows for a request from who sends it: the decision, and the outcome."""

from collections.abc import Mapping
from typing import Final

from gateway.decision import AccessRequest, Allow, Challenge, Deny, decide
from gateway.http.authorization import CredentialKind
from gateway.http.head import BadRequest, RequestHead
from gateway.http.navigation import is_navigation
from gateway.http.target import BadTarget
from gateway.outbound import plan_outbound
from gateway.reasons import Reason, Verdict
from gateway.routes.model import Route
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.store import SessionCredential
from gateway.spine.credential import cookies_to_forward
from gateway.spine.grants import NO_GRANTS, Grants, grants_for
from gateway.spine.outcome import Forward, Respond
from gateway.spine.planned import session_plan_of
from gateway.spine.principal import principal_of
from gateway.spine.ruleset import RoutePlan, Ruleset
from gateway.tenants import resolve_tenant


def conclude(
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
    """Return the outcome for a user, or for none.

    Args:
        head: the request.
        plan: its route.
        rules: the configuration.
        who: the session, or why there is none.
        credential: what named the session.
        now: seconds since the epoch.
        nonce: 32 random hex digits, unique to this request.
        doubted: the clock stepped forward so lately that the step may be undone.
    """
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
    return _with_grants(access, decision, grants, plan, rules)


def _with_grants(
    access: AccessRequest,
    decision: Allow,
    grants: Grants,
    plan: RoutePlan,
    rules: Ruleset,
) -> Forward | Respond:
    """Return the outcome of an allowed request."""
    head, who = access.head, access.authentication
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
        return refuse_target(outbound.reason, outbound.detail, head, rules, plan.route)
    return Forward(
        access=access,
        principal=principal_of(access),
        reason=decision.reason,
        view=plan.view,
        outbound=outbound,
        set_cookies=grants.set_cookies,
        write=grants.write,
        tokens=grants.issued,
        plan=session_plan_of(access, decision, grants, plan),
        stale=grants.stale,
    )


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


def refuse_target(
    reason: Reason, detail: str, head: RequestHead, rules: Ruleset, route: Route
) -> Respond:
    """Return the outcome of a target that a route or its upstream does not take."""
    return refuse(
        BadRequest(status=400, reason=reason, detail=detail),
        rules,
        route,
        html=is_navigation(head),
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
