"""Readers of what an app says of a user: in a sign-in, and in a change of an identity.

A member that is null counts as absent. The first invalid member rejects the whole: an
error names the member, never its value.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.sessions.members import Refused, optional, read_time
from gateway.sessions.record import Tenant

MAX_MEMBERSHIPS: Final = 1000


def read_tenants(value: Mapping[str, Any]) -> dict[str, Tenant]:
    """Return memberships by tenant ID; of one that is null only the ID is known."""
    if len(value) > MAX_MEMBERSHIPS:
        raise Refused(
            f"tenants: {len(value)} memberships; the limit is {MAX_MEMBERSHIPS}"
        )
    tenants = {}
    for at, (tenant_id, member) in enumerate(value.items(), 1):
        where = f"tenants, membership {at}"
        if not tenant_id:
            raise Refused(f"{where}: the ID is empty")
        fields = {} if member is None else member
        if not isinstance(fields, dict):
            raise Refused(f"{where}: not an object with name and role")
        name, role = fields.get("name"), fields.get("role")
        if not (isinstance(name, str | None) and isinstance(role, str | None)):
            raise Refused(f"{where}: name or role is not text")
        tenants[tenant_id] = Tenant(
            id=tenant_id, name=tenant_id if name is None else name, role=role or ""
        )
    return tenants


def read_member(
    holder: Mapping[str, Any], name: str, where: str = ""
) -> dict[str, Any]:
    """Return a member that is an object; {} if it is absent."""
    value = holder.get(name)
    if not isinstance(value, dict | None):
        raise Refused(f"{where}{name}: not an object")
    return value or {}


def read_texts(
    holder: Mapping[str, Any], name: str, default: tuple[str, ...], where: str = ""
) -> tuple[str, ...]:
    """Return a member that is a list of texts, none of them empty."""
    value = holder.get(name)
    if value is None:
        return default
    if not isinstance(value, list):
        raise Refused(f"{where}{name}: not a list")
    if not all(isinstance(item, str) and item for item in value):
        raise Refused(f"{where}{name}: not a list of texts")
    return tuple(value)


def read_moment(holder: Mapping[str, Any], name: str, where: str = "") -> float | None:
    """Return a member that is an RFC 3339 time, in seconds since the epoch."""
    return optional(holder.get(name), read_time, f"{where}{name}")


def read_id(value: object) -> str | None:
    """Return an ID as text; None if it is neither text nor a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
