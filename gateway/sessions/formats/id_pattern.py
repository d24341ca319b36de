"""Patterns of session IDs: a restricted subset of regular expressions.

The pattern keeps an unsigned cookie from naming other keys of Redis: next to
`user:session:<id>` there may be `user:session:by-user-id:…`. So it always has to
match the whole id, with its characters and its length.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_ID: Final = 256


@dataclass(frozen=True, slots=True)
class IdPattern:
    """Matches whole ids, of at most `longest` characters."""

    text: str
    longest: int
    _match: Callable[[str], object]

    def matches(self, session_id: str) -> bool:
        """Return whether `session_id` may be an ID: length and pattern match."""
        return len(session_id) <= self.longest and self._match(session_id) is not None


def compile_id_pattern(text: str) -> IdPattern:
    r"""Read a pattern.

    Literals, `[...]`, `\d`, `\w`, groups, `|`, `?`, `{n}` and `{n,m}`. `^` in front
    together with `$` behind changes nothing: the whole id is matched in any case.

    Raises:
        ValueError: the pattern could match what was not meant.
    """
    body = text
    if body.startswith("^") != _ends_anchored(body):
        raise ValueError(
            "the id pattern is anchored at one end only; write ^ and $, or neither: "
            "it is matched against the whole id"
        )
    if body.startswith("^"):
        body = body[1:-1]
    reader = _Reader(body)
    longest = reader.alternatives()
    if body != text and reader.sides > 1:
        raise ValueError("each of ^ and $ anchors one side of a | only: leave them out")
    if reader.left():
        raise ValueError("the id pattern has a ) without (")
    if reader.shortest_is_empty or longest == 0:
        raise ValueError("the id pattern matches an empty id")
    if longest > MAX_ID:
        raise ValueError(f"the id pattern takes more than {MAX_ID} characters")
    try:
        match = re.compile(f"(?:{body})", re.ASCII).fullmatch
    except re.error as error:
        raise ValueError(f"the id pattern cannot be read: {error}") from error
    return IdPattern(text, longest, match)


def _ends_anchored(text: str) -> bool:
    bare = text.rstrip("$")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return text.endswith("$") and not (backslashes % 2 and len(text) - len(bare) == 1)


class _Reader:
    """Walks over a pattern once; each part gives the longest text it matches."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.shortest_is_empty = False
        self.sides = 1

    def left(self) -> str:
        return self._text[self._at :]

    def alternatives(self, depth: int = 0) -> int:
        if depth > _MAX_DEPTH:
            raise ValueError("the id pattern nests too deep")
        longest, shortest = self._sequence(depth)
        while self._take("|"):
            other, least = self._sequence(depth)
            longest, shortest = max(longest, other), min(shortest, least)
            self.sides += depth == 0
        if depth == 0:
            self.shortest_is_empty = shortest == 0
        else:
            self._group_least = shortest
        return longest

    def _sequence(self, depth: int) -> tuple[int, int]:
        longest = shortest = 0
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            most, least, group = self._atom(depth)
            low, high = self._times()
            if group and high > 1 and (most != least or low != high):
                raise ValueError("a group of the id pattern repeats a varying part")
            longest += most * high
            shortest += least * low
        return longest, shortest

    def _atom(self, depth: int) -> tuple[int, int, bool]:
        sign = self._text[self._at]
        if sign == "(":
            self._at += 1
            if self._take("?") and not self._take(":"):
                raise ValueError("only plain groups, ( ) or (?: ), are known")
            most = self.alternatives(depth + 1)
            least = self._group_least
            if not self._take(")"):
                raise ValueError("the id pattern has a ( without )")
            return most, least, True
        found = _CLASS(self._text, self._at) or _CHARACTER(self._text, self._at)
        if found is None:
            raise ValueError(_WRONG.get(sign, _WRONG_SIGN).format(sign))
        self._at = found.end()
        return 1, 1, False

    def _times(self) -> tuple[int, int]:
        if self._take("?"):
            return 0, 1
        found = _TIMES(self._text, self._at)
        if found is None:
            return 1, 1
        self._at = found.end()
        low = int(found[1])
        high = int(found[3]) if found[2] else low
        if high < low or high == 0:
            raise ValueError("the id pattern counts backwards")
        return low, high

    def _take(self, sign: str) -> bool:
        if self._text.startswith(sign, self._at):
            self._at += len(sign)
            return True
        return False


_MAX_DEPTH: Final = 8
_SIGNS: Final = "_:=@%!,;/"
_ESCAPED: Final = r"\\[dw.+/=-]"
_RANGE: Final = r"[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]"
_CLASS = re.compile(rf"\[(?:{_RANGE}|{_ESCAPED}|[A-Za-z0-9.+{_SIGNS}])+-?\]").match
_CHARACTER = re.compile(rf"[A-Za-z0-9~{_SIGNS}-]|{_ESCAPED}").match
_TIMES = re.compile(r"\{([0-9]{1,3})(,([0-9]{1,3}))?\}").match
_WRONG_SIGN: Final = 'the id pattern cannot contain "{}" here'
_WRONG: Final = {
    ".": 'the id pattern has ".", which matches anything: name the characters',
    "*": 'the id pattern has "*", which has no end: write {{16,64}}',
    "+": 'the id pattern has "+", which has no end: write {{16,64}}',
    "[": "the id pattern has a class that excludes, or is not understood: "
    "name the characters that are allowed",
    "^": "the id pattern is anchored in the middle",
    "$": "the id pattern is anchored in the middle",
    "{": "the id pattern counts without an upper bound: write {{16,64}}",
}
