"""Read identity facts from a record: IDs, roles, memberships.

What decides something (an id, a role, a membership) and is not what it should be
makes the record unreadable; what only informs (traits, a device) is left out.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

from gateway.sessions.formats.codecs import Unreadable
from gateway.sessions.formats.paths import ABSENT, FallbackPaths
from gateway.sessions.formats.profile import Profile
from gateway.sessions.members import MAX_ID_CHARS
from gateway.sessions.record import Device, Tenant

MAX_TRAIT_CHARS: Final = 1024
MAX_ROLES: Final = 256
MAX_TENANTS: Final = 1024


def read_name(value: object, where: str) -> str | None:
    """Return an ID from a string or an integer; None if absent or empty."""
    if value is ABSENT or value is None or value == "":
        return None
    # type(), not isinstance(): true is not an id. Nor are numbers beyond 64 bits:
    # to format one in decimal could take minutes.
    if type(value) is int and value.bit_length() <= 64:
        return str(value)
    if type(value) is not str:
        raise Unreadable(f"{where} is neither text nor a whole number")
    if len(value) > MAX_ID_CHARS or not value.isprintable():
        raise Unreadable(f"{where} is too long, or has control characters")
    return value


def read_traits(
    wanted: Sequence[tuple[str, FallbackPaths]], record: object, then: object
) -> dict[str, Any]:
    """Return the traits that fit in a header; others are omitted."""
    found: dict[str, Any] = {}
    for name, where in wanted:
        value, _ = where.find(record, then)
        match value:
            case bool():
                found[name] = value
            case float() if isfinite(value):
                found[name] = value
            case int() if value.bit_length() <= 64:
                found[name] = value
            case str() if 0 < len(value) <= MAX_TRAIT_CHARS and value.isprintable():
                found[name] = value
            case _:
                pass
    return found


def read_roles(where: FallbackPaths, record: object, then: object) -> tuple[str, ...]:
    """Return roles from a list or a comma-separated string; in order, each once."""
    value, path = where.find(record, then)
    if value is ABSENT:
        return ()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        raise Unreadable(f"{path} is neither a list nor text with commas")
    if len(value) > MAX_ROLES:
        raise Unreadable(f"{path} has more than {MAX_ROLES} entries")
    roles = [read_name(entry, path) for entry in value]
    return tuple(dict.fromkeys(role for role in roles if role is not None))


def read_tenants(
    where: FallbackPaths, record: object, then: object
) -> dict[str, Tenant]:
    """Return memberships from {id: {name, role}} or a list of {id, name, role}."""
    value, path = where.find(record, then)
    if value is ABSENT:
        return {}
    if isinstance(value, dict):
        members = [(key, entry) for key, entry in value.items()]
    elif isinstance(value, list | tuple):
        members = [(_member(entry, "id"), entry) for entry in value]
    else:
        raise Unreadable(f"{path} is neither a list nor a mapping")
    if len(members) > MAX_TENANTS:
        raise Unreadable(f"{path} has more than {MAX_TENANTS} entries")
    found: dict[str, Tenant] = {}
    for key, entry in members:
        tenant_id = read_name(key, path)
        if tenant_id is None or not isinstance(entry, dict):
            raise Unreadable(f"{path} has an entry that is no {{id, name, role}}")
        if tenant_id in found:
            raise Unreadable(f"{path} has two entries of one id")
        found[tenant_id] = Tenant(
            id=tenant_id,
            name=read_name(_member(entry, "name"), path) or tenant_id,
            role=read_name(_member(entry, "role"), path) or "",
        )
    return found


def _member(entry: object, name: str) -> object:
    return entry.get(name, ABSENT) if isinstance(entry, Mapping) else ABSENT


def read_devices(profile: Profile, record: object, then: object) -> tuple[Device, ...]:
    """Return the device that the session was created on."""
    values = [
        value if isinstance(value, str) and value.isprintable() else ""
        for value, _ in (
            profile.ip_address.find(record, then),
            profile.user_agent.find(record, then),
        )
    ]
    if not any(values):
        return ()
    return (
        Device(
            ip_address=values[0][:MAX_ID_CHARS], user_agent=values[1][:MAX_TRAIT_CHARS]
        ),
    )
