"""A complaint about a value: what a validator raises, and `wording` says.

Complaints never repeat the value; it is added where it is no secret.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import PydanticCustomError

Steps = tuple[str | int, ...]
KEY: Final = "[key]"


def expected(what: str, hint: str = "") -> PydanticCustomError:
    """Return the complaint "expected ..."; what was found is added to it."""
    return PydanticCustomError("expected", "{what}", {"what": what, "hint": hint})


def refused(message: str, hint: str = "") -> PydanticCustomError:
    """Return a complaint that says everything itself."""
    return PydanticCustomError("refused", "{what}", {"what": message, "hint": hint})


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One of several mistakes in a value; `path` leads to it from there.

    A path that ends in KEY means the key itself.
    """

    path: Steps
    message: str
    hint: str = ""


def several(diagnostics: Sequence[Diagnostic]) -> PydanticCustomError:
    """Return many complaints about one value as one error."""
    return PydanticCustomError("several", "", {"diagnostics": tuple(diagnostics)})


def one_of(value: Any, known: Sequence[str]) -> PydanticCustomError:
    """Return the complaint that `value` is none of `known`, with the nearest."""
    near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else ()
    hint = f'did you mean "{near[0]}"?' if near else ""
    return expected("one of " + ", ".join(known), hint)
