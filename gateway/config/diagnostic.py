"""Diagnostics of one value, raised by validators and formatted by `wording`.

A diagnostic never contains the value; `wording` adds it unless it is secret.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import PydanticCustomError

Steps = tuple[str | int, ...]
KEY: Final = "[key]"


def expected(what: str, hint: str = "") -> PydanticCustomError:
    """Return the error "expected ..."; the value found is appended later."""
    return PydanticCustomError("expected", "{what}", {"what": what, "hint": hint})


def refused(message: str, hint: str = "") -> PydanticCustomError:
    """Return an error with a complete message."""
    return PydanticCustomError("refused", "{what}", {"what": message, "hint": hint})


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One of several errors in a value; `path` leads to it from there.

    A path that ends in KEY means the key itself.
    """

    path: Steps
    message: str
    hint: str = ""


def several(diagnostics: Sequence[Diagnostic]) -> PydanticCustomError:
    """Return several diagnostics of one value as one error."""
    return PydanticCustomError("several", "", {"diagnostics": tuple(diagnostics)})


def one_of(value: Any, known: Sequence[str]) -> PydanticCustomError:
    """Return the error that `value` is not one of `known`, with the nearest name."""
    near = difflib.get_close_matches(value, known, 1) if isinstance(value, str) else ()
    hint = f'did you mean "{near[0]}"?' if near else ""
    return expected("one of " + ", ".join(known), hint)
