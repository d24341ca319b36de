"""Claim templates: literals and placeholders from a closed list. Parsed at load.

`"{tenant.id}"` alone becomes the value, with its type; inside a text it becomes
text. `{{` and `}}` are braces. What a placeholder brings in is never looked at
again, so a name such as "{tenant.id}" stays the seven letters and signs that it is.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias, assert_never

from gateway.tokens.subject import Membership, Subject

REGISTERED = frozenset({"iss", "aud", "exp", "iat", "nbf", "sub", "jti", "sid"})
"""Set by the minter, never by a template."""

TRAITS = "identity.traits."
"""What the name of a placeholder for a trait begins with."""

Read: TypeAlias = Callable[[Subject, Membership | None], Any]

PLACEHOLDERS: Mapping[str, Read] = {
    "tenant.id": lambda _subject, tenant: tenant.id if tenant else None,
    "tenant.role": lambda _subject, tenant: tenant.role if tenant else None,
    "tenant.name": lambda _subject, tenant: tenant.name if tenant else None,
    "identity.id": lambda subject, _tenant: subject.identity.id,
    "identity.roles": lambda subject, _tenant: list(subject.identity.roles),
    "session.id": lambda subject, _tenant: subject.id,
    "session.aal": lambda subject, _tenant: subject.aal,
    # As JWT times (RFC 7519, section 2): seconds since the epoch.
    "session.authenticated_at": lambda subject, _tenant: int(subject.authenticated_at),
    "session.expires_at": lambda subject, _tenant: int(subject.expires_at),
    "session.methods": lambda subject, _tenant: [m.method for m in subject.methods],
    "tenants.ids": lambda subject, _tenant: list(subject.tenants),
}
"""The closed list, except traits: name -> where its value is."""


_TIMES = ("session.authenticated_at", "session.expires_at", "session.methods")


class ClaimsError(ValueError):
    """An invalid template; `path` leads to it from the claims, `hint` states a fix."""

    def __init__(
        self, message: str, path: tuple[str | int, ...] = (), hint: str = ""
    ) -> None:
        self.message, self.path, self.hint = message, path, hint
        super().__init__(f"{message}; {hint}" if hint else message)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is the same for everyone."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A value of the session; `read` gives None where it has none."""

    name: str
    read: Read = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """Literal texts and placeholders, one after the other."""

    parts: tuple[str | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """An object; a member that is missing is left out."""

    members: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list; an item that is missing is left out."""

    items: tuple["Node", ...]


Node: TypeAlias = Literal | Placeholder | Text | Members | Items


@dataclass(frozen=True, slots=True)
class CompiledClaims:
    """The claims of one profile. `needs_tenant`: some of them name the tenant."""

    members: Members
    needs_tenant: bool
    tells_times: bool = False


def compile_claims(claims: Mapping[str, Any]) -> CompiledClaims:
    """Compile the claims of a profile.

    Raises:
        ClaimsError: an unknown placeholder, a lone brace, a registered claim, or a
            value that JSON does not have.
    """
    for name in claims:
        if name in REGISTERED:
            raise ClaimsError(f'"{name}" is set by the gateway', (name,))
    members = _members(claims, ())
    return CompiledClaims(members, _tells(members, "tenant."), _tells(members, *_TIMES))


def compile_node(value: Any, path: tuple[str | int, ...] = ()) -> Node:
    """Compile one value; the errors are those of `compile_claims`."""
    match value:
        case str():
            return _text(value, path)
        case None | bool() | int():
            return Literal(value)
        case float() if math.isfinite(value):
            return Literal(value)
        case Mapping():
            return _members(value, path)
        case list() | tuple():
            items = enumerate(value)
            return Items(tuple(compile_node(v, (*path, i)) for i, v in items))
        case _:
            kind = type(value).__name__
            raise ClaimsError(f"a claim cannot be a {kind}; put it in quotes", path)


def _members(value: Mapping[Any, Any], path: tuple[str | int, ...]) -> Members:
    members: list[tuple[str, Node]] = []
    for name, inner in value.items():
        if not isinstance(name, str):
            raise ClaimsError(f"the name {name!r} of a claim is not a text", path)
        if "{" in name or "}" in name:
            raise ClaimsError("names of claims take no placeholders", (*path, name))
        members.append((name, compile_node(inner, (*path, name))))
    return Members(tuple(members))


def _text(value: str, path: tuple[str | int, ...]) -> Node:
    parts: list[str | Placeholder] = []
    literal = ""
    at = 0
    while at < len(value):
        sign = value[at]
        if value[at : at + 2] in ("{{", "}}"):
            literal += sign
            at += 2
        elif sign == "{":
            end = value.find("}", at)
            if end < 0:
                raise ClaimsError("unmatched brace", path, _DOUBLE)
            parts += [literal] if literal else []
            parts.append(_placeholder(value[at + 1 : end], path))
            literal = ""
            at = end + 1
        elif sign == "}":
            raise ClaimsError("unmatched brace", path, _DOUBLE)
        else:
            literal += sign
            at += 1
    match parts, literal:
        case [], _:
            return Literal(literal)
        case [Placeholder() as alone], "":
            return alone
        case _:
            return Text((*parts, literal) if literal else tuple(parts))


def _placeholder(name: str, path: tuple[str | int, ...]) -> Placeholder:
    if name in PLACEHOLDERS:
        return Placeholder(name, PLACEHOLDERS[name])
    if name.startswith(TRAITS):
        way = tuple(name.removeprefix(TRAITS).split("."))
        if all(step and step.replace("-", "_").isidentifier() for step in way):
            return Placeholder(name, _trait_reader(way))
    known = (*PLACEHOLDERS, TRAITS + "NAME")
    if name.rstrip(".") == TRAITS.rstrip("."):
        hint = f"name a trait, as in {{{TRAITS}email}}"
    elif near := get_close_matches(name.strip(), known, n=1, cutoff=0.5):
        hint = f"did you mean {{{near[0]}}}?"
    else:
        hint = "known are " + ", ".join(f"{{{one}}}" for one in known)
    raise ClaimsError("unknown placeholder", path, hint)


_DOUBLE = "double it for a literal brace"


def _trait_reader(way: tuple[str, ...]) -> Read:
    if len(way) == 1:
        only = way[0]
        return lambda subject, _tenant: subject.identity.traits.get(only)

    def read(subject: Subject, _tenant: Membership | None) -> Any:
        value: Any = subject.identity.traits
        for step in way:
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    return read


def _tells(node: Node, *beginnings: str) -> bool:
    """Return whether a placeholder whose name has such a beginning is in the node."""
    match node:
        case Literal():
            return False
        case Placeholder(name=name):
            return name.startswith(beginnings)
        case Text(parts=parts):
            found = (part for part in parts if isinstance(part, Placeholder))
            return any(_tells(part, *beginnings) for part in found)
        case Members(members=members):
            return any(_tells(inner, *beginnings) for _, inner in members)
        case Items(items=items):
            return any(_tells(item, *beginnings) for item in items)
        case _:
            assert_never(node)
