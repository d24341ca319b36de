"""Format the lines of `gateway explain`."""

from collections.abc import Iterator

from gateway.decision import CHECKS, AccessRequest
from gateway.reasons import Reason
from gateway.sessions.authenticate import Anonymous
from gateway.spine.answers import Answer, Problem, Redirect


def line(label: str, text: str) -> str:
    """Return a labelled line."""
    return f"{label:<10}{text}"


def method_not_allowed(method: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """Return the lines for a known path without a route for this method."""
    yield line("route", f"none takes {method}: 405 {Reason.METHOD_NOT_ALLOWED}")
    yield line("", f"allowed: {', '.join(allowed)}")


def checks(access: AccessRequest) -> Iterator[str]:
    """Return one line per check of `decide`.

    Without a session, the list ends at the first check that requires one.
    """
    passes = access.head.preflight and access.route.preflight_pass
    for each in CHECKS:
        if access.route.rule not in each.rules or (passes and not each.of_preflights):
            continue
        if not each.applies(access.route):
            yield check(each.description, required=False)
            continue
        failure = each.failure(access)
        shown = "" if each.shown is None else f" ({each.shown(access)})"
        yield check(each.description + shown, failure)
        if failure and (
            each.of_preflights
            or (each.challenges and isinstance(access.authentication, Anonymous))
        ):
            return
    if passes:
        yield check("CORS preflight, which this route passes through")


def check(
    description: str, failure: Reason | None = None, *, required: bool = True
) -> str:
    """Return the line of one check: passed, failed, or not required here."""
    if not required:
        return f"  -     {description}"
    if failure is None:
        return f"  pass  {description}"
    return f"  FAIL  {description}   {failure}"


def answer(label: str, caller: str, given: Answer) -> str:
    """Return the line of the response that a caller gets from the gateway."""
    facts = [f"{caller} gets {given.status}"]
    match given:
        case Redirect(location=location):
            facts.append(f"Location: {location}")
        case Problem(headers=headers):
            facts += [f"{name}: {value}" for name, value in headers if name == _SHOWN]
    return line(label, ", ".join(facts))


_SHOWN = "WWW-Authenticate"
