"""Evaluates an allowed request again under another configuration; pure."""

from typing import Final

from gateway.decision import Allow, decide
from gateway.http.head import RequestHead
from gateway.reasons import Reason
from gateway.sessions.authenticate import Anonymous, Authenticated, Authentication
from gateway.sessions.cookie import TOKEN_BYTES, new_token
from gateway.sessions.store import SessionCredential
from gateway.spine.conclude import access_request
from gateway.spine.evaluate import before_lookup
from gateway.spine.outcome import Forward, Lookup, Respond
from gateway.spine.ruleset import RoutePlan, Ruleset

_ANY_CREDENTIAL: Final = new_token(bytes(TOKEN_BYTES))
"""Stands for the cookie of a session that is known already."""


def reconsider(
    head: RequestHead, rules: Ruleset, who: Authentication, *, now: float
) -> RoutePlan | Reason:
    """Evaluate a request again, for an open stream after a reload.

    Args:
        head: the request, as it was.
        rules: the active configuration.
        who: the current authentication of its session.
        now: when the request arrived; the age of the sign-in counts as it did then.

    Returns:
        The plan of the route that would forward it, or why none would.
    """
    credential = _credential(who)
    # Whether its upstream is still the same is for the caller to see.
    step = before_lookup(head, rules, now=now, credential=credential, forwards=False)
    match step:
        case Lookup(route=route) if isinstance(who, Authenticated):
            plan = rules.plans[route.id]
            access = access_request(head, plan, rules, who, now)
            decision = decide(access, plan.checks)
            return plan if isinstance(decision, Allow) else decision.reason
        case Forward(route=route):
            return rules.plans[route.id]
        case Respond(reason=reason):
            return reason
        case _:
            # A path that the gateway answers itself now.
            return Reason.NO_ROUTE


def _credential(who: Authentication) -> SessionCredential | Anonymous | None:
    if isinstance(who, Anonymous):
        return who
    # The route may no longer take an access token: it is read again from the request.
    return _ANY_CREDENTIAL if who.session.token_name is None else None
