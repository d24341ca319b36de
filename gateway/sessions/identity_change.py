"""A running session follows its identity: roles, traits and memberships change in it.

Each session is changed by compare-and-set, so a session that ended, was extended or
switched its tenant meanwhile keeps that.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.sessions.record import Corrupt, Identity, Session, Tenant
from gateway.sessions.record_json import parse_record, serialise
from gateway.sessions.store import SessionStore, lives

_TRIES: Final = 64
"""Compare-and-set attempts for one session; each failure is another writer's success."""
_PAUSE: Final = 0.002
"""Seconds before the second attempt; increases with each one up to 20 ms."""
_PASSES: Final = 2
"""The second one finds the sessions that began during the first."""
_ANY_SESSION: Final = Session(
    id="any",
    active=True,
    issued_at=0.0,
    authenticated_at=0.0,
    expires_at=0.0,
    last_seen_at=0.0,
    identity=Identity(id="any"),
)
"""Shows whether a change is valid where no session is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """What replaces a part of the identity in its sessions; None: it stays.

    remove_tenant  ID of one membership that ends
    times          `created_at` and `updated_at` of the identity, seconds since the epoch
    """

    roles: tuple[str, ...] | None = None
    traits: Mapping[str, Any] | None = field(default=None, repr=False)
    tenants: Mapping[str, Tenant] | None = None
    remove_tenant: str | None = None
    created_at: float | None = None
    updated_at: float | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Return what it changes, for the log."""
        named = {
            "roles": self.roles,
            "traits": self.traits,
            "tenants": self.remove_tenant if self.tenants is None else self.tenants,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        return tuple(name for name, value in named.items() if value is not None)


@dataclass(slots=True)
class ChangeCount:
    """Sessions that were changed, and sessions that were so already."""

    changed: int = 0
    unchanged: int = 0


def changed_session(session: Session, change: IdentityChange) -> Session:
    """Return the session with the change; the same object if nothing differs.

    Without the membership the session has no active tenant. An access token gains no
    role and no membership: it was made with what its program needs.

    Raises:
        ValueError: the record would be invalid (controls in IDs, more than 64 KiB).
    """
    if session.token_name is not None:
        change = _narrowed(change, session)
    tenants = session.tenants if change.tenants is None else dict(change.tenants)
    if change.remove_tenant is not None:
        tenants = {i: t for i, t in tenants.items() if i != change.remove_tenant}
    given = {
        "roles": change.roles,
        "traits": change.traits,
        "created_at": change.created_at,
        "updated_at": change.updated_at,
    }
    parts: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    active = session.active_tenant_id
    changed = replace(
        session,
        identity=replace(session.identity, **parts),
        tenants=tenants,
        active_tenant_id=active if active in tenants else None,
    )
    if changed == session:
        return session
    match parse_record(serialise(changed)):
        case Corrupt(why=why):
            raise ValueError(why)
        case Session() as read:
            return read


def _narrowed(change: IdentityChange, token: Session) -> IdentityChange:
    """Return the part of a change that adds nothing to an access token."""
    roles, tenants = change.roles, change.tenants
    if roles is not None:
        roles = tuple(role for role in token.identity.roles if role in roles)
    if tenants is not None:
        tenants = {i: tenants[i] for i in token.tenants if i in tenants}
    return replace(change, roles=roles, tenants=tenants)


async def change_sessions(
    store: SessionStore,
    identity_id: str,
    change: IdentityChange,
    *,
    now: float,
    count: ChangeCount,
) -> None:
    """Change every active session of an identity; effective at its next request.

    Args:
        store: of the sessions.
        identity_id: whose sessions are changed.
        change: what is changed.
        now: seconds since the epoch.
        count: is increased by each session, also if an error ends the change.

    Raises:
        ValueError: a record would be invalid; before any session is changed.
        StoreUnavailable: it is not certain that all sessions are changed. Repeat it.
    """
    changed_session(_ANY_SESSION, change)
    seen: set[str] = set()
    for _ in range(_PASSES):
        listed = await store.list_for(identity_id, now)
        new = [(key, session) for key, session in listed if key not in seen]
        for _key, session in new:
            changed_session(session, change)
        for key, session in new:
            seen.add(key)
            differed = await _change_one(store, key, session, change, now)
            if differed is not None:
                count.changed += differed
                count.unchanged += not differed


async def _change_one(
    store: SessionStore, key: str, session: Session, change: IdentityChange, now: float
) -> bool | None:
    """Return whether the session had to be changed; None if it has ended."""
    differed = False
    identity_id = session.identity.id
    for tried in range(_TRIES):
        wanted = changed_session(session, change)
        differed = differed or wanted is not session
        # Written even if nothing differs: an earlier attempt may have ended before it
        # was certain that the write would survive a failover.
        if await store.amend(key, session, wanted):
            return differed
        await asyncio.sleep(min(_PAUSE * tried, 0.02))
        found = await store.load(key)
        if not isinstance(found, Session) or not lives(found, identity_id, now):
            return None
        session = found
    raise StoreUnavailable("the session kept changing while its identity was changed")
