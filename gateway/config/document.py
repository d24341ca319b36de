"""A configuration as plain data, with line and column of every value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import Problem

Loc = tuple[str | int, ...]
Mark = tuple[int, int]
_LONG_VALUE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a key or a value is written: lines and columns from 0, end exclusive."""

    loc: Loc
    is_key: bool
    start: Mark
    end: Mark
    text: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Document:
    """A file that was read: its data, where each part stands, and what is wrong."""

    file: str
    data: Any = field(default=None, repr=False)
    marks: dict[Loc, Mark] = field(default_factory=dict, repr=False)
    keys: dict[Loc, Mark] = field(default_factory=dict, repr=False)
    replaced: dict[Loc, str] = field(default_factory=dict, repr=False)
    """What variables became, by place: no message repeats it."""
    spans: list[Span] = field(default_factory=list, repr=False)
    """Every scalar, in the order of the file."""
    broken: bool = False
    """Whether reading stopped: what follows, and maybe what came before, is unknown."""
    problems: list[Problem] = field(default_factory=list)

    def add_problem(self, mark: Mark, message: str, hint: str = "") -> None:
        """Add a problem at a place."""
        self.problems.append(self.problem(mark, message, hint))

    def problem(self, mark: Mark, message: str, hint: str = "") -> Problem:
        """Return a problem at a place, without what came out of variables.

        A quoted value is repeated on purpose; elsewhere a short one may be a word of
        the message itself, so only a long one is removed.
        """
        return Problem(
            file=self.file,
            line=mark[0],
            column=mark[1],
            message=self._scrubbed(message),
            hint=self._scrubbed(hint),
        )

    def _scrubbed(self, message: str) -> str:
        for value in self.replaced.values():
            if value and f'"{value}"' in message:
                message = message.replace(f'"{value}"', '"…"')
            if len(value) >= _LONG_VALUE:
                message = message.replace(value, "…")
        return message

    def where(self, loc: Loc) -> Mark:
        """Return the place of a value, or of the nearest thing that holds it."""
        while loc and loc not in self.marks:
            loc = loc[:-1]
        return self.marks.get(loc, (1, 1))

    def where_key(self, loc: Loc) -> Mark:
        """Return the place of a key."""
        return self.keys.get(loc) or self.where(loc)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, or an empty mapping."""
    return value if isinstance(value, dict) else {}


class Broken:
    """Placeholder of a scalar whose error is already reported."""

    __slots__ = ()


BROKEN: Final = Broken()


def is_plain_name(text: str) -> bool:
    """Whether a name is made of small letters only, as all keys of the schema are.

    A secret that is written where a key belongs is hardly ever.
    """
    return len(text) <= _LONGEST_NAME and _PLAIN_NAME(text) is not None


_LONGEST_NAME: Final = 32
_PLAIN_NAME = re.compile(r"[a-z]+(?:[_-][a-z]+)*").fullmatch
