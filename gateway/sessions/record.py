"""A session and its parts, as values.

| noun | meaning |
| --- | --- |
| Session | one sign-in of one identity on one device |
| Identity | who signed in |
| Tenant | a membership: an organization, and the role in it |
| Corrupt | bytes that are not a session, and why |
| AnonymousSession | a session without a user; only other programs write such |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson


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
