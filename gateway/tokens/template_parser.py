"""Parses claim templates, when the configuration is loaded.

`"{tenant.id}"` alone becomes the value, with its type; inside a text it becomes
text. `{{` and `}}` are braces. In `{identity.traits.nick|identity.id|'guest'}` the
first value that the session has is used; the last one may be a literal text. An
inserted value is not parsed: a name such as "{tenant.id}" stays text.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, assert_never

from gateway.tokens.subject import Membership, Subject
from gateway.tokens.template import (
    ALL_TENANTS,
    PLACEHOLDERS,
    REGISTERED,
    TRAITS,
    AllTenants,
    Choice,
    CompiledClaims,
    Items,
    Literal,
    Members,
    Node,
    Placeholder,
    Read,
    Text,
)

_TIMES = ("session.authenticated_at", "session.expires_at", "session.methods")


class ClaimsError(ValueError):
    """An invalid template; `path` leads to it from the claims, `hint` states a fix."""

    def __init__(
        self, message: str, path: tuple[str | int, ...] = (), hint: str = ""
    ) -> None:
        self.message, self.path, self.hint = message, path, hint
        super().__init__(f"{message}; {hint}" if hint else message)


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
    return CompiledClaims(
        members,
        needs_tenant=_depends(members, all, "tenant."),
        shows_times=_depends(members, any, *_TIMES),
    )


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
    parts: list[str | Placeholder | Choice | AllTenants] = []
    literal = ""
    at = 0
    while at < len(value):
        sign = value[at]
        if value[at : at + 2] in ("{{", "}}"):
            literal += sign
            at += 2
        elif sign == "{":
            options, end = _options(value, at + 1, path)
            parts += [literal] if literal else []
            parts.append(_choice(options, path))
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
        case [Placeholder() | Choice() | AllTenants() as alone], "":
            return alone
        case _:
            kept = tuple(part for part in parts if not isinstance(part, AllTenants))
            if len(kept) < len(parts):
                raise _not_text(path)
            return Text((*kept, literal) if literal else kept)


def _options(value: str, at: int, path: tuple[str | int, ...]) -> tuple[list[str], int]:
    """Return the alternatives between braces, and where the closing brace is.

    A quote begins a literal only at the start of an alternative: then neither "|" nor
    "}" ends it.
    """
    options, start, quote = [], at, ""
    for index in range(at, len(value)):
        sign = value[index]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"" and index == start:
            quote = sign
        elif sign in "|}":
            options.append(value[start:index])
            start = index + 1
            if sign == "}":
                return options, index
    raise ClaimsError("unmatched brace", path, _DOUBLE)


def _choice(
    options: list[str], path: tuple[str | int, ...]
) -> Placeholder | Choice | AllTenants:
    if options == [ALL_TENANTS]:
        return AllTenants()
    if ALL_TENANTS in options:
        raise _not_text(path)
    if len(options) == 1:
        return _placeholder(options[0], path)
    found: list[Placeholder | Literal] = [_placeholder(options[0], path)]
    for at, option in enumerate(options[1:], 2):
        if not option:
            raise ClaimsError("an empty default", path, "write '' for an empty text")
        literal = _LITERAL.fullmatch(option)
        if literal is None:
            found.append(_placeholder(option, path))
            continue
        if at < len(options):
            raise ClaimsError("nothing after a literal default is used", path)
        found.append(Literal(option[1:-1] if literal[1] else option))
    names = [each.name for each in found if isinstance(each, Placeholder)]
    if any(n in _GRANTING for n in names) and any(n.startswith(TRAITS) for n in names):
        raise ClaimsError(
            "a trait must not stand for the tenant or a role in it",
            path,
            "users may change their traits; use a literal default",
        )
    return Choice(tuple(found))


def _not_text(path: tuple[str | int, ...]) -> ClaimsError:
    hint = "it is an object, and must be the whole claim"
    return ClaimsError(f"{{{ALL_TENANTS}}} is not text", path, hint)


def _placeholder(name: str, path: tuple[str | int, ...]) -> Placeholder:
    if name in PLACEHOLDERS:
        return Placeholder(name, PLACEHOLDERS[name])
    if name.startswith(TRAITS):
        way = tuple(name.removeprefix(TRAITS).split("."))
        if all(step and step.replace("-", "_").isidentifier() for step in way):
            return Placeholder(name, _trait_reader(way))
    known = (*PLACEHOLDERS, ALL_TENANTS, TRAITS + "NAME")
    if name.rstrip(".") == TRAITS.rstrip("."):
        hint = f"name a trait, as in {{{TRAITS}email}}"
    elif near := get_close_matches(name.strip(), known, n=1, cutoff=0.5):
        hint = f"did you mean {{{near[0]}}}?"
    else:
        hint = "known are " + ", ".join(f"{{{one}}}" for one in known)
    raise ClaimsError("unknown placeholder", path, hint)


_DOUBLE = "double it for a literal brace"
# A text in quotes, or a word that cannot be a mistyped placeholder.
_LITERAL = re.compile(
    r"""('[^']*'|"[^"]*")|(?!(?:tenants?|identity|session)$)[A-Za-z0-9_-]+""", re.ASCII
)
_GRANTING = frozenset({"tenant.id", "tenant.role"})
"""What rows and rights depend on."""


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


def _depends(
    node: Node, which: Callable[[Iterable[bool]], bool], *beginnings: str
) -> bool:
    """Return whether a placeholder whose name has such a beginning is in the node.

    `which`: whether `all` alternatives have to have one, or `any`.
    """
    match node:
        case Literal() | AllTenants():
            return False
        case Placeholder(name=name):
            return name.startswith(beginnings)
        case Choice(options=options):
            return which(_depends(each, which, *beginnings) for each in options)
        case Text(parts=parts):
            found = (part for part in parts if not isinstance(part, str))
            return any(_depends(part, which, *beginnings) for part in found)
        case Members(members=members):
            return any(_depends(inner, which, *beginnings) for _, inner in members)
        case Items(items=items):
            return any(_depends(item, which, *beginnings) for item in items)
        case _:
            assert_never(node)
