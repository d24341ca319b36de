"""Claims of a token: a compiled template filled in for a session.

A value counts as missing when the session does not have it, when it is an empty
text, and when it is larger than a token should carry; then the whole claim is left
out, as half a claim would state something false.
"""

import math
from dataclasses import dataclass
from typing import Any, assert_never

from gateway.tokens.subject import Membership, Subject
from gateway.tokens.template import (
    AllTenants,
    Choice,
    CompiledClaims,
    Items,
    Literal,
    Members,
    Node,
    Placeholder,
    Text,
)
from gateway.tokens.template_parser import ClaimsError, compile_claims, compile_node

__all__ = [
    "ClaimsError",
    "CompiledClaims",
    "Template",
    "claims_for",
    "compile_claims",
    "compile_template",
    "fits",
]

TEXT_LONGEST = 512
"""Characters. A token is a header, and headers have about 8 KiB in all."""

ITEMS_MOST = 64
"""Values in a list, which together are no longer than 4 texts."""


@dataclass(frozen=True, slots=True)
class Template:
    """A single template, as for an identity header."""

    node: Node

    def pieces(self, subject: Subject, tenant: Membership | None) -> list[Any] | None:
        """Return the values that make the text, in order; None if one is missing.

        Missing is what the session does not have: None, an empty text or list. The
        limits of tokens do not apply.
        """
        node = self.node
        if type(node) is Placeholder:  # most are
            value = node.read(subject, tenant)
            return None if value in _EMPTY else [value]
        if isinstance(node, Literal):
            return [node.value]
        if isinstance(node, Choice):
            value = _chosen(node, subject, tenant)
            return None if value in _EMPTY else [value]
        if not isinstance(node, Text):  # compiled from one text
            return None
        values = [_piece(part, subject, tenant) for part in node.parts]
        return None if any(value in _EMPTY for value in values) else values


def compile_template(text: str) -> Template:
    """Compile one text; raises ClaimsError as `compile_claims` does, and for an object."""
    node = compile_node(text)
    if isinstance(node, AllTenants):
        raise ClaimsError("{tenants.roles} is an object", hint="use {tenants.ids}")
    return Template(node)


def _piece(
    part: str | Placeholder | Choice, subject: Subject, tenant: Membership | None
) -> Any:
    match part:
        case str():
            return part
        case Placeholder():
            return part.read(subject, tenant)
        case Choice():
            return _chosen(part, subject, tenant)


def _chosen(choice: Choice, subject: Subject, tenant: Membership | None) -> Any:
    for option in choice.options:
        if isinstance(option, Literal):
            return option.value
        value = option.read(subject, tenant)
        if value not in _EMPTY:
            return value
    return None


def claims_for(
    claims: CompiledClaims, subject: Subject, tenant: Membership | None
) -> dict[str, Any]:
    """Return what the profile says of the subject in the tenant."""
    return _fill_members(claims.members, subject, tenant)


def fits(text: str) -> bool:
    """Return whether a string is allowed in a token.

    PostgreSQL's json cannot read U+0000 nor half a surrogate pair, and would refuse
    the request for it.
    """
    return (
        0 < len(text) <= TEXT_LONGEST
        and "\0" not in text
        and (text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text))
    )


_EMPTY: tuple[Any, ...] = (None, "", [], ())


class _Missing:
    """The session does not have it; not None, which a literal may be."""


_MISSING = _Missing()


def _fill(node: Node, subject: Subject, tenant: Membership | None) -> Any:
    match node:
        case Literal(value=value):
            return value
        case Placeholder():
            return _bounded(node.read(subject, tenant))
        case Choice(options=options):
            values = (_fill(option, subject, tenant) for option in options)
            return next((v for v in values if v is not _MISSING and v != []), _MISSING)
        case AllTenants():
            return _fill_tenants(subject)
        case Text(parts=parts):
            return _fill_text(parts, subject, tenant)
        case Members():
            return _fill_members(node, subject, tenant)
        case Items(items=items):
            filled = (_fill(item, subject, tenant) for item in items)
            return [item for item in filled if item is not _MISSING]
        case _:
            assert_never(node)


def _fill_members(
    node: Members, subject: Subject, tenant: Membership | None
) -> dict[str, Any]:
    filled = ((n, _fill(inner, subject, tenant)) for n, inner in node.members)
    return {name: value for name, value in filled if value is not _MISSING}


def _fill_text(
    parts: tuple[str | Placeholder | Choice, ...],
    subject: Subject,
    tenant: Membership | None,
) -> Any:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        value = _fill(part, subject, tenant)
        if value is _MISSING:
            return _MISSING
        texts.append(_as_text(value))
    return "".join(texts)


def _fill_tenants(subject: Subject) -> Any:
    """Return tenant ID -> role; _MISSING if they are more than a list may have."""
    roles = {each.id: each.role for each in subject.tenants.values()}
    texts = [text for pair in roles.items() for text in pair if text]
    if len(roles) > ITEMS_MOST or not all(map(fits, texts)):
        return _MISSING
    return roles if sum(map(len, texts)) <= 4 * TEXT_LONGEST else _MISSING


def _bounded(value: Any) -> Any:
    """Return the value, or _MISSING where a token should not carry it."""
    if not isinstance(value, list | tuple):
        return value if _is_plain(value) else _MISSING
    if len(value) > ITEMS_MOST:
        return _MISSING
    left = 4 * TEXT_LONGEST
    for item in value:
        if not _is_plain(item):
            return _MISSING
        left -= len(_as_text(item))
    return list(value) if left >= 0 else _MISSING


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return fits(value)
    if isinstance(value, float):
        return math.isfinite(value)
    # RFC 8259 section 6: integers beyond this are not read alike by everyone.
    return isinstance(value, int) and abs(value) < 2**53


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
