"""The lines of `gateway explain`: how a fact looks, and nothing of how it is found."""

from collections.abc import Iterator
from typing import Final

from gateway.decision import GATES, Case
from gateway.pages.reply import Reply
from gateway.reasons import Reason

_TOLD: Final = ("Location", "WWW-Authenticate")


def line(label: str, text: str) -> str:
    """Write a fact behind its label."""
    return f"{label:<10}{text}"


def method_not_allowed(method: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """Tell that the path is known, but not for this method."""
    yield line("route", f"none takes {method}: 405 {Reason.METHOD_NOT_ALLOWED}")
    yield line("", f"allowed: {', '.join(allowed)}")


def gates(case: Case) -> Iterator[str]:
    """Tell what each gate of the decision says."""
    for gate in GATES:
        asked = gate.asked(case)
        yield check(gate.question, gate.objection(case) if asked else None, asked=asked)


def check(question: str, objection: Reason | None = None, *, asked: bool = True) -> str:
    """Tell how a question was answered, or that it is not asked here."""
    if not asked:
        return f"  -     {question}"
    if objection is None:
        return f"  pass  {question}"
    return f"  FAIL  {question}   {objection}"


def answer(label: str, caller: str, reply: Reply) -> str:
    """Tell what a caller gets in place of the upstream's answer."""
    told = [f"{caller} gets {reply.status}"]
    told += (f"{name}: {value}" for name, value in reply.headers if name in _TOLD)
    return line(label, ", ".join(told))
