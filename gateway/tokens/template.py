"""Claim templates: literals, and placeholders from a closed list."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.tokens.subject import Membership, Subject

REGISTERED = frozenset({"iss", "aud", "exp", "iat", "nbf", "sub", "jti", "sid"})
"""Set by the minter, never by a template."""

TRAITS = "identity.traits."
"""What the name of a placeholder for a trait begins with."""

Read: TypeAlias = Callable[[Subject, Membership | None], Any]


def _second(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


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
    "identity.created_at": lambda subject, _tenant: _second(
        subject.identity.created_at
    ),
    "identity.updated_at": lambda subject, _tenant: _second(
        subject.identity.updated_at
    ),
    "tenants.ids": lambda subject, _tenant: list(subject.tenants),
}
"""The closed list, except traits: name -> where its value is."""


ALL_TENANTS = "tenants.roles"
"""The placeholder for an object: tenant ID -> role. It is a whole value, never text."""


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
class Choice:
    """Several values, of which the first that the session has counts."""

    options: tuple[Placeholder | Literal, ...]


@dataclass(frozen=True, slots=True)
class AllTenants:
    """The memberships: tenant ID -> role."""


@dataclass(frozen=True, slots=True)
class Text:
    """Literal texts and placeholders, one after the other."""

    parts: tuple[str | Placeholder | Choice, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """An object; a member that is missing is left out."""

    members: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list; an item that is missing is left out."""

    items: tuple["Node", ...]


Node: TypeAlias = Literal | Placeholder | Choice | AllTenants | Text | Members | Items


@dataclass(frozen=True, slots=True)
class CompiledClaims:
    """The claims of one profile.

    needs_tenant  some of them name the tenant, and have no default
    shows_times   some of them depend on times or methods of the session
    """

    members: Members
    needs_tenant: bool
    shows_times: bool = False
