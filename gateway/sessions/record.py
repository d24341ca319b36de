"""The session record: a public format (docs/session-record.md) as a value.

| noun | meaning |
| --- | --- |
| Session | one sign-in of one identity on one device |
| Identity | who signed in |
| Tenant | a membership: an organization, and the role in it |
| Corrupt | bytes that are not a session, and why |
| AnonymousSession | a session without a user; only other programs write such |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
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
from gateway.sessions.timestamps import format_timestamp

# A record holds names, roles and a few memberships: about 1 KiB. 64 KiB leaves
# room for a thousand tenants and bounds the memory that a faulty writer can cost.
MAX_RECORD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signed in. Traits are any JSON object; roles keep their order.

    `created_at`, `updated_at` are of the identity in the app, in seconds since the
    epoch; None: unknown.
    """

    id: str
    traits: Mapping[str, Any] = field(default_factory=dict, repr=False)
    roles: tuple[str, ...] = ()
    created_at: float | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A membership: the organization, and the identity's role in it, or ""."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way in which the identity proved itself, and when."""

    method: str
    completed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where the session was made; shown to its owner, never decided on."""

    ip_address: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in. Times are seconds since the epoch.

    `version` is a fingerprint of what upstreams receive (identity, tenants,
    active tenant, assurance level). It moves when any of that does, and stays
    when only times move. `extra` holds the record's unknown members, so that a
    rewrite loses nothing that another program put there. `token_name` is that of an
    access token; None: a session in a browser.
    """

    id: str
    active: bool
    issued_at: float
    authenticated_at: float
    expires_at: float
    last_seen_at: float
    identity: Identity
    aal: str = "aal1"
    methods: tuple[Method, ...] = ()
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    active_tenant_id: str | None = None
    devices: tuple[Device, ...] = ()
    persistent: bool = True
    ended_at: float | None = None
    ended_reason: str | None = None
    token_name: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # Compared, since True == 1 in Python: in a trait these are two values.
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", _version(self))


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Bytes that are not a session. `why` names the place, never the content."""

    why: str


@dataclass(frozen=True, slots=True)
class AnonymousSession:
    """A session without a user: never signed in, or signed out again."""


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


def _version(session: Session) -> str:
    shown: list[Any] = [
        session.identity.id,
        dict(session.identity.traits),
        session.identity.roles,
        [(t.id, t.name, t.role) for t in session.tenants.values()],
        session.active_tenant_id,
        session.aal,
    ]
    times = (session.identity.created_at, session.identity.updated_at)
    if any(moment is not None for moment in times):
        shown.append(times)
    try:
        raw = orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # not JSON: `serialise` reports it, a fingerprint need not
        raw = repr(shown).encode(errors="backslashreplace")
    return blake2b(raw, digest_size=12).hexdigest()
