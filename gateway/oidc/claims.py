"""Text with placeholders for claims: `"{email}"`, `"acme:{sub}"`, `"{realm_access.roles}"`.

A placeholder names a member of the claims, or with dots a nested one. `{provider}` is
the name of the provider in the configuration. A text that is one placeholder keeps the
type of the claim. `{{` and `}}` are braces.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PROVIDER: Final = "provider"
"""The placeholder that is not a claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A placeholder."""

    name: str


@dataclass(frozen=True, slots=True)
class ClaimText:
    """Literal texts and placeholders, in order."""

    parts: tuple[str | Claim, ...]

    @property
    def claims(self) -> frozenset[str]:
        """The names of the claims in it."""
        names = {part.name for part in self.parts if isinstance(part, Claim)}
        return frozenset(names - {PROVIDER})

    def ends(self, provider: str) -> tuple[str, str]:
        """Return what every value begins with, and what every value ends with.

        `provider` is the name of the provider. A text without another placeholder
        begins and ends with the whole of it.
        """
        filled = [provider if part == Claim(PROVIDER) else part for part in self.parts]
        return _literals(filled), _literals(filled[::-1], backwards=True)


def _literals(parts: Sequence[str | Claim], *, backwards: bool = False) -> str:
    found = ""
    for part in parts:
        if isinstance(part, Claim):
            break
        found = part + found if backwards else found + part
    return found


def always_differ(first: tuple[str, str], second: tuple[str, str]) -> bool:
    """Return whether no value of one text is a value of another, given their `ends`."""
    (begin, end), (other_begin, other_end) = first, second
    return not (
        (begin.startswith(other_begin) or other_begin.startswith(begin))
        and (end.endswith(other_end) or other_end.endswith(end))
    )


def parse_claim_text(text: str) -> ClaimText:
    """Parse a text with placeholders.

    Raises:
        ValueError: an unmatched brace, or a name that is empty or has spaces.
    """
    parts: list[str | Claim] = []
    position = 0
    while position < len(text):
        found = _PART(text, position)
        if found is None:
            raise ValueError("unmatched brace; double it for a literal brace")
        name = found["name"]
        piece = found["literal"] or ""
        parts.append(
            piece.replace("{{", "{").replace("}}", "}") if name is None else Claim(name)
        )
        position = found.end()
    return ClaimText(tuple(parts))


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name or, with dots, by its path; None if it is absent.

    The whole name comes first: `https://app.example.com/roles` is the name of a claim.
    """
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def fill(text: ClaimText, claims: Mapping[str, Any], provider: str) -> Any:
    """Return the value of a text; None if a claim in it is absent.

    Inside a text a claim is a string or a whole number; anything else counts as absent.
    """
    values = [
        part if isinstance(part, str) else _value(part, claims, provider)
        for part in text.parts
    ]
    if len(values) == 1:
        return values[0]
    pieces = [_as_text(value) for value in values]
    return None if None in pieces else "".join(piece or "" for piece in pieces)


def _value(claim: Claim, claims: Mapping[str, Any], provider: str) -> Any:
    return provider if claim.name == PROVIDER else find_claim(claims, claim.name)


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None


_PART: Final = re.compile(
    r"(?P<literal>(?:[^{}]|\{\{|\}\})+)|\{(?P<name>[!-z|~]{1,200})\}"
).match
