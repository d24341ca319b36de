"""The session record as JSON: a public format (docs/session-record.md), read and written."""

from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.sessions.members import (
    MAX_RECORD_DEPTH,
    Refused,
    deeper_than,
    optional,
    parse_json,
    read_bool,
    read_label,
    read_name,
    read_object,
    read_text,
    read_time,
    time_or_none,
)
from gateway.sessions.record import Corrupt, Device, Identity, Method, Session, Tenant
from gateway.sessions.timestamps import format_timestamp

# A record holds names, roles and a few memberships: about 1 KiB. 64 KiB leaves
# room for a thousand tenants and bounds the memory that a faulty writer can cost.
MAX_RECORD_BYTES: Final = 64 * 1024


def parse_record(raw: bytes) -> Session | Corrupt:
    """Read a stored record; any bytes give a value, nothing is raised."""
    if len(raw) > MAX_RECORD_BYTES:
        return Corrupt(f"larger than {MAX_RECORD_BYTES} bytes")
    try:
        document = parse_json(raw)
        if not isinstance(document, dict):
            return Corrupt("not a JSON object")
        return _session(document)
    except Refused as refused:
        return Corrupt(str(refused))


def serialise(session: Session) -> bytes:
    """Write the record as it is stored: JSON, times in RFC 3339 with Z.

    Raises ValueError where the session holds what JSON cannot, or is larger
    than what `parse_record` would read again.
    """
    document: dict[str, Any] = {
        **session.extra,
        "id": session.id,
        "active": session.active,
        "issued_at": format_timestamp(session.issued_at),
        "authenticated_at": format_timestamp(session.authenticated_at),
        "expires_at": format_timestamp(session.expires_at),
        "last_seen_at": format_timestamp(session.last_seen_at),
        "authenticator_assurance_level": session.aal,
        "authentication_methods": [
            {"method": m.method, "completed_at": format_timestamp(m.completed_at)}
            for m in session.methods
        ],
        "identity": _identity_document(session.identity),
        "tenants": {
            t.id: {"name": t.name, "role": t.role} for t in session.tenants.values()
        },
        "active_tenant_id": session.active_tenant_id,
        "devices": [
            {"ip_address": d.ip_address, "user_agent": d.user_agent}
            for d in session.devices
        ],
        "persistent": session.persistent,
    }
    if session.ended_at is not None:
        document["ended_at"] = format_timestamp(session.ended_at)
    if session.ended_reason is not None:
        document["ended_reason"] = session.ended_reason
    if session.token_name is not None:
        document["gateway_token"] = {"name": session.token_name}
    try:
        raw = orjson.dumps(document)
    except TypeError as error:
        raise ValueError(f"the session cannot be written as JSON: {error}") from error
    if len(raw) > MAX_RECORD_BYTES:
        raise ValueError(f"the session record is larger than {MAX_RECORD_BYTES} bytes")
    if deeper_than(document, MAX_RECORD_DEPTH):
        raise ValueError(f"the session record nests deeper than {MAX_RECORD_DEPTH}")
    return raw


def _identity_document(identity: Identity) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": identity.id,
        "traits": dict(identity.traits),
        "roles": list(identity.roles),
    }
    times = {"created_at": identity.created_at, "updated_at": identity.updated_at}
    for name, moment in times.items():
        if moment is not None:
            document[name] = format_timestamp(moment)
    return document


def _session(document: dict[str, Any]) -> Session:
    take = document.pop
    authenticated_at = read_time(take("authenticated_at", None), "authenticated_at")
    issued_at = optional(take("issued_at", None), read_time, "issued_at")
    last_seen_at = optional(take("last_seen_at", None), read_time, "last_seen_at")
    issued_at = authenticated_at if issued_at is None else issued_at
    level = take("authenticator_assurance_level", None)
    persistent = optional(take("persistent", None), read_bool, "persistent")
    return Session(
        id=read_name(take("id", None), "id"),
        active=read_bool(take("active", None), "active"),
        issued_at=issued_at,
        authenticated_at=authenticated_at,
        expires_at=read_time(take("expires_at", None), "expires_at"),
        last_seen_at=issued_at if last_seen_at is None else last_seen_at,
        aal=optional(level, read_name, "authenticator_assurance_level") or "aal1",
        methods=tuple(
            Method(
                method=read_name(entry.get("method"), f"{where}.method"),
                completed_at=optional(
                    entry.get("completed_at"), read_time, f"{where}.completed_at"
                )
                or authenticated_at,
            )
            for where, entry in _objects(take, "authentication_methods")
        ),
        identity=_identity(read_object(take("identity", None), "identity")),
        tenants=_tenants(optional(take("tenants", None), read_object, "tenants") or {}),
        active_tenant_id=optional(
            take("active_tenant_id", None), read_name, "active_tenant_id"
        ),
        devices=tuple(
            Device(
                ip_address=optional(
                    entry.get("ip_address"), read_text, f"{where}.ip_address"
                )
                or "",
                user_agent=optional(
                    entry.get("user_agent"), read_text, f"{where}.user_agent"
                )
                or "",
            )
            for where, entry in _objects(take, "devices")
        ),
        persistent=True if persistent is None else persistent,
        ended_at=optional(take("ended_at", None), read_time, "ended_at"),
        ended_reason=optional(take("ended_reason", None), read_name, "ended_reason"),
        token_name=optional(take("gateway_token", None), _token_name, "gateway_token"),
        extra=document,  # what no line above has taken
    )


def _identity(entry: dict[str, Any]) -> Identity:
    roles = entry.get("roles")
    if not isinstance(roles, list | None):
        raise Refused("identity.roles: not a list")
    return Identity(
        id=read_name(entry.get("id"), "identity.id"),
        traits=optional(entry.get("traits"), read_object, "identity.traits") or {},
        roles=tuple(read_name(role, "identity.roles") for role in roles or ()),
        # Another program may have kept them in a form of its own: then they are unknown.
        created_at=time_or_none(entry.get("created_at")),
        updated_at=time_or_none(entry.get("updated_at")),
    )


def _token_name(value: object, where: str) -> str:
    return read_name(read_object(value, where).get("name"), f"{where}.name")


def _tenants(entries: dict[str, Any]) -> dict[str, Tenant]:
    found = {}
    for key, entry in entries.items():
        read_name(key, "tenants")
        member = read_object(entry, "tenants")
        found[key] = Tenant(
            id=key,
            name=optional(member.get("name"), read_text, "tenants.name") or key,
            role=optional(member.get("role"), read_label, "tenants.role") or "",
        )
    return found


def _objects(
    take: Callable[[str, None], Any], member: str
) -> list[tuple[str, dict[str, Any]]]:
    entries = take(member, None)
    if not isinstance(entries, list | None):
        raise Refused(f"{member}: not a list")
    return [(member, read_object(entry, member)) for entry in entries or ()]
