"""Paths into a stored session, such as `$.user.roles[0]`.

`$` is the record that the cookie leads to, `$then` the one that is looked up
after it. There are no wildcards, filters or searches: a path leads to one place,
so what it finds cannot depend on what else is stored.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Step: TypeAlias = str | int

MAX_STEPS: Final = 8


class _Absent:
    """What a path finds where nothing is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Path:
    """Where one value is. `text` is how it was written."""

    text: str
    then: bool
    steps: tuple[Step, ...]

    def find(self, record: object, then: object = ABSENT) -> object:
        """Return the value at the path, or ABSENT; null counts as absent."""
        value = then if self.then else record
        for step in self.steps:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step, ABSENT)
            elif isinstance(value, list | tuple) and isinstance(step, int):
                value = value[step] if step < len(value) else ABSENT
            else:
                return ABSENT
        return ABSENT if value is None else value


@dataclass(frozen=True, slots=True)
class FallbackPaths:
    """Where one fact may be: the first place whose top member exists decides.

    So `$.passport.user` before `$.user.id` never falls through to the second
    while there is an empty `passport`: some libraries leave one behind at
    sign-out.
    """

    paths: tuple[Path, ...] = ()

    def find(self, record: object, then: object = ABSENT) -> tuple[object, str]:
        """Return the value and the path that found it, or ABSENT and ""."""
        decided: tuple[bool, Step] | None = None
        for path in self.paths:
            top = (path.then, path.steps[0])
            if decided is not None and top != decided:
                break
            if _has_top(then if path.then else record, path.steps[0]):
                decided = top
            found = path.find(record, then)
            if found is not ABSENT:
                return found, path.text
        return ABSENT, ""

    def __bool__(self) -> bool:
        return bool(self.paths)


def parse_path(text: str) -> Path:
    """Read a path.

    Raises:
        ValueError: not a path; the message has an example.
    """
    found = _PATH(text)
    if found is None:
        raise ValueError(f"expected a path such as $.user.id or $.roles[0]: {text!r}")
    steps = tuple(
        int(index) if index else name for name, index in _STEP(found["steps"])
    )
    if len(steps) > MAX_STEPS:
        raise ValueError(f"a path has at most {MAX_STEPS} steps")
    return Path(text, found["root"] == "$then", steps)


def _has_top(root: object, step: Step) -> bool:
    if isinstance(step, str):
        return isinstance(root, dict) and step in root
    return isinstance(root, list | tuple) and step < len(root)


_NAME: Final = r"\.[A-Za-z0-9_-]{1,64}"
_INDEX: Final = r"\[(?:0|[1-9][0-9]{0,2})\]"
_PATH = re.compile(rf"(?P<root>\$(?:then)?)(?P<steps>(?:{_NAME}|{_INDEX})+)").fullmatch
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]").findall
