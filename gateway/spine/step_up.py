"""What the page that a user returns to will ask of the new session; pure.

A provider may answer a step-up with less than the page needs. The page would then ask
again, in circles. So the answer is compared with the page first.
"""

from urllib.parse import urlsplit

from gateway.decision import step_up_reason
from gateway.http.target import BadTarget, parse_target
from gateway.reasons import Reason
from gateway.routes.model import Route
from gateway.routes.table import Match
from gateway.spine.local_paths import is_local
from gateway.spine.ruleset import Ruleset


def route_to(rules: Ruleset, location: str, host: str) -> Route | None:
    """Return the route of a validated address to return to; None if it has none.

    `host` is that of an address without one.
    """
    if location.startswith("/"):
        target = parse_target(location)
    else:
        try:
            parts = urlsplit(location)
        except ValueError:
            return None
        host = parts.hostname or host
        target = parse_target(parts.path or "/")
    if isinstance(target, BadTarget) or is_local(target.path):
        return None
    found = rules.routes.match("GET", host, target.path)
    return found.route if isinstance(found, Match) else None


def level_needed(route: Route | None) -> str:
    """Return the assurance level that a step-up at a route has to reach."""
    wanted = None if route is None else route.require.aal
    return "aal2" if wanted in {None, "aal1"} else str(wanted)


def still_missing(
    route: Route | None, *, aal: str, authenticated_at: float, now: float
) -> Reason | None:
    """Return why the route would ask for another sign-in; None if it would not."""
    if route is None:
        return None
    return step_up_reason(route, aal=aal, authenticated_at=authenticated_at, now=now)
