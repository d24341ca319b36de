"""Interpret records of other libraries: one engine, any profile. Pure.

| noun | meaning |
| --- | --- |
| Stored | what Redis holds under a key, and how long yet |
| NeedsLookup | a second record is needed first |
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from gateway.sessions.formats.codecs import Unreadable, decode
from gateway.sessions.formats.credential import Credential
from gateway.sessions.formats.facts import (
    read_devices,
    read_name,
    read_roles,
    read_tenants,
    read_traits,
)
from gateway.sessions.formats.paths import ABSENT
from gateway.sessions.formats.profile import Profile, Then
from gateway.sessions.record import AnonymousSession, Corrupt, Identity, Session
from gateway.sessions.timestamps import LATEST

NO_TTL: Final = -1
"""What PTTL answers for a key that never expires."""
NO_KEY: Final = -2
"""What PTTL answers for a key that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The answers to GET and PTTL. `wrong_type`: the key holds no string."""

    value: bytes | None = field(repr=False)
    pttl: int = NO_KEY
    wrong_type: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsLookup:
    """Result of `interpret_record`: `key`, of user `identity_id`, is needed as well."""

    key: str = field(repr=False)
    identity_id: str


Interpretation: TypeAlias = Session | Corrupt | AnonymousSession | NeedsLookup | None
Read: TypeAlias = Callable[[Profile, Credential, bytes, Stored | None], Interpretation]
Timed: TypeAlias = Callable[[Session, float, float], Session]


def read_session(
    profile: Profile, credential: Credential, raw: bytes, then: Stored | None = None
) -> Interpretation:
    """Read a session from its bytes; the clock and the TTL are not considered.

    The same bytes give the same answer, so a caller may keep it.
    """
    try:
        return _read(profile, credential, raw, then)
    except Unreadable as unreadable:
        return Corrupt(str(unreadable))


def with_times(session: Session, expires_at: float, now: float) -> Session:
    """Return the session with its end, and `now` as the time of its last use."""
    return replace(session, expires_at=expires_at, last_seen_at=now)


def interpret_record(
    profile: Profile,
    credential: Credential,
    stored: Stored,
    now: float,
    then: Stored | None = None,
    *,
    read: Read = read_session,
    timed: Timed = with_times,
) -> Interpretation:
    """Interpret a stored value at `now`.

    Returns a Session (possibly expired: `authenticate` checks), AnonymousSession,
    Corrupt with a reason, None if there is no such session, or NeedsLookup if `then`
    must be looked up. `read` may be a caching `read_session`, `timed` a `with_times`
    that returns an earlier result again.
    """
    if stored.wrong_type or (then is not None and then.wrong_type):
        return Corrupt("a Redis key that holds no string")
    if stored.value is None or stored.pttl == NO_KEY:
        return None
    if stored.pttl == NO_TTL and not profile.allow_no_ttl:
        return Corrupt("the key has no TTL, and allow_no_ttl is not set")
    session = read(profile, credential, stored.value, then)
    if not isinstance(session, Session):
        return session
    expires_at = session.expires_at
    if stored.pttl != NO_TTL:
        expires_at = min(expires_at, now + max(stored.pttl, 0) / 1000)
    return timed(session, expires_at, now)


def _read(
    profile: Profile, credential: Credential, raw: bytes, stored: Stored | None
) -> Interpretation:
    record = decode(raw, profile.codecs, profile.max_bytes)
    if profile.echo is not None:
        wanted = credential.key if profile.key.hashed else credential.value
        if profile.echo.find(record) != wanted:
            raise Unreadable(f"{profile.echo.text} is not the id it is stored under")
    then: object = ABSENT
    if profile.then is not None:
        found = _then(profile, profile.then, record, stored)
        if not isinstance(found, dict):
            return found
        then = found
    identity_id = read_name(*profile.identity.find(record, then))
    if identity_id is None:
        return AnonymousSession()
    return _session(profile, credential, record, then, identity_id)


def _then(
    profile: Profile, rule: Then, record: dict[str, Any], stored: Stored | None
) -> dict[str, Any] | AnonymousSession | NeedsLookup | None:
    value = read_name(rule.key.path.find(record), rule.key.path.text)
    if value is None:
        return AnonymousSession()
    if not rule.id.matches(value):
        raise Unreadable(f"{rule.key.path.text} is not an id that a key may be made of")
    if stored is None:
        return NeedsLookup(key=rule.key.of(value), identity_id=value)
    if stored.value is None:
        return None if rule.required else {}
    second = decode(stored.value, profile.codecs, profile.max_bytes)
    if rule.echo is not None and read_name(rule.echo.find(None, second), "") != value:
        raise Unreadable(f"{rule.echo.text} is not the id it is stored under")
    return second


def _session(
    profile: Profile,
    credential: Credential,
    record: dict[str, Any],
    then: object,
    identity_id: str,
) -> Session:
    created = 0.0
    if profile.created is not None:
        created = profile.created.find(record, then) or 0.0
    expires_at = LATEST
    if profile.expires is not None:
        found = profile.expires.find(record, then)
        if found is None:
            raise Unreadable(f"{profile.expires.path.text} is not a time")
        expires_at = found
    denied = any(path.find(record, then) for path in profile.deny)
    return Session(
        id=credential.key,
        active=not denied,
        issued_at=created,
        authenticated_at=created,
        expires_at=expires_at,
        last_seen_at=created,
        identity=Identity(
            id=identity_id,
            traits=read_traits(profile.traits, record, then),
            roles=read_roles(profile.roles, record, then),
        ),
        tenants=read_tenants(profile.tenants, record, then),
        active_tenant_id=read_name(*profile.active_tenant.find(record, then)),
        devices=read_devices(profile, record, then),
        ended_reason="denied" if denied else None,
    )
