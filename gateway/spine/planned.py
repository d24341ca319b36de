"""Evaluates requests by a plan, and makes the plan for the next ones; see session_plan."""

from functools import lru_cache

from gateway.decision import AccessRequest, Allow, lasts
from gateway.http.head import RequestHead
from gateway.http.target import BadTarget
from gateway.outbound import plan_outbound
from gateway.routes.model import Rule
from gateway.sessions.authenticate import Authenticated
from gateway.spine.grants import Grants
from gateway.spine.outcome import Forward
from gateway.spine.principal import principal_of
from gateway.spine.ruleset import RoutePlan, Ruleset
from gateway.spine.session_plan import GRANTED_BYTES, SessionPlan, TokenUse
from gateway.tenants import resolve_tenant


def forward_as_planned(
    known: SessionPlan, head: RequestHead, plan: RoutePlan, rules: Ruleset, now: float
) -> Forward | None:
    """Return the outcome of a request by a plan that holds.

    What a decision reads of the request is evaluated here; where it differs, the result
    is None, and the request is evaluated in full.
    """
    if rules.tenant_of_head and known.tenant is not resolve_tenant(
        known.record, head, rules.tenant_sources
    ):
        return None
    access = AccessRequest(
        route=plan.route,
        authentication=known.authentication,
        tenant=known.tenant,
        head=head,
        now=now,
        policy=rules.policy,
    )
    for check in plan.head_checks:
        if check.failure(access) is not None:
            return None
    outbound = plan_outbound(head=head, view=plan.view, granted=known.granted)
    if isinstance(outbound, BadTarget):
        return None
    return Forward(
        access=access,
        principal=known.principal,
        reason=known.reason,
        view=plan.view,
        outbound=outbound,
        tokens=known.tokens,
        planned_by=known,
        stale=known.stale,
    )


@lru_cache(maxsize=64)
def _reused(profiles: tuple[str, ...]) -> tuple[TokenUse, ...]:
    """Return how tokens of earlier requests count; the same object for all sessions."""
    return tuple([TokenUse(profile=profile, signed=False) for profile in profiles])


def session_plan_of(
    access: AccessRequest, decision: Allow, grants: Grants, plan: RoutePlan
) -> SessionPlan | None:
    """Return the plan for the next requests of the session; None if each may differ."""
    who = access.authentication
    if (
        grants.lasts is None
        or len(grants.lines) > GRANTED_BYTES
        or plan.route.rule is Rule.AUTH_REDIRECT
        or not isinstance(who, Authenticated)
    ):
        return None
    return SessionPlan(
        record=who.session,
        lasts=grants.lasts.within(lasts(access, plan.checks)),
        authentication=who,
        tenant=access.tenant,
        principal=principal_of(access),
        reason=decision.reason,
        granted=grants.lines,
        tokens=_reused(tuple([use.profile for use in grants.issued])),
        stale=grants.stale,
    )
